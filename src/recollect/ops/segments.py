"""Reading a long sequence in segments whose tensors stay in the cache.

A chunkwise form treats all chunks at once, so its intermediate tensors grow with the length; once they are
larger than the cache, every operation waits for memory and time grows faster than the length. A segment is as
many chunks as fit, and a state joins it to the next one.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from recollect.core.shapes import HeadState

SEGMENT_NUMBERS = 2**20
"""How many numbers a segment may read; a segment has at least one chunk."""

Chunks = Callable[..., tuple[Tensor, HeadState]]
"""`chunks(*sequences, state, size)` to the outputs and the final state, by chunks of `size` positions."""


def in_segments(
    chunks: Chunks, sequences: tuple[Tensor, ...], state: HeadState, size: int
) -> tuple[Tensor, HeadState]:
    """What `chunks` gives for whole sequences, read segment by segment."""
    length = sequences[0].shape[1]
    numbers_of_a_chunk = size * sum(x.numel() for x in sequences) // length
    segment = size * max(1, SEGMENT_NUMBERS // max(1, numbers_of_a_chunk))
    outputs = []
    for pieces in zip(*(x.split(segment, dim=1) for x in sequences), strict=True):
        output, state = chunks(*pieces, state, size)
        outputs.append(output)
    return torch.cat(outputs, dim=1), state
