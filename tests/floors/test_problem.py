"""What a floor is asked about: weights of the lags, errors in one metric, taps that cannot be asked about."""

import pytest
import torch

from recollect.core import ConfigError
from recollect.floors import AlibiHeads, LinearRecurrence, Problem, static_readout_bounds
from recollect.memory import GaussianBump


def taps(length=7, seed=0):
    return torch.randn(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("length", [1, 5, 7, 11])
def test_the_window_is_the_mean_over_positions_of_what_each_has_seen(length):
    rho, kernel = taps(length), taps(length, seed=1)
    errors = (rho - kernel).square().cumsum(0)
    powers = rho.square().cumsum(0)
    assert Problem(rho, "window").nmse(kernel) == pytest.approx(float(errors.sum() / powers.sum()), rel=1e-14)
    assert Problem(rho).nmse(kernel) == pytest.approx(float(errors[-1] / powers[-1]), rel=1e-14)


@pytest.mark.parametrize("weighting", ["uniform", "window"])
def test_a_map_that_does_not_change_with_time_has_the_same_error_either_way(weighting):
    problem, kernel = Problem(taps(), weighting), taps(seed=1)
    responses = kernel.expand(7, 7).tril()
    assert problem.nmse_of_responses(responses) == pytest.approx(problem.nmse(kernel), rel=1e-14)


@pytest.mark.parametrize(
    "rho", [torch.zeros(4), torch.empty(0), torch.tensor([1.0, torch.nan]), 1e-170 * taps(), 1e160 * taps()]
)
def test_taps_whose_energy_is_no_number_are_refused(rho):
    with pytest.raises(ConfigError, match="energy"):
        Problem(rho.double())


def test_a_target_that_begins_with_next_to_nothing_has_floors_at_all_its_positions():
    # A hundred lags before the bump its taps are so small that their squares are 0 in float64.
    rho = GaussianBump(alpha=60, width=2).values(128, normalisation="l2")
    assert rho[:20].any()
    assert not rho[:20].square().any()
    problem = Problem(rho, "window")
    assert problem.up_to(19) is None
    [readout] = static_readout_bounds(problem, [3])
    [heads] = AlibiHeads(slopes="learned").floors(problem, [2])
    [linear] = LinearRecurrence().floors(problem, [3])
    assert 0 < readout.lower <= linear.attained <= 1
    assert 0 < heads.lower <= heads.attained <= 1


@pytest.mark.parametrize("size", [2, 3, 4])
def test_heads_are_never_below_their_bound_on_the_shortest_horizons(size):
    for length in (2, 3, 4):
        for seed in range(4):
            [floor] = AlibiHeads(slopes="learned").floors(Problem(taps(length, seed), "window"), [size])
            assert floor.lower <= floor.attained


def test_slopes_near_to_each_other_are_found_for_an_oscillating_target():
    lags = torch.arange(48, dtype=torch.float64)
    bump = Problem(GaussianBump(alpha=10, width=4).values(48, normalisation="l2"))
    [floor] = AlibiHeads(slopes="learned").floors(bump, [3])
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        slopes = torch.rand(3, generator=generator, dtype=torch.float64)
        design = torch.exp(-slopes[:, None] * lags).T
        gains = torch.linalg.lstsq(design, bump.rho[:, None]).solution
        assert floor.attained <= bump.nmse((design @ gains)[:, 0]) * (1 + 1e-9)
