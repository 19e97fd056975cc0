from itertools import permutations

import pytest
import torch

from recollect.core import ConfigError
from recollect.tasks import Task
from recollect.tasks.state_tracking import StateTracking, multiplication_table

GROUPS = [("parity", 2, 2), ("modular", 7, 7), ("s3", 5, 6), ("s5", 5, 120)]


def make(group, modulus=5, **fields):
    modular = {"modulus": modulus} if group == "modular" else {}
    return StateTracking.parse({"group": group, "length": 9} | modular | fields)


@pytest.fixture(params=GROUPS, ids=[group for group, _, _ in GROUPS])
def task(request):
    return make(*request.param[:2])


def test_the_table_is_that_of_a_group(task):
    table = multiplication_table(task.group, task.order)
    elements = torch.arange(task.order)
    assert table.shape == (task.order, task.order)
    for rows in (table, table.T):
        assert torch.equal(rows.sort(dim=1).values, elements.expand_as(table))
    assert torch.equal(table[0], elements)
    assert torch.equal(table[:, 0], elements)
    assert (table == 0).sum(1).eq(1).all()
    # (c b) a = c (b a) for every a, b and c.
    assert torch.equal(table[table], table[:, table])


def test_the_orders_are_those_of_the_groups():
    assert [make(group, modulus).order for group, modulus, _ in GROUPS] == [order for _, _, order in GROUPS]
    assert torch.equal(multiplication_table("modular", 7), multiplication_table("modular", 7).T)
    for group, points in [("s3", 3), ("s5", 5)]:
        table = multiplication_table(group, make(group).order)
        assert not torch.equal(table, table.T)
        assert points == 3 or len(table) == 120


@pytest.mark.parametrize("group", ["s3", "s5"])
@pytest.mark.parametrize("length", [1, 2, 8, 13])
def test_permutations_are_applied_one_after_the_other(group, length):
    points = int(group[1])
    images = list(permutations(range(points)))
    batch = make(group).batch(1, "train", 0, 20, length=length)
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        # Where each point has been carried to so far.
        carried = list(range(points))
        for token, target in zip(inputs, targets, strict=True):
            carried = [images[token - 1][point] for point in carried]
            assert images[target - 1] == tuple(carried)


@pytest.mark.parametrize(("group", "modulus"), [("parity", 2), ("modular", 7)])
def test_sums_are_cumulative_sums_modulo_the_modulus(group, modulus):
    batch = make(group, modulus).batch(1, "train", 0, 30, length=21)
    assert torch.equal(batch.targets - 1, (batch.inputs - 1).cumsum(1) % modulus)


def test_every_position_is_asked_and_is_its_own_group(task):
    batch = task.batch(0, "test", 0, 3)
    assert isinstance(task, Task)
    assert batch.mask.all()
    assert batch.groups.tolist() == [list(range(9))] * 3
    assert task.vocabulary_size == 1 + task.order
    assert int(batch.inputs.min()) >= 1


def test_the_guess_is_the_best_that_reads_the_present_input_alone():
    task = make("s3")
    batch = task.batch(0, "train", 0, 30_000)
    counts = torch.zeros(9, 7, 7)
    for t in range(9):
        counts[t].index_put_((batch.inputs[:, t], batch.targets[:, t]), torch.tensor(1.0), accumulate=True)
    best = float(counts.max(dim=2).values.sum() / batch.targets.numel())
    assert task.guess == pytest.approx((1 + 8 / 6) / 9)
    assert best == pytest.approx(task.guess, abs=0.01)


def test_an_example_depends_on_seed_split_and_index_alone(task):
    whole, part = task.batch(5, "train", 0, 20), task.batch(5, "train", 13, 4)
    for ours, theirs in zip(whole, part, strict=True):
        assert torch.equal(ours[13:17], theirs)
    assert not torch.equal(task.batch(5, "test", 13, 4).inputs, part.inputs)
    longer = task.batch(5, "train", 13, 4, length=20)
    assert torch.equal(longer.targets[:, :9], part.targets)


def test_it_is_tested_at_the_other_lengths_too():
    task = make("s3", test_lengths=[20, 50])
    assert task.test_tasks() == (task, make("s3", length=20), make("s3", length=50))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"group": "s4"}, "Input should be 'parity'"),
        ({"group": "s3", "modulus": 3}, "for group='modular' alone"),
        ({"group": "s3", "test_lengths": [0]}, "must be positive"),
        ({}, "'group' is required"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        StateTracking.parse(fields)
