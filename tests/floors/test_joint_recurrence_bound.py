"""Recurrences that share their states between inputs: none beats the bound of the Hankel blocks."""

import math

import pytest
import torch

from recollect.core import ConfigError
from recollect.floors.joint_recurrence_bound import joint_recurrence_bounds
from recollect.floors.problem import Problem
from recollect.floors.recurrence_bound import recurrence_bounds
from recollect.memory import Airy, DampedCosine, Exponential, GaussianBump, Impulse, Polynomial

LENGTH = 21
MEMORIES = {
    "delays": torch.stack([Impulse(alpha=3).values(LENGTH), Impulse(alpha=8).values(LENGTH)], 1),
    "mixed": torch.stack(
        [
            Polynomial(alpha=0.7).values(LENGTH),
            0.4 * Airy(alpha=6.0, width=2.0).values(LENGTH),
            GaussianBump(alpha=5.0, width=1.5).values(LENGTH),
        ],
        1,
    ),
    "noise": torch.randn(LENGTH, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64),
}


def random_systems(num_states, rng, count=200):
    """Dense, stable or not, Jordan blocks and rotations."""
    dense = torch.randn(count, num_states, num_states, generator=rng, dtype=torch.float64)
    dense = (
        dense * (0.2 + torch.rand(count, 1, 1, generator=rng, dtype=torch.float64)) / math.sqrt(num_states)
    )
    poles = torch.rand(60, 1, 1, generator=rng, dtype=torch.float64) * 2.1 - 1.05
    jordan = poles * torch.eye(num_states) + torch.ones(num_states - 1).double().diag(-1)
    return torch.cat([dense, jordan, 0 * jordan[:1] + torch.ones(num_states - 1).double().diag(-1)])


def observed(matrices, length):
    """[models, length, m]: the rows c A^s, each column of length 1; c is a random direction."""
    rows, generator = [], torch.Generator().manual_seed(2)
    row = torch.randn(len(matrices), 1, matrices.shape[1], generator=generator, dtype=torch.float64)
    for _ in range(length):
        rows.append(row)
        row = row @ matrices
    basis = torch.cat(rows, dim=1)
    return basis / basis.norm(dim=1, keepdim=True).clamp_min(1e-300)


@pytest.mark.parametrize("feed_through", [False, True])
@pytest.mark.parametrize("name", MEMORIES)
def test_no_recurrence_with_shared_states_beats_the_bound(name, feed_through, rng):
    memory = MEMORIES[name]
    asked = memory[1:] if feed_through else memory
    bounds = joint_recurrence_bounds(memory, [1, 2, 5], feed_through=feed_through)
    for num_states, bound in zip([1, 2, 5], bounds, strict=True):
        basis = observed(random_systems(num_states, rng), len(asked))
        left, values, _ = torch.linalg.svd(basis, full_matrices=False)
        left = left * (values > 1e-9 * values[:, :1])[:, None]
        inside = torch.einsum("nsm,si->nmi", left, asked).square().sum((1, 2))
        errors = (asked.square().sum() - inside) / memory.square().sum()
        assert float(errors.min()) >= bound.lower - 1e-12
        assert bound.lower > 0


@pytest.mark.parametrize("feed_through", [False, True])
def test_inputs_that_share_poles_have_no_floor_at_their_states_and_one_below(feed_through):
    turning = [DampedCosine(alpha=0.1, frequency=0.7, phase=phase).values(30) for phase in (0.0, 1.1, 2.0)]
    fading = Exponential(alpha=0.3).values(30)
    memory = torch.stack([turning[0], turning[1] + fading, 2 * fading - turning[2]], 1)
    below, at, above = joint_recurrence_bounds(memory, [2, 3, 4], feed_through=feed_through)
    assert below.lower > 1e-4
    assert (at.lower, above.lower) == (0.0, 0.0)


