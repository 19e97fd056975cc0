"""An endless stream of fresh batches: nothing is stored, nothing is ever seen twice."""

from collections.abc import Iterator
from itertools import count

import torch

from recollect.tasks.base import Batch, Split, Task

_BLOCK_VALUES = 2**17


def stream(
    task: Task,
    seed: int,
    split: Split,
    batch_size: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Iterator[Batch]:
    """Batches of consecutive examples, starting with example 0.

    Several batches are drawn at once, so that small ones do not pay a hundred tiny kernel launches each;
    since an example depends on its index alone, the blocks leave no trace in the data.
    """
    batches = max(1, _BLOCK_VALUES // (batch_size * task.length * task.input_size))
    for block in count():
        start = block * batches * batch_size
        drawn = task.batch(seed, split, start, batches * batch_size, dtype=dtype, device=device)
        yield from map(Batch._make, zip(*(part.split(batch_size) for part in drawn), strict=True))
