import pytest
import torch

from recollect.core import ConfigError
from recollect.tasks import Task
from recollect.tasks.induction import Induction


def make(**fields):
    return Induction.parse({"length": 13, "vocabulary": 9} | fields)


@pytest.mark.parametrize("length", [3, 13, 40])
def test_the_successor_of_the_first_trigger_is_asked_at_the_second(length):
    batch = make().batch(2, "train", 0, 80, length=length)
    assert batch.mask.nonzero()[:, 1].eq(length - 1).all()
    for b, inputs in enumerate(batch.inputs.tolist()):
        first = inputs.index(1)
        assert [t for t, token in enumerate(inputs) if token == 1] == [first, length - 1]
        assert first < length - 2
        assert batch.targets[b, -1] == inputs[first + 1] >= 2
        group, gap = int(batch.groups[b, -1]), length - 1 - first
        assert group <= gap < 2 * group
        assert group.bit_count() == 1


def test_the_first_trigger_stands_anywhere_alike():
    batch = make().batch(0, "train", 0, 11_000)
    counts = (batch.inputs[:, :11] == 1).sum(0)
    assert (counts - 1000).abs().max() < 5 * 32


def test_it_is_tested_at_the_other_lengths_too():
    task = make(test_lengths=[20, 50])
    assert isinstance(task, Task)
    assert [setting.length for setting in task.test_tasks()] == [13, 20, 50]
    assert task.test_tasks()[2] == make(length=50)
    assert task.guess == pytest.approx(1 / 7)


def test_an_example_depends_on_seed_split_and_index_alone():
    whole, part = make().batch(5, "train", 0, 20), make().batch(5, "train", 13, 4)
    for ours, theirs in zip(whole, part, strict=True):
        assert torch.equal(ours[13:17], theirs)
    assert not torch.equal(make().batch(5, "test", 13, 4).inputs, part.inputs)


def test_a_length_without_room_is_refused():
    with pytest.raises(ConfigError, match="at least 3 each"):
        make(test_lengths=[2])
