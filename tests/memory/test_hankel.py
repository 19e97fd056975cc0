import pytest
import torch

from recollect.core import ConfigError
from recollect.memory import (
    DampedCosine,
    Exponential,
    Impulse,
    Sine,
    hankel_matrix,
    hankel_rank,
    hankel_singular_values,
)


@pytest.mark.parametrize("length", [1, 2, 7, 8])
def test_the_matrix_holds_every_tap_on_its_antidiagonals(length):
    rho = torch.arange(1.0, length + 1)
    matrix = hankel_matrix(rho)
    assert sum(matrix.shape) == length + 1
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            assert matrix[i, j] == rho[i + j]


@pytest.mark.parametrize(
    ("function", "states"),
    [
        (Exponential(alpha=0.1), 1),
        (DampedCosine(alpha=0.1, frequency=0.5), 2),
        (Exponential(alpha=0.5) + Exponential(alpha=0.1) + Sine(frequency=0.3), 4),
        (DampedCosine(alpha=0.1, frequency=1.0) * Sine(frequency=0.3), 4),
    ],
    ids=lambda case: getattr(case, "label", None),
)
def test_the_rank_is_the_number_of_real_states(function, states):
    assert hankel_rank(function.values(61), tolerance=1e-9) == states


@pytest.mark.parametrize("length", [30, 31])
@pytest.mark.parametrize("lag", [0, 6, 14, 20, 29])
def test_the_rank_of_an_impulse_is_its_distance_to_the_nearer_end(lag, length):
    assert hankel_rank(Impulse(alpha=lag).values(length)) == min(lag + 1, length - lag)


def test_the_singular_values_of_an_impulse_are_equal():
    torch.testing.assert_close(
        hankel_singular_values(Impulse(alpha=4).values(13))[:5], torch.ones(5).double(), rtol=0, atol=1e-12
    )


def test_the_rank_does_not_depend_on_scale():
    rho = (Sine(frequency=0.3) + 1e-4 * Exponential(alpha=0.1)).values(41)
    assert [hankel_rank(scale * rho) for scale in (1e-9, 1, 1e9)] == [3, 3, 3]


def test_zero_has_rank_zero():
    assert hankel_rank(torch.zeros(5)) == 0


def test_a_tolerance_or_length_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="got 1"):
        hankel_rank(torch.ones(5), tolerance=1.0)
    with pytest.raises(ConfigError, match="got none"):
        hankel_rank(torch.ones(0))
