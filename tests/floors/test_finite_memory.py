import pytest
import torch

from recollect.core import ConfigError
from recollect.floors import Problem
from recollect.floors.finite_memory import FiniteMemory

WEIGHTINGS = ("uniform", "window")


def problem_of(length, weighting, rng):
    return Problem(torch.randn(length, generator=rng, dtype=torch.float64), weighting)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_floor_is_the_error_of_the_best_filter_found_by_least_squares(weighting, rng):
    """By brute force: one unknown for each lag that can be reached, one equation for each (t, s)."""
    length, size = 16, 5
    problem = problem_of(length, weighting, rng)
    positions = range(length) if weighting == "window" else [length - 1]
    rows = [(s, problem.rho[s]) for t in positions for s in range(t + 1)]
    design = torch.stack([torch.eye(length, dtype=torch.float64)[s, :size] for s, _ in rows])
    target = torch.stack([value for _, value in rows])
    missed = target - design @ torch.linalg.lstsq(design, target).solution
    (floor,) = FiniteMemory().floors(problem, [size])
    expected = float(missed.square().sum() / target.square().sum())
    assert floor.lower == pytest.approx(expected, rel=1e-10)
    assert floor.attained == pytest.approx(expected, rel=1e-10)


def test_no_nonlinear_function_of_the_field_beats_the_floor(rng):
    """The best function of the three signs x_t, x_{t-1}, x_{t-2} is a table of conditional means."""
    rho = torch.randn(7, generator=rng, dtype=torch.float64)
    inputs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 7)
    targets = inputs @ rho
    table = targets.reshape(8, -1)  # rows: the signs of the three latest inputs
    error = (table - table.mean(1, keepdim=True)).square().mean() / targets.square().mean()
    (floor,) = FiniteMemory().floors(Problem(rho), [3])
    assert floor.lower <= float(error)
    assert floor.lower == pytest.approx(float(error), rel=1e-10)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_bounds_enclose_and_a_field_over_the_horizon_leaves_nothing(weighting, rng):
    problem = problem_of(19, weighting, rng)
    floors = FiniteMemory().floors(problem, [18, 1, 7, 19, 40])
    assert [floor.size for floor in floors] == [18, 1, 7, 19, 40]
    assert all(0 <= floor.lower <= floor.attained <= floor.lower * (1 + 1e-12) for floor in floors)
    assert floors[-1].attained == floors[-2].attained == 0
    assert floors[-1].fit.taps(25).tolist() == [*problem.rho.tolist(), *[0.0] * 6]
    assert floors[1].fit.taps(2).tolist() == [float(problem.rho[0]), 0.0]


def test_a_size_below_one_is_refused(rng):
    with pytest.raises(ConfigError, match="counts taps: expected 1 or more, got 0"):
        FiniteMemory().floors(problem_of(4, "uniform", rng), [2, 0])
