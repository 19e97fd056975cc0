import math

import pytest
import torch

from recollect.core import ConfigError
from recollect.floors.aak import aak_upper
from recollect.floors.impulse_bound import impulse_bounds
from recollect.floors.problem import Problem
from recollect.floors.recurrence_bound import recurrence_bounds
from recollect.floors.recurrence_weights import HankelWeights, admissible, ascend, first_weights
from recollect.memory import Airy, DampedCosine, Exponential, GaussianBump, Impulse, Polynomial, Sine

WEIGHTINGS = ["uniform", "window"]
LENGTH = 23
FAMILIES = {
    "polynomial": Polynomial(alpha=0.6).values(LENGTH),
    "airy": Airy(alpha=7.0, width=2.0).values(LENGTH),
    "impulse": Impulse(alpha=5).values(LENGTH),
    "late impulse": Impulse(alpha=16).values(LENGTH),
    "bump": GaussianBump(alpha=6.0, width=1.5).values(LENGTH),
    "ramp": torch.arange(1.0, LENGTH + 1).double(),
    "noise": torch.randn(LENGTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64),
}


def krylov_columns(matrices: torch.Tensor, length: int) -> torch.Tensor:
    """[models, length, m]: every c A^s b is a combination of these columns; each has length 1."""
    states, columns = torch.ones(matrices.shape[:2], dtype=torch.float64), []
    scales = torch.zeros(len(matrices), 1, dtype=torch.float64)
    for _ in range(length):
        columns.append((states, scales))
        states = torch.einsum("nij,nj->ni", matrices, states)
        size = states.abs().amax(1, keepdim=True).clamp_min(1e-300)
        states, scales = states / size, scales + size.log()
    top = torch.stack([scale for _, scale in columns]).amax(0)
    basis = torch.stack([state * (scale - top).exp() for state, scale in columns], dim=1)
    return basis / basis.norm(dim=1, keepdim=True).clamp_min(1e-300)


def random_systems(num_states: int, rng: torch.Generator) -> torch.Tensor:
    """Stable and not, real and complex poles, and Jordan blocks, those of the pole 0 included."""

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    dense = torch.randn(300, num_states, num_states, generator=rng, dtype=torch.float64)
    dense = dense * (0.2 + uniform(300, 1, 1)) / math.sqrt(num_states)
    poles = torch.cat([uniform(100, 1, 1) * 2.2 - 1.1, torch.zeros(1, 1, 1).double()])
    jordan = poles * torch.eye(num_states) + torch.ones(num_states - 1).double().diag(-1)
    rotations = torch.diag_embed(1.2 - uniform(300, num_states) ** 2)
    for pair in range(0, num_states - 1, 2):
        angle, radius = math.pi * uniform(300) ** 2, 1.05 - 0.4 * uniform(300) ** 2
        block = [angle.cos(), -angle.sin(), angle.sin(), angle.cos()]
        turned = (radius * torch.stack(block)).T.reshape(-1, 2, 2)
        rotations[:, pair : pair + 2, pair : pair + 2] = turned
    return torch.cat([dense, jordan, rotations])


