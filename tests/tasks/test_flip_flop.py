import pytest
import torch

from recollect.tasks import Task
from recollect.tasks.flip_flop import IGNORE, READ, WRITE, FlipFlop
from recollect.tasks.tokens import IGNORED


def make(**fields):
    return FlipFlop.parse({"length": 26, "ignored": 0.6} | fields)


@pytest.mark.parametrize("length", [4, 26, 70])
def test_each_read_asks_the_bit_written_last(length):
    batch = make().batch(2, "train", 0, 60, length=length)
    groups = batch.groups.tolist()
    for b, (inputs, targets) in enumerate(zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)):
        assert (inputs[0], inputs[-2]) == (WRITE, READ)
        bit, since = None, 0
        for t in range(0, length, 2):
            instruction, shown = inputs[t], inputs[t + 1]
            assert shown in (4, 5)
            assert targets[t + 1] == IGNORED
            since = 0 if instruction == WRITE else since + 1
            bit = shown if instruction == WRITE else bit
            if instruction == READ:
                assert targets[t] == shown == bit
                assert groups[b][t] == since
            else:
                assert targets[t] == IGNORED
    assert torch.equal(batch.mask, batch.targets >= 0)


def test_instructions_have_the_stated_shares():
    inputs = make(length=200).batch(0, "train", 0, 500).inputs[:, 2:-2:2].flatten()
    shares = inputs.bincount(minlength=4).double() / len(inputs)
    expected = torch.tensor([0.0, 0.2, 0.6, 0.2], dtype=torch.float64)
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.01)
    assert IGNORE == 2


def test_a_bit_is_a_fair_coin():
    task = make()
    assert isinstance(task, Task)
    batch = task.batch(0, "test", 0, 4000)
    share = (batch.targets[batch.mask] == 4).double().mean()
    assert float(share) == pytest.approx(task.guess, abs=0.03)


def test_an_example_depends_on_seed_split_and_index_alone():
    whole, part = make().batch(5, "train", 0, 20), make().batch(5, "train", 13, 4)
    for ours, theirs in zip(whole, part, strict=True):
        assert torch.equal(ours[13:17], theirs)
    assert not torch.equal(make().batch(5, "test", 13, 4).inputs, part.inputs)
