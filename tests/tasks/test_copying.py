import pytest
import torch

from recollect.core import ConfigError
from recollect.tasks import Task
from recollect.tasks.copying import Copying
from recollect.tasks.tokens import IGNORED


def make(**fields):
    return Copying.parse({"length": 17, "num_tokens": 5, "vocabulary": 8} | fields)


def test_it_keeps_the_protocol():
    task = make()
    assert isinstance(task, Task)
    assert (task.input_size, task.output_size) == (8, 8)
    assert task.label == "copying(length=17, num_tokens=5, vocabulary=8)"
    assert task.facts() == {"kind": "copying", "length": 17, "guess": pytest.approx(1 / 6)}


@pytest.mark.parametrize("length", [11, 17, 30])
def test_the_string_is_asked_in_order_after_the_delay_and_the_signal(length):
    batch = make().batch(1, "train", 0, 40, length=length)
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        string = inputs[:5]
        assert all(token >= 2 for token in string)
        assert inputs == string + [0] * (length - 11) + [1] + [0] * 5
        assert targets == [IGNORED] * (length - 5) + string
    assert torch.equal(batch.groups[batch.mask], torch.arange(5).repeat(40))


def test_fed_back_each_position_asks_the_next_token_of_the_string():
    batch, plain = make(feeds_back=True).batch(1, "train", 0, 40), make().batch(1, "train", 0, 40)
    assert torch.equal(batch.inputs[:, :-5], plain.inputs[:, :-5])
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        string = inputs[:5]
        assert inputs[-6:] == [1, *string]
        assert targets == [IGNORED] * 11 + string + [IGNORED]
    assert torch.equal(batch.targets >= 0, batch.mask)
    assert torch.equal(batch.groups[batch.mask], torch.arange(5).repeat(40))


def test_an_example_depends_on_seed_split_and_index_alone():
    task = make()
    whole, part = task.batch(5, "train", 0, 20), task.batch(5, "train", 13, 4)
    assert torch.equal(whole.inputs[13:17], part.inputs)
    assert torch.equal(whole.targets[13:17], part.targets)
    for seed, split in [(6, "train"), (5, "test")]:
        assert not torch.equal(task.batch(seed, split, 13, 4).inputs, part.inputs)


def test_any_guess_is_right_as_often_as_stated():
    batch = make().batch(0, "test", 0, 4000)
    shares = batch.targets[batch.mask].bincount(minlength=8)[2:].double() / 20_000
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / 6), rtol=0, atol=0.013)


def test_a_string_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="at least 11"):
        make(length=10)
    with pytest.raises(ValueError, match="at least 11"):
        make().batch(0, "train", 0, 2, length=10)
