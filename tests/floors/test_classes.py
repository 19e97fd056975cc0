import math
from dataclasses import dataclass

import pytest
import torch
from scipy.optimize import minimize_scalar

from recollect.core import ConfigError
from recollect.floors import (
    MODEL_CLASSES,
    AlibiHeads,
    Floor,
    LinearRecurrence,
    NoFloor,
    Problem,
    find_class,
    smallest_size,
)
from recollect.floors.asymptotic import power_law
from recollect.floors.classes import BOUNDED
from recollect.memory import Exponential, Polynomial
from recollect.models import LAYERS, MIXERS

PROBLEM = Problem(Polynomial(alpha=0.8).values(14))

BEST_ON_AN_INFINITE_HORIZON = {
    0.6: {1: 4.4615e-1, 2: 2.2672e-1, 4: 7.2353e-2, 8: 1.1568e-2, 12: 2.5615e-3},
    0.75: {1: 2.0784e-1, 2: 5.9410e-2, 4: 7.7709e-3, 8: 3.3290e-4, 12: 2.6431e-5},
    1.1: {1: 6.0169e-2, 2: 7.0859e-3, 4: 2.4219e-4, 8: 1.4584e-6, 12: 2.5180e-8},
}
"""NMSE by alpha and states: real poles optimised, with all inner products over the lags in closed form."""


@dataclass(frozen=True)
class Staircase:
    """A class whose floors are given, from size 1 on; notes the largest size of each question."""

    floors_by_size: list
    asked: list
    unit: str = "steps"

    def floors(self, problem, sizes):
        self.asked.append(sizes[-1])
        return [Floor(s, *self.floors_by_size[s - 1], None, f"at {s}") for s in sizes]


def test_every_mixer_has_a_class_or_a_reason():
    assert set(MODEL_CLASSES) >= set(MIXERS) | set(LAYERS)
    for name, model_class in MODEL_CLASSES.items():
        if isinstance(model_class, NoFloor):
            assert name in set(MIXERS) | set(LAYERS)
            assert len(model_class.reason) > 20
            assert not model_class.reason.endswith(".")


def test_each_bounded_class_is_listed_once_and_binds():
    bounded = {c for c in MODEL_CLASSES.values() if not isinstance(c, NoFloor)}
    assert {MODEL_CLASSES[name] for name in BOUNDED} == bounded
    assert len(BOUNDED) == len(bounded)
    for name in BOUNDED:
        (floor,) = find_class(name).floors(PROBLEM, [1])
        assert floor.binding
        assert 0 <= floor.lower <= floor.attained <= 1 + 1e-12


def test_a_feed_through_lowers_the_floor_of_classes_that_can_have_one():
    for name in ("ssm", "alibi"):
        (without,), (beside,) = (
            find_class(name, feed_through=given).floors(PROBLEM, [2]) for given in (False, True)
        )
        assert beside.attained < without.attained
    assert find_class("tcn", feed_through=True) == find_class("tcn")
    assert find_class("ssm") == LinearRecurrence()


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'alibi'"):
        find_class("alibbi")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("max_size", [1, 2, 13, 40])
