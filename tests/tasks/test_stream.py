import itertools

import torch

from recollect.tasks import MQAR, FunctionalTask, Mixture, stream


def test_the_stream_holds_consecutive_examples_whatever_the_batch_size():
    task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 2}, "length": 600})
    by_seven = list(itertools.islice(stream(task, 4, "train", 7), 50))
    by_five = list(itertools.islice(stream(task, 4, "train", 5), 70))
    assert all(len(batch.inputs) == 7 for batch in by_seven)
    first, second = (torch.cat([batch.inputs for batch in batches]) for batches in (by_seven, by_five))
    assert torch.equal(first, second)
    assert torch.equal(first, task.batch(4, "train", 0, 350).inputs)


MQAR_SMALL = {"vocabulary": 16, "num_pairs": 2}


def test_a_fixed_set_is_gone_through_once_an_epoch_in_a_new_order():
    task = MQAR(length=8, **MQAR_SMALL)
    whole = task.batch(3, "train", 0, 12)
    batches = list(itertools.islice(stream(task, 3, "train", 4, examples=12), 6))
    epochs = [torch.cat([batch.inputs for batch in batches[first : first + 3]]) for first in (0, 3)]
    assert not torch.equal(*epochs)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == sorted(whole.inputs.tolist())


def test_inputs_targets_and_masks_of_a_fixed_set_stay_together():
    task = MQAR(length=8, **MQAR_SMALL)
    whole = task.batch(3, "train", 0, 12)
    batch = next(stream(task, 3, "train", 4, examples=12))
    for row in range(4):
        index = whole.inputs.tolist().index(batch.inputs[row].tolist())
        for part, of_all in zip(batch, whole, strict=True):
            assert torch.equal(part[row], of_all[index])


def test_a_set_smaller_than_a_batch_is_the_batch():
    task = MQAR(length=8, **MQAR_SMALL)
    batches = list(itertools.islice(stream(task, 3, "train", 32, examples=5), 3))
    assert [len(batch.inputs) for batch in batches] == [5, 5, 5]


def test_each_batch_of_a_mixture_is_the_next_one_of_a_part():
    parts = tuple(MQAR(length=length, **MQAR_SMALL) for length in (8, 16))
    task = Mixture(parts=parts, examples=(3, 1))
    batches = list(itertools.islice(stream(task, 5, "train", 4), 12))
    lengths = [batch.inputs.shape[1] for batch in batches]
    assert lengths == [task.part_of(5, "train", step).length for step in range(12)]
    assert set(lengths) == {8, 16}
    for part in parts:
        of_part = torch.cat([batch.inputs for batch in batches if batch.inputs.shape[1] == part.length])
        assert torch.equal(of_part, part.batch(5, "train", 0, len(of_part)).inputs)