def best_readouts(problem: Problem, basis: torch.Tensor) -> torch.Tensor:
    """NMSE of each basis at its best readout."""
    root = problem.weights.sqrt()
    left, values, _ = torch.linalg.svd(root[:, None] * basis, full_matrices=False)
    left = left * (values > 1e-9 * values[:, :1])[:, None]
    target = root * problem.rho
    shadow = torch.einsum("nsm,s->nm", left, target)
    residual = target - torch.einsum("nsm,nm->ns", left, shadow)
    return residual.square().sum(1) / target.square().sum()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("feed_through", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_recurrence_beats_the_bound(family, weighting, feed_through, rng):
    problem = Problem(FAMILIES[family], weighting)
    bounds = recurrence_bounds(problem, [1, 2, 5], feed_through=feed_through)
    for num_states, bound in zip([1, 2, 5], bounds, strict=True):
        basis = krylov_columns(random_systems(num_states, rng), LENGTH)
        if feed_through:
            present = torch.zeros(len(basis), LENGTH, 1, dtype=torch.float64)
            present[:, 0] = 1.0
            delayed = torch.cat([torch.zeros_like(basis[:, :1]), basis[:, :-1]], dim=1)
            basis = torch.cat([delayed, present], dim=2)
        assert float(best_readouts(problem, basis).min()) >= bound.lower - 1e-12


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("length", [40, 41])
@pytest.mark.parametrize(
    ("function", "states"),
    [
        (Exponential(alpha=0.1), 1),
        (DampedCosine(alpha=0.05, frequency=0.5), 2),
        (Exponential(alpha=0.5) + Exponential(alpha=0.1) + Sine(frequency=0.3), 4),
    ],
    ids=lambda case: getattr(case, "label", None),
)
def test_a_sum_of_exponentials_has_no_floor_at_its_own_states(function, states, length, weighting):
    problem = Problem(function.values(length), weighting)
    assert [bound.lower for bound in recurrence_bounds(problem, [states, states + 1])] == [0.0, 0.0]
    assert states == 1 or recurrence_bounds(problem, [states - 1])[0].lower > 1e-6


def test_a_free_tap_at_lag_zero_is_not_charged_for():
    rho = Exponential(alpha=0.2).values(30)
    rho[0] = -3.0
    problem = Problem(rho)
    assert recurrence_bounds(problem, [1])[0].lower > 0.1
    assert recurrence_bounds(problem, [1], feed_through=True)[0].lower == 0.0


REFERENCE = {
    "polynomial 1.1": (Polynomial(alpha=1.1), ["1.9e-2", "9.9e-4", "2.3e-6", "2.6e-12"]),
    "polynomial 0.6": (Polynomial(alpha=0.6), ["5.4e-2", "2.3e-3", "3.2e-6", "2.4e-12"]),
    "impulse 32": (Impulse(alpha=32), [".970", ".939", ".879", ".758"]),
    "airy 32": (Airy(alpha=32.0, width=6.0), [".516", ".248", "1.0e-3", "5.0e-12"]),
    "airy 96": (Airy(alpha=96.0, width=6.0), [".784", ".671", ".521", ".289"]),
}


def half_a_unit(printed: str) -> float:
    mantissa, _, exponent = printed.partition("e")
    return 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


@pytest.mark.parametrize("name", REFERENCE)
def test_bounds_reach_the_reference_table(name):
    function, table = REFERENCE[name]
    bounds = recurrence_bounds(Problem(function.values(256)), [1, 2, 4, 8])
    for bound, printed in zip(bounds, table, strict=True):
        assert bound.lower >= float(printed) - half_a_unit(printed)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_search_proves_more_than_any_weights_known_beforehand(weighting):
    problem = Problem(Polynomial(alpha=0.6).values(64), weighting)
    first = first_weights(problem.rho, problem.weights)
    for num_states in (1, 3):
        energies = [energy_beyond(problem.rho, weights, num_states) for weights in first]
        start = first[energies.index(max(energies))]
        found = ascend(problem.rho, problem.weights, start, num_states)
        assert energy_beyond(problem.rho, found, num_states) > 1.05 * max(energies)


def energy_beyond(rho: torch.Tensor, weights: HankelWeights, num_states: int) -> float:
    hankel = rho[: len(weights.rows) + len(weights.columns) - 1].unfold(0, len(weights.columns), 1)
    matrix = weights.rows.sqrt()[:, None] * hankel * weights.columns.sqrt()
    return float(torch.linalg.svdvals(matrix)[num_states:].square().sum())


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("length", [1, 2, 3, 16, 31])
def test_all_weights_are_admissible_lag_by_lag(length, weighting, rng):
    problem = Problem(torch.randn(length, generator=rng, dtype=torch.float64), weighting)
    candidates = first_weights(problem.rho, problem.weights)
    candidates.append(ascend(problem.rho, problem.weights, candidates[0], 1))
    for weights in candidates:
        for lag in range(len(weights.rows) + len(weights.columns) - 1):
            pairs = [
                float(weights.rows[i] * weights.columns[lag - i])
                for i in range(len(weights.rows))
                if 0 <= lag - i < len(weights.columns)
            ]
            assert math.fsum(pairs) <= float(problem.weights[lag])


def test_scaling_touches_the_weight_of_some_lag():
    weights = Problem(torch.ones(12).double(), "window").weights
    rows, columns = admissible(torch.rand(5).double() + 0.1, torch.rand(8).double() + 0.1, weights)
    used = torch.zeros(12, dtype=torch.float64)
    for i, row in enumerate(rows):
        used[i : i + 8] += row * columns
    assert float((used / weights).max()) == pytest.approx(1.0, abs=1e-12)


def test_weights_for_equal_lags_would_exceed_a_true_error_in_the_window():
    problem = Problem(Impulse(alpha=12).values(25), "window")
    equal = max(
        (
            energy_beyond(problem.rho, weights, 1)
            for weights in first_weights(problem.rho, torch.ones(25).double())
        ),
    )
    delayed = Problem(problem.rho + 0.5 * Impulse(alpha=0).values(25), "window")
    true_error = float((delayed.weights * Impulse(alpha=12).values(25).square()).sum())
    assert equal > true_error
    assert recurrence_bounds(delayed, [1])[0].lower * delayed.energy <= true_error


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("feed_through", [False, True])
@pytest.mark.parametrize("lag", [1, 5, 9, 10, 14, 19])
def test_the_closed_form_for_an_impulse_is_what_uniform_weights_prove(lag, feed_through, weighting):
    problem = Problem(Impulse(alpha=lag).values(20), weighting)
    closed = impulse_bounds(lag, 20, [1, 2, 4], feed_through=feed_through)
    bounds = recurrence_bounds(problem, [1, 2, 4], feed_through=feed_through)
    assert [bound.lower for bound in bounds] == pytest.approx(closed, abs=1e-13)
    shift = int(feed_through)
    for weights in first_weights(problem.rho[shift:], problem.weights[shift:]):
        for size, lower in zip([1, 2, 4], closed, strict=True):
            assert energy_beyond(problem.rho[shift:], weights, size) / problem.energy <= lower + 1e-12
    uniform = min(lag + 1 - shift, 20 - lag), lag + 1 - shift
    rows, columns = (torch.ones(count).double() for count in uniform)
    proven = HankelWeights(*admissible(rows, columns, problem.weights[shift:]), "uniform")
    reached = [energy_beyond(problem.rho[shift:], proven, size) / problem.energy for size in [1, 2, 4]]
    assert reached == pytest.approx(closed, abs=1e-12)


def test_a_growing_recurrence_beats_one_over_lags_on_a_short_horizon():
    problem = Problem(Impulse(alpha=9).values(10))
    growing = krylov_columns(torch.full((1, 1, 1), 3.0).double(), 10)
    assert float(best_readouts(problem, growing)) < 1 - 1 / 10 - 0.5
    assert recurrence_bounds(problem, [1])[0].lower == 0.0
    assert impulse_bounds(9, 19, [1]) == pytest.approx([0.9])


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("family", ["polynomial", "late impulse", "noise"])
def test_bounds_fall_with_the_size_and_keep_the_order_asked_for(family, weighting):
    problem = Problem(FAMILIES[family], weighting)
    up = recurrence_bounds(problem, [1, 2, 3, 5, 8, 12, LENGTH + 1])
    values = [bound.lower for bound in up]
    assert values == sorted(values, reverse=True)
    assert values[-2:] == [0.0, 0.0]
    assert all(bound.how for bound in up)
    assert [bound.lower for bound in recurrence_bounds(problem, [LENGTH + 1, 12, 12])] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_bound_does_not_depend_on_the_scale(weighting):
    rho = FAMILIES["airy"]
    plain = recurrence_bounds(Problem(rho, weighting), [1, 3])
    scaled = recurrence_bounds(Problem(-256.0 * rho, weighting), [1, 3])
    assert [bound.lower for bound in scaled] == pytest.approx([bound.lower for bound in plain], rel=1e-10)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("feed_through", [False, True])
def test_short_horizons_are_held_by_few_states(length, feed_through):
    problem = Problem(torch.tensor([1.0, -2.0, 3.0]).double()[:length], "window")
    assert recurrence_bounds(problem, [2], feed_through=feed_through)[0].lower == 0.0


def test_a_size_below_one_is_refused():
    with pytest.raises(ConfigError, match="at least 1 state, got 0"):
        recurrence_bounds(Problem(torch.ones(4).double()), [2, 0])
    with pytest.raises(ConfigError, match="at least 1"):
        aak_upper(torch.ones(4), [0])
    with pytest.raises(ValueError, match="0 <= lag < 4"):
        impulse_bounds(4, 4, [1])
    with pytest.raises(ValueError, match="rows \\+ columns - 1 <= 4"):
        admissible(torch.ones(3).double(), torch.ones(3).double(), torch.ones(4).double())


@pytest.mark.parametrize("family", ["polynomial", "impulse", "noise"])
def test_the_bound_of_adamjan_arov_and_krein_lies_above(family):
    problem = Problem(FAMILIES[family])
    lowers = recurrence_bounds(problem, [1, 2, 4, 9])
    uppers = aak_upper(problem.rho, [1, 2, 4, 9])
    assert all(low.lower * problem.energy <= up for low, up in zip(lowers, uppers, strict=True))


def test_the_bound_of_adamjan_arov_and_krein_is_kept_by_a_recurrence():
    problem = Problem(Exponential(alpha=0.3).values(60) + 0.1 * Exponential(alpha=1.5).values(60))
    upper = aak_upper(problem.rho, [1])[0]
    poles = torch.linspace(0.5, 0.9, 801, dtype=torch.float64)[:, None, None]
    best = float(best_readouts(problem, krylov_columns(poles, 60)).min()) * problem.energy
    assert 0 < best <= upper < 30 * best