def test_modes_that_are_given_for_nothing_are_held_beside_the_states():
    lags = torch.arange(LENGTH, dtype=torch.float64)
    free = torch.stack([0.8**lags, lags * 0.8**lags], 1)
    memory = 2 * free[:, [0]] - 0.3 * free[:, [1]] + Exponential(alpha=0.9).values(LENGTH)[:, None]
    given, counted = (joint_recurrence_bounds(memory, [1, 2, 3], free=modes) for modes in (free, None))
    assert given[0].lower == 0.0
    assert [bound.lower > 0 for bound in counted] == [True, True, False]


@pytest.mark.parametrize("name", MEMORIES)
def test_given_modes_cost_less_than_states_and_no_recurrence_beside_them_beats_the_bound(name, rng):
    memory, lags = MEMORIES[name], torch.arange(LENGTH, dtype=torch.float64)
    free = torch.stack([0.7**lags, (-0.4) ** lags], 1)
    counted = joint_recurrence_bounds(memory, [3, 4])
    given = joint_recurrence_bounds(memory, [1, 2], free=free)
    for size, one, other in zip([1, 2], given, counted, strict=True):
        assert one.lower >= other.lower * 0.98
        basis = observed(random_systems(size, rng), LENGTH)
        left, values, _ = torch.linalg.svd(torch.cat([basis, free.expand(len(basis), -1, -1)], 2), False)
        left = left * (values > 1e-9 * values[:, :1])[:, None]
        inside = torch.einsum("nsm,si->nmi", left, memory).square().sum((1, 2))
        assert float((1 - inside / memory.square().sum()).min()) >= one.lower - 1e-12


def test_poles_that_are_not_shared_add_up():
    memory = torch.stack([Exponential(alpha=alpha).values(40) for alpha in (0.05, 0.4, 1.5)], 1)
    lowers = [bound.lower for bound in joint_recurrence_bounds(memory, [1, 2, 3])]
    assert lowers[0] > 1e-2
    assert lowers[1] > 1e-5
    assert lowers[2] == 0.0
    # Each input alone is held by one state.
    assert all(joint_recurrence_bounds(memory[:, [i]], [1])[0].lower == 0.0 for i in range(3))


@pytest.mark.parametrize("name", MEMORIES)
def test_the_bound_is_at_least_the_sum_of_those_of_each_input_and_falls_with_the_size(name):
    memory = MEMORIES[name]
    sizes = [1, 2, 3, 6, LENGTH]
    joint = [bound.lower * float(memory.square().sum()) for bound in joint_recurrence_bounds(memory, sizes)]
    alone = torch.zeros(len(sizes), dtype=torch.float64)
    for column in memory.mT:
        found = joint_recurrence_bounds(column[:, None], sizes)
        alone += torch.tensor([bound.lower for bound in found]).double() * column.square().sum()
    assert all(both >= one * (1 - 1e-12) for both, one in zip(joint, alone.tolist(), strict=True))
    assert joint == sorted(joint, reverse=True)
    assert joint[-1] == 0.0


def test_of_one_input_it_is_the_bound_of_a_recurrence_without_its_search_over_weights():
    rho = Polynomial(alpha=0.9).values(64)
    searched = recurrence_bounds(Problem(rho), [1, 3])
    plain = joint_recurrence_bounds(rho[:, None], [1, 3])
    for one, other in zip(plain, searched, strict=True):
        assert 0.2 * other.lower < one.lower <= other.lower * (1 + 1e-9)


def test_a_delay_of_one_input_has_its_closed_form():
    memory = torch.zeros(40, 2, dtype=torch.float64)
    memory[7, 1] = 3.0
    lowers = [bound.lower for bound in joint_recurrence_bounds(memory, [1, 2, 6, 8])]
    assert lowers == pytest.approx([7 / 8, 6 / 8, 2 / 8, 0.0], abs=1e-12)
    free = joint_recurrence_bounds(memory, [7], feed_through=True)
    assert free[0].lower == pytest.approx(0.0, abs=1e-12)


def test_a_size_below_one_is_refused():
    with pytest.raises(ConfigError, match="at least 1 state, got 0"):
        joint_recurrence_bounds(torch.ones(4, 2).double(), [0])
