"""Linear recurrences under a coloured input: none beats the floor, and what is found is attained."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from recollect.diagnosis.autoregression import FilteredNoise
from recollect.diagnosis.input_metric import InputMetric
from recollect.diagnosis.pole_search import PoleSearch
from recollect.diagnosis.recurrence_floor import recurrence_costs
from recollect.diagnosis.shared_poles import PoleProblem, SharedPoles
from recollect.memory import DampedCosine, Exponential, GaussianBump, Impulse, Polynomial

LAGS = 24
TARGETS = {
    "power law": Polynomial(alpha=0.8).values(LAGS)[:, None],
    "delay": Impulse(alpha=6).values(LAGS)[:, None],
    "bump and turn": torch.stack(
        [
            GaussianBump(alpha=5.0, width=1.5).values(LAGS),
            DampedCosine(alpha=0.2, frequency=0.9).values(LAGS),
        ],
        1,
    ),
}


def autoregressive(lags, inputs, root):
    """x_t = root x_{t-1} + noise in each input, inputs correlated at one time."""
    at_once = 0.4 + 0.6 * torch.eye(inputs, dtype=torch.float64)
    return root ** torch.arange(lags, dtype=torch.float64)[:, None, None] * at_once


def moving_average(lags, inputs):
    rng = torch.Generator().manual_seed(3)
    matrices = torch.randn(3, inputs, inputs, generator=rng, dtype=torch.float64)
    r = torch.zeros(lags, inputs, inputs, dtype=torch.float64)
    for lag in range(3):
        r[lag] = torch.einsum("kia,kja->ij", matrices[lag:], matrices[: 3 - lag])
    return r


INPUTS = {
    "slow": lambda inputs: autoregressive(LAGS, inputs, 0.8),
    "alternating": lambda inputs: autoregressive(LAGS, inputs, -0.5),
    "moving average": lambda inputs: moving_average(LAGS, inputs),
}


def random_bases(num_states, rng):
    """[models, LAGS, states]: the rows c A^s of random systems, stable and not, Jordan blocks included."""
    dense = torch.randn(120, num_states, num_states, generator=rng, dtype=torch.float64)
    dense = dense * (0.2 + torch.rand(120, 1, 1, generator=rng, dtype=torch.float64)) / math.sqrt(num_states)
    poles = torch.rand(40, 1, 1, generator=rng, dtype=torch.float64) * 2.1 - 1.05
    chain = torch.ones(num_states - 1).double().diag(-1)
    matrices = torch.cat([dense, poles * torch.eye(num_states) + chain, chain[None]])
    row = torch.randn(len(matrices), 1, num_states, generator=rng, dtype=torch.float64)
    rows = []
    for _ in range(LAGS):
        rows.append(row)
        row = row @ matrices
    basis = torch.cat(rows, 1)
    return basis / basis.norm(dim=1, keepdim=True).clamp_min(1e-300)


def least_cost(metric, memory, basis):
    """Of all readings of the basis, each input its own, beside a feed-through."""
    present = torch.eye(1, LAGS, dtype=torch.float64).mT
    design = metric.design(torch.cat([basis, present], 1))
    target = metric.whiten(memory[..., None])[..., 0]
    left, values, _ = torch.linalg.svd(design, full_matrices=False)
    left = left[:, values > 1e-10 * values[0]]
    return float((target - left @ (left.mT @ target)).square().sum())


@pytest.mark.parametrize("colour", INPUTS)
@pytest.mark.parametrize("name", TARGETS)
def test_no_recurrence_costs_less_than_the_floor_and_what_is_found_costs_more(name, colour, rng):
    memory = TARGETS[name]
    metric = InputMetric.of(INPUTS[colour](memory.shape[1]), LAGS)
    bounds = recurrence_costs(memory, metric, [1, 2, 4], LAGS)
    lowers = [bound.lower for bound in bounds]
    assert lowers == sorted(lowers, reverse=True)
    assert lowers[0] > 1e-4 * metric.cost(memory)
    for num_states, lower in zip([1, 2, 4], lowers, strict=True):
        assert min(least_cost(metric, memory, basis) for basis in random_bases(num_states, rng)) >= lower
    fit, cost = PoleSearch(memory, metric, LAGS, real=False).best(2, None)
    assert cost >= lowers[2]  # two complex states, four real ones
    assert cost == pytest.approx(metric.cost(memory - fit.taps(LAGS)), rel=1e-10)


@pytest.mark.parametrize("horizon", [8, 15])
def test_the_floor_of_a_shorter_horizon_holds_for_the_whole(horizon, rng):
    memory = TARGETS["bump and turn"]
    metric = InputMetric.of(INPUTS["slow"](2), LAGS)
    for size in (1, 2):
        lower = recurrence_costs(memory, metric, [size], horizon)[0].lower
        assert min(least_cost(metric, memory, basis) for basis in random_bases(size, rng)) >= lower > 0


@pytest.mark.parametrize("colour", INPUTS)
@pytest.mark.parametrize("inputs", [1, 2])
def test_the_present_input_passes_the_states_by_and_costs_none(inputs, colour):
    memory = Exponential(alpha=0.3).values(LAGS)[:, None] * torch.tensor([1.0, -0.4])[:inputs].double()
    memory[0] = -3.0
    metric = InputMetric.of(INPUTS[colour](inputs), LAGS)
    assert recurrence_costs(memory, metric, [1], LAGS)[0].lower < 1e-12 * metric.cost(memory)
    assert PoleSearch(memory, metric, LAGS, real=True).best(1, None)[1] < 1e-12 * metric.cost(memory)


def test_under_a_slow_input_the_innovations_prove_more_than_the_least_eigenvalue():
    """And no more than a dense search over one real pole finds."""
    memory = TARGETS["delay"]
    metric = InputMetric.of(autoregressive(LAGS, 1, 0.9), LAGS)
    white = InputMetric.of(torch.eye(LAGS, 1).double()[:, :, None], LAGS)
    [bound] = recurrence_costs(memory, metric, [1], LAGS)
    least = float(torch.linalg.eigvalsh(metric.covariance)[0])
    by_eigenvalue = least * recurrence_costs(memory, white, [1], LAGS)[0].lower
    lags = torch.arange(LAGS, dtype=torch.float64)
    poles = torch.linspace(-0.999, 0.999, 1999, dtype=torch.float64)
    best = min(least_cost(metric, memory, (pole**lags)[:, None]) for pole in poles)
    assert 2 * by_eigenvalue < bound.lower <= best
    _, found = PoleSearch(memory, metric, LAGS, real=True).best(1, None)
    assert found == pytest.approx(best, rel=1e-4)


def test_a_target_with_so_many_shared_poles_is_found_under_a_coloured_input():
    turns = [DampedCosine(alpha=0.1, frequency=0.7, phase=phase).values(LAGS) for phase in (0.0, 1.3)]
    memory = torch.stack([turns[0], turns[1] - Exponential(alpha=0.4).values(LAGS)], 1)
    metric = InputMetric.of(INPUTS["slow"](2), LAGS)
    search = PoleSearch(memory, metric, LAGS, real=False)
    one, first = search.best(1, None)
    two, second = search.best(2, one)
    assert first > 1e-3 * metric.cost(memory)
    assert second < 1e-12 * metric.cost(memory)
    expected = sorted([0.905 * np.cos(0.7), 0.670])
    assert sorted(two.poles.real.tolist()) == pytest.approx(expected, abs=2e-2)


def test_the_search_is_as_good_as_another_optimiser_from_many_starts():
    memory = TARGETS["delay"]
    metric = InputMetric.of(INPUTS["slow"](1), LAGS)
    problem = PoleProblem(memory, metric, real=False)

    def cost(at):
        rates, phases = torch.from_numpy(at).chunk(2)
        return problem.solve(torch.polar((-rates.exp()).exp(), phases))[1]

    rng = np.random.default_rng(0)
    starts = (np.concatenate([rng.uniform(-4, 1, 2), rng.uniform(0, np.pi, 2)]) for _ in range(8))
    others = [minimize(cost, start, method="Nelder-Mead", options={"maxiter": 400}).fun for start in starts]
    _, found = PoleSearch(memory, metric, LAGS, real=False).best(2, None)
    assert found <= min(others) * (1 + 1e-6)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("colour", ["slow", "white"])
def test_refining_lowers_the_cost_to_a_point_without_slope(real, colour):
    turns = [DampedCosine(alpha=0.1, frequency=frequency).values(LAGS) for frequency in (0.5, 1.3)]
    fades = [Exponential(alpha=alpha).values(LAGS) for alpha in (0.1, 0.9)]
    rough = torch.randn(LAGS, 2, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    memory = torch.stack(fades if real else turns, 1) @ torch.tensor([[1.0, 0.3], [0.5, -1.0]]).double()
    memory = memory + 0.05 * rough
    metric = InputMetric.of(INPUTS["slow"](2), LAGS)
    whitening = metric if colour == "slow" else FilteredNoise(torch.ones(1).double(), metric.input_root, LAGS)
    problem = PoleProblem(memory, whitening, real)
    start = torch.tensor([0.6, 0.3], dtype=torch.complex128)
    start = start if real else start * torch.polar(torch.ones(2).double(), torch.tensor([0.4, 1.2]).double())
    poles, cost = problem.refine(start, 200)
    assert cost < problem.solve(start)[1]
    for direction in ([1e-4, 0.0], [0.0, 1e-4], [1e-4j, 0.0], [0.0, 1e-4j])[: 2 if real else 4]:
        moved = poles * torch.exp(torch.tensor(direction, dtype=torch.complex128))
        assert problem.solve(moved)[1] >= cost * (1 - 1e-7)


def test_a_larger_recurrence_is_never_worse_than_the_one_it_contains():
    memory = TARGETS["bump and turn"]
    metric = InputMetric.of(INPUTS["moving average"](2), LAGS)
    search = PoleSearch(memory, metric, LAGS, real=True)
    fit, costs = None, []
    for size in (1, 2, 3, 5):
        fit, cost = search.best(size, fit)
        costs.append(cost)
        assert isinstance(fit, SharedPoles)
        assert not bool(fit.poles.imag.any())
        assert bool((fit.poles.abs() < 1).all())
    assert costs == sorted(costs, reverse=True)
