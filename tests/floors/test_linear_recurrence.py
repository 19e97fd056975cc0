"""The floor of linear recurrences: bound and construction enclose the best model, whatever the taps."""

from itertools import pairwise

import pytest
import torch

from recollect.core import ConfigError
from recollect.floors import Problem
from recollect.floors.linear_recurrence import LinearRecurrence
from recollect.memory import Airy, GaussianBump, Impulse, Polynomial

LENGTH = 24
SIZES = [1, 4]
CLASSES = {
    "plain": LinearRecurrence(),
    "feed-through": LinearRecurrence(feed_through=True),
    "real poles": LinearRecurrence(poles="real"),
    "any readout": LinearRecurrence(readout="static"),
}


KERNELS = [
    torch.randn(LENGTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
    Impulse(alpha=9).values(LENGTH),
    Impulse(alpha=20).values(LENGTH),
    Airy(alpha=15, width=3.0).values(LENGTH),
    Polynomial(alpha=0.7).values(LENGTH),
    GaussianBump(alpha=11.0, width=2.0).values(LENGTH).flip(0),
]


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("weighting", ["uniform", "window"])
def test_no_bound_is_above_what_is_attained(kind, weighting):
    for rho in KERNELS if kind in ("plain", "feed-through") else KERNELS[:2]:
        problem = Problem(rho, weighting)
        for floor in CLASSES[kind].floors(problem, SIZES):
            assert 0 <= floor.lower <= floor.attained <= 1 + 1e-12
            assert floor.attained == problem.nmse(floor.fit.taps(LENGTH))
            assert floor.binding
            assert floor.how


@pytest.mark.parametrize("weighting", ["uniform", "window"])
@pytest.mark.parametrize("seed", range(2))
def test_both_are_zero_where_the_states_suffice(seed, weighting):
    generator = torch.Generator().manual_seed(seed)
    poles = 0.9 * torch.rand(3, generator=generator, dtype=torch.float64)
    gains = torch.randn(3, generator=generator, dtype=torch.float64)
    rho = (gains[:, None] * poles[:, None] ** torch.arange(LENGTH)).sum(0)
    few, enough, more = LinearRecurrence().floors(Problem(rho, weighting), [2, 3, 6])
    assert few.lower > 0
    assert enough.attained <= 1e-10
    assert enough.lower <= 1e-10
    assert more.attained <= enough.attained


def test_the_construction_comes_near_the_bound():
    for floor in LinearRecurrence().floors(Problem(Polynomial(alpha=1.1).values(64)), [2, 4]):
        assert floor.attained < 30 * floor.lower


def test_more_freedom_lowers_the_floor():
    problem = Problem(GaussianBump(alpha=8.0, width=2.0).values(LENGTH))
    plain, real = (kind.floors(problem, [4])[0] for kind in (CLASSES["plain"], CLASSES["real poles"]))
    assert real.attained > plain.attained
    delay = Problem(Impulse(alpha=5).values(LENGTH))
    plain, fed = (kind.floors(delay, [5])[0] for kind in (CLASSES["plain"], CLASSES["feed-through"]))
    assert plain.lower > 0.1
    assert fed.attained == 0


def test_any_readout_says_what_input_it_asks_for():
    [floor] = CLASSES["any readout"].floors(Problem(Impulse(alpha=5).values(LENGTH)), [2])
    assert "Gaussian" in floor.how


def test_floors_come_in_the_order_of_the_sizes():
    problem = Problem(Polynomial(alpha=0.9).values(LENGTH))
    floors = LinearRecurrence().floors(problem, [4, 1, 2])
    assert [floor.size for floor in floors] == [4, 1, 2]
    ordered = sorted(floors, key=lambda floor: floor.size)
    assert all(a.lower >= b.lower and a.attained >= b.attained for a, b in pairwise(ordered))


def test_a_size_of_no_states_is_refused():
    with pytest.raises(ConfigError, match="at least 1 state"):
        LinearRecurrence().floors(Problem(torch.ones(4, dtype=torch.float64)), [0])
