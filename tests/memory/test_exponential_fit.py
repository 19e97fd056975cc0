import math
from itertools import pairwise

import pytest
import torch

from recollect.core import ConfigError
from recollect.memory import ExponentialSum, Impulse, Polynomial, Sine, fit_exponential_sum


def random_sum(rng, num_real, num_pairs):
    """Poles of radius .7 to .98, spread over the half circle so that they can be told apart."""
    radii = 0.7 + 0.28 * torch.rand(num_real + num_pairs, generator=rng, dtype=torch.float64)
    angles = torch.linspace(0.3, 2.8, num_pairs, dtype=torch.float64)
    signs = torch.tensor([1.0, -1.0]).repeat(num_real)[:num_real]
    real = torch.complex(radii[:num_real] * signs, torch.zeros(num_real).double())
    residues = torch.randn(num_real + num_pairs, 2, generator=rng, dtype=torch.float64)
    residues += residues.sign()
    residues[:num_real, 1] = 0
    poles = torch.cat([real, torch.polar(radii[num_real:], angles)])
    return ExponentialSum(poles, torch.view_as_complex(residues))


def ordered(sum_):
    order = sum_.poles.angle().argsort()
    return sum_.poles[order], sum_.residues[order]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("num_real", "num_pairs"), [(1, 0), (2, 0), (0, 1), (2, 3), (1, 4)])
def test_a_random_sum_of_exponentials_is_recovered(num_real, num_pairs, seed):
    true = random_sum(torch.Generator().manual_seed(seed), num_real, num_pairs)
    assert true.num_states == num_real + 2 * num_pairs
    for length in (63, 96):
        fit = fit_exponential_sum(true.values(length), true.num_states)
        assert fit.num_states == true.num_states
        torch.testing.assert_close(fit.values(2 * length), true.values(2 * length), rtol=0, atol=1e-10)
        for got, want in zip(ordered(fit), ordered(true), strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=1e-8)


def test_values_are_the_real_part_of_the_sum():
    poles = torch.tensor([0.5 + 0.5j, -0.25 + 0j], dtype=torch.complex128)
    residues = torch.tensor([1.0 - 2.0j, 3.0 + 0j], dtype=torch.complex128)
    want = [(c * p**2).real for c, p in zip(residues.tolist(), poles.tolist(), strict=True)]
    assert ExponentialSum(poles, residues).values(3)[2].item() == pytest.approx(sum(want), abs=1e-14)


def test_a_pole_at_zero_is_an_impulse_at_lag_zero():
    zero = torch.zeros(1, dtype=torch.complex128)
    assert ExponentialSum(zero, zero + 2).values(3).tolist() == [2, 0, 0]
    fit = fit_exponential_sum(Impulse(alpha=0).values(9), 1)
    torch.testing.assert_close(fit.values(9), Impulse(alpha=0).values(9), rtol=0, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.6, 1.1])
def test_on_a_power_law_the_error_falls_with_every_pair_of_terms(alpha):
    rho = Polynomial(alpha=alpha).values(256)
    errors = [(fit_exponential_sum(rho, m).values(256) - rho).norm().item() for m in (1, 2, 4, 6, 8)]
    assert all(later < 0.4 * earlier for earlier, later in pairwise(errors))
    # Not below the floor of every recurrence with 8 states, and near the best fit known (6e-11).
    assert 2.4e-12 < (errors[-1] / rho.norm().item()) ** 2 < 1e-9


def test_no_more_terms_are_used_than_the_taps_hold():
    assert fit_exponential_sum(Sine(frequency=0.4).values(50), 9).num_states == 2
    nothing = fit_exponential_sum(torch.zeros(12), 3)
    assert nothing.num_states == 0
    assert not nothing.values(5).any()


def test_a_growing_sum_is_recovered():
    rho = 1.2 ** torch.arange(41, dtype=torch.float64)
    assert fit_exponential_sum(rho, 1).poles[0].real.item() == pytest.approx(1.2, rel=1e-10)


def test_the_fit_scales_with_the_taps():
    rho = Polynomial(alpha=1.1).values(64)
    small, large = fit_exponential_sum(1e-12 * rho, 3), fit_exponential_sum(rho, 3)
    torch.testing.assert_close(1e12 * small.values(64), large.values(64), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("num_terms", [0, 6])
def test_a_number_of_terms_that_cannot_be_told_apart_is_refused(num_terms):
    with pytest.raises(ConfigError, match=f"1 <= num_terms <= 5 for 11 taps, got {num_terms}"):
        fit_exponential_sum(torch.ones(11), num_terms)


def test_a_sum_has_at_least_one_value():
    with pytest.raises(ConfigError, match="length >= 1, got 0"):
        fit_exponential_sum(torch.ones(11), 1).values(0)
    assert math.isclose(fit_exponential_sum(torch.ones(11), 1).values(1).item(), 1)
