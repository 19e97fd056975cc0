import math

import pytest
import torch

from recollect.diagnosis.part_error import part_error

VARIANCE, ROWS, REPEATS = 2.5, 900, 300


def errors_of(rng, pole):
    """Rows of an autoregression of unit variance."""
    draws = torch.randn(REPEATS, ROWS + 100, dtype=torch.float64, generator=rng)
    found = torch.empty_like(draws)
    found[:, 0] = draws[:, 0]
    for t in range(1, draws.shape[1]):
        found[:, t] = pole * found[:, t - 1] + math.sqrt(1 - pole**2) * draws[:, t]
    return found[:, 100:]


def test_the_error_is_the_mean_square_over_the_variance(rng):
    errors = torch.randn(37, dtype=torch.float64, generator=rng)
    found = part_error(errors, VARIANCE)
    assert found.value == pytest.approx(float(errors @ errors) / 37 / VARIANCE, rel=1e-12)
    assert found.count == 37


@pytest.mark.parametrize("pole", [0.0, 0.8])
def test_the_standard_error_is_the_deviation_over_repetitions_however_errors_depend(rng, pole):
    found = [part_error(errors, VARIANCE) for errors in errors_of(rng, pole)]
    spread = torch.tensor([one.value for one in found]).std()
    mean = torch.tensor([one.standard_error for one in found]).mean()
    # Squares of an AR(1) have the autocorrelation p^(2 lag): so much more does their mean vary.
    expected = math.sqrt(2 / ROWS * (1 + pole**2) / (1 - pole**2)) / VARIANCE
    assert float(spread) == pytest.approx(expected, rel=0.15)
    assert float(mean) == pytest.approx(expected, rel=0.15)


def test_a_single_row_has_no_standard_error():
    assert part_error(torch.ones(1, dtype=torch.float64), 1.0).standard_error is None
