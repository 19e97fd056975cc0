import pytest
import torch

from recollect.floors.problem import Problem
from recollect.floors.recurrence_bound import recurrence_bounds
from recollect.floors.static_readout import static_readout_bounds
from recollect.memory import Airy, Exponential, Impulse, Polynomial

LENGTH = 25
FAMILIES = {
    "polynomial": Polynomial(alpha=0.6).values(LENGTH),
    "airy": Airy(alpha=9.0, width=2.0).values(LENGTH),
    "impulse": Impulse(alpha=6).values(LENGTH),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_last_position_a_static_readout_gains_nothing(family):
    problem = Problem(FAMILIES[family])
    static, linear = static_readout_bounds(problem, [1, 3]), recurrence_bounds(problem, [1, 3])
    assert [bound.lower for bound in static] == [bound.lower for bound in linear]


@pytest.mark.parametrize("family", ["airy", "impulse"])
def test_the_staircase_is_below_the_sum_over_every_position(family):
    problem = Problem(FAMILIES[family][:15], "window")
    prefixes = [Problem(problem.rho[:end]) for end in range(1, 16) if problem.rho[:end].any()]
    energies = [prefix.energy for prefix in prefixes]
    assert sum(energies) == pytest.approx(15 * problem.energy, rel=1e-12)
    bounds = [recurrence_bounds(prefix, [1, 2]) for prefix in prefixes]
    for place, static in enumerate(static_readout_bounds(problem, [1, 2])):
        lowers = [bound[place].lower * energy for bound, energy in zip(bounds, energies, strict=True)]
        # The true error never falls with the horizon; what is proven may.
        every = sum(max_so_far(lowers)) / sum(energies)
        assert 0.6 * every < static.lower <= every * (1 + 1e-12)


def max_so_far(values: list[float]) -> list[float]:
    return torch.tensor(values, dtype=torch.float64).cummax(0).values.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_no_readout_that_changes_with_the_position_is_below(family, rng):
    problem = Problem(FAMILIES[family], "window")
    lowers = static_readout_bounds(problem, [1, 2])
    for bound, num_states in zip(lowers, [1, 2], strict=True):
        errors = errors_of_free_readouts(problem, random_states(num_states, rng))
        assert float(errors.min()) >= bound.lower - 1e-12


def random_states(num_states: int, rng: torch.Generator) -> torch.Tensor:
    """[systems, T, states]: what each state remembers of the input at each lag."""
    matrices = torch.randn(400, num_states, num_states, generator=rng, dtype=torch.float64) / num_states
    state, states = torch.ones(400, num_states, dtype=torch.float64), []
    for _ in range(LENGTH):
        states.append(state)
        state = torch.einsum("nij,nj->ni", matrices, state)
    return torch.stack(states, dim=1)


def errors_of_free_readouts(problem: Problem, states: torch.Tensor) -> torch.Tensor:
    """The best linear readout at each position, which for Gaussian input is the best of all."""
    residual = torch.zeros(len(states), dtype=torch.float64)
    for end in range(1, LENGTH + 1):
        left, values, _ = torch.linalg.svd(states[:, :end], full_matrices=False)
        left = left * (values > 1e-9 * values[:, :1])[:, None]
        target = problem.rho[:end]
        kept = torch.einsum("nsm,s->nm", left, target)
        residual += (target - torch.einsum("nsm,nm->ns", left, kept)).square().sum(1)
    return residual / (LENGTH * problem.energy)


def test_a_readout_that_changes_with_the_position_can_beat_every_fixed_one():
    rho = Impulse(alpha=6).values(13)
    fixed = recurrence_bounds(Problem(rho, "window"), [1])[0].lower
    assert static_readout_bounds(Problem(rho, "window"), [1])[0].lower < fixed - 0.1


def test_a_kernel_of_one_exponential_has_no_floor():
    problem = Problem(Exponential(alpha=0.1).values(LENGTH), "window")
    assert static_readout_bounds(problem, [1])[0].lower == 0.0
    rho = problem.rho.clone()
    rho[0] = 4.0
    assert static_readout_bounds(Problem(rho, "window"), [1], feed_through=True)[0].lower == 0.0