def test_the_search_finds_what_looking_at_every_size_finds(seed, max_size):
    draws = torch.rand(2, 40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    attained, lower = draws[0].sort(descending=True).values, draws.prod(0).sort(descending=True).values
    lower = torch.minimum(lower, attained)
    staircase = Staircase(list(zip(lower.tolist(), attained.tolist(), strict=True)), [])
    for target in (0.05, 0.4, 0.9, 1.5):
        staircase.asked.clear()
        answer = smallest_size(PROBLEM, staircase, target, max_size)
        unable = sum(value > target for value in lower[:max_size].tolist())
        able = [k for k in range(1, max_size + 1) if attained[k - 1] <= target]
        assert answer.impossible_below == (unable + 1 if unable else None)
        assert answer.attained_at == min(able, default=None)
        assert len(staircase.asked) == len(set(staircase.asked)) <= 4 * math.log2(max_size + 1) + 1
        assert list(answer.floors) == sorted(staircase.asked)
        assert answer.how == f"at {unable or answer.deciding_size}"


def test_a_worse_construction_of_a_larger_size_is_replaced_by_that_of_a_smaller_one():
    staircase = Staircase([(0.0, 0.5), (0.0, 0.2), (0.0, 0.9), (0.0, 0.3)], [])
    answer = smallest_size(PROBLEM, staircase, 0.1, 4)
    assert [floor.attained for floor in answer.floors.values()] == [0.5, 0.2, 0.2]
    assert (list(answer.floors), answer.attained_at) == ([1, 2, 4], None)


def test_all_sizes_are_looked_at_where_larger_models_do_not_contain_smaller_ones():
    problem = Problem(torch.tensor([0.0, 1, 2, 3, 2, 1, 0, 0, 1], dtype=torch.float64), "window")
    model_class = AlibiHeads(slopes="fixed")
    floors = model_class.floors(problem, range(1, 6))
    target = sorted(floor.attained for floor in floors)[2]
    answer = smallest_size(problem, model_class, target, 5)
    assert list(answer.floors) == [1, 2, 3, 4, 5]
    assert answer.attained_at == next(floor.size for floor in floors if floor.attained <= target)
    first_open = next(floor.size for floor in floors if floor.lower <= target)
    assert answer.impossible_below == (first_open if first_open > 1 else None)


def test_a_class_without_a_floor_is_not_searched():
    answer = smallest_size(PROBLEM, NoFloor("no theorem"), 0.1, 64)
    assert (answer.binding, answer.impossible_below, answer.attained_at) == (False, None, None)
    assert list(answer.floors) == [1]
    assert answer.how == "no theorem"


@pytest.mark.parametrize(
    ("target", "max_size"), [(0.0, 4), (-1.0, 4), (math.inf, 4), (math.nan, 4), (0.1, 0)]
)
def test_a_search_refuses_what_cannot_be_asked(target, max_size):
    with pytest.raises(ConfigError, match="expected"):
        smallest_size(PROBLEM, NoFloor("no theorem"), target, max_size)


@pytest.mark.parametrize("alpha", BEST_ON_AN_INFINITE_HORIZON)
def test_the_law_stays_near_the_best_recurrences_on_an_infinite_horizon(alpha):
    law = power_law(Polynomial(alpha=alpha))
    assert law is not None
    for num_states, best in BEST_ON_AN_INFINITE_HORIZON[alpha].items():
        assert 0.9 < math.sqrt(law.nmse(num_states) / best) < 1.3


def test_long_horizons_attain_the_law_and_short_ones_fall_below_it():
    memory = Polynomial(alpha=1.5)
    law = power_law(memory)
    assert law is not None
    for floor in LinearRecurrence().floors(Problem(memory.values(300)), [1, 2]):
        assert 0.9 < floor.attained / law.nmse(floor.size) < 1.3
    (short,) = LinearRecurrence().floors(Problem(memory.values(20)), [6])
    assert short.attained < law.nmse(6) / 100


@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("feed_through", [False, True])
def test_the_constant_of_the_law_is_the_best_single_state(scale, feed_through):
    """Over so many lags that the rest of this power law is below rounding."""
    rho = Polynomial(alpha=2.5, scale=scale).values(20_000)
    lags = torch.arange(len(rho), dtype=torch.float64)
    free = int(feed_through)

    def missed(log_rate):
        mode = (-math.exp(log_rate) * lags).exp()[: len(rho) - free]
        part = rho[free:]
        return float((part - mode * (part @ mode) / (mode @ mode)).square().sum() / rho.square().sum())

    best = minimize_scalar(missed, bounds=(-4.0, 2.0), method="bounded", options={"xatol": 1e-9})
    law = power_law(Polynomial(alpha=2.5, scale=scale), feed_through=feed_through)
    assert law is not None
    assert law.nmse(1) == pytest.approx(float(best.fun), rel=1e-9)


def test_no_law_is_claimed_but_for_power_laws_of_finite_energy():
    assert power_law(Polynomial(alpha=0.5)) is None
    assert power_law(Exponential(alpha=0.5)) is None
