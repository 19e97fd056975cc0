"""Batches for training: fresh ones without end, or those of a fixed set in a new order each epoch."""

from collections.abc import Iterator
from itertools import count

import torch

from recollect.core import derive_seed, random_words
from recollect.tasks.base import Batch, Split, Task
from recollect.tasks.mixture import Mixture

_BLOCK_VALUES = 2**17


def stream(
    task: Task,
    seed: int,
    split: Split,
    batch_size: int,
    *,
    examples: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Iterator[Batch]:
    """Batches of consecutive examples, starting with example 0 and never ending.

    Args:
        task: where examples come from; of a mixture each batch is drawn from one part.
        seed: of the examples.
        split: which examples.
        batch_size: examples a batch.
        examples: size of a fixed set, drawn once and shuffled anew each epoch; None draws fresh ones.
        dtype: of numbers.
        device: where they are drawn.
    """
    if isinstance(task, Mixture):
        parts: dict[Task, Iterator[Batch]] = {}
        for step in count():
            part = task.part_of(seed, split, step)
            if part not in parts:
                share = None if examples is None else task.examples_of(part, examples)
                parts[part] = stream(
                    part, seed, split, batch_size, examples=share, dtype=dtype, device=device
                )
            yield next(parts[part])
    elif examples is None:
        yield from _fresh(task, seed, split, batch_size, dtype, device)
    else:
        yield from _repeated(task, seed, split, batch_size, examples, dtype, device)


def _fresh(
    task: Task, seed: int, split: Split, batch_size: int, dtype: torch.dtype, device: torch.device | str
) -> Iterator[Batch]:
    """Several batches are drawn at once, so that small ones do not pay a hundred tiny kernel launches each.

    Since an example depends on its index alone, the blocks leave no trace in the data.
    """
    values = task.length * (1 if task.is_tokens else task.input_size)
    batches = max(1, _BLOCK_VALUES // (batch_size * values))
    for block in count():
        start = block * batches * batch_size
        drawn = task.batch(seed, split, start, batches * batch_size, dtype=dtype, device=device)
        for first in range(0, batches * batch_size, batch_size):
            yield _rows(drawn, slice(first, first + batch_size))


def _repeated(
    task: Task,
    seed: int,
    split: Split,
    batch_size: int,
    examples: int,
    dtype: torch.dtype,
    device: torch.device | str,
) -> Iterator[Batch]:
    """Whole batches only: what is left over at the end of an epoch waits for another order."""
    drawn = task.batch(seed, split, 0, examples, dtype=dtype, device=device)
    size = min(batch_size, examples)
    indices = torch.arange(examples, device=device)
    for epoch in count():
        # Equal words, once in 2^32, keep their order: `stable` makes that the same on every device.
        words = random_words(derive_seed(seed, "order", split, epoch), indices, 1)
        order = words.flatten().argsort(stable=True)
        for first in range(0, examples - size + 1, size):
            yield _rows(drawn, order[first : first + size])


def _rows(batch: Batch, rows: slice | torch.Tensor) -> Batch:
    groups = None if batch.groups is None else batch.groups[rows]
    return Batch(batch.inputs[rows], batch.targets[rows], batch.mask[rows], groups)
