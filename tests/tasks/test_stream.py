import itertools

import torch

from recollect.tasks import FunctionalTask, stream


def test_the_stream_holds_consecutive_examples_whatever_the_batch_size():
    task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 2}, "length": 600})
    by_seven = list(itertools.islice(stream(task, 4, "train", 7), 50))
    by_five = list(itertools.islice(stream(task, 4, "train", 5), 70))
    assert all(len(batch.inputs) == 7 for batch in by_seven)
    first, second = (torch.cat([batch.inputs for batch in batches]) for batches in (by_seven, by_five))
    assert torch.equal(first, second)
    assert torch.equal(first, task.batch(4, "train", 0, 350).inputs)
