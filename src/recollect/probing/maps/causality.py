"""Whether a map is one of sequences at all: each by itself, and no output before its input."""

import torch
from torch import Tensor

from recollect.core import ConfigError
from recollect.probing.maps.guard import untouched
from recollect.probing.maps.sequence_map import SequenceMap


def check_causal(sequences: SequenceMap, length: int, seed: int = 0) -> None:
    """Refuse a map whose outputs depend on later inputs, or on other sequences of the batch.

    The last input of a random sequence is exchanged, and all of its neighbours: the earlier outputs must
    stay, up to rounding (of the largest output the machine epsilon of the dtype to the power 3/4).

    Cost: reading three sequences twice.

    Raises:
        ConfigError: names the first output that depends on what it must not see.

    Example:
        >>> from recollect.probing.maps import sequence_map
        >>> check_causal(sequence_map(lambda x: x.cumsum(1), input_size=1), length=8)
        >>> check_causal(sequence_map(lambda x: x.flip(1), input_size=1, name="flip"), length=8)
        Traceback (most recent call last):
        recollect.core.errors.ConfigError: flip is not causal: its output at position 0 depends on a later \
input (that at position 7 was changed). Only causal maps have a memory function: mask what is later.
    """
    with untouched(sequences, seed), torch.no_grad():
        x, other = sequences.draw(6, length, seed).chunk(2)
        later = x[1].clone()
        later[-1] = other[1, -1]
        changed = torch.stack([other[0], later, other[2]])
        position = _first_change(sequences, x, changed)
        if position is not None:
            neighbours = torch.stack([other[0], x[1], other[2]])
            raise ConfigError(_reason(sequences, x, neighbours, position))


def _reason(sequences: SequenceMap, x: Tensor, neighbours: Tensor, position: int) -> str:
    if _first_change(sequences, x, x) is not None:
        return (
            f"{sequences.name} gives two outputs for one input: it draws random numbers. Make it "
            "deterministic, or let it draw from a generator that starts anew at every call."
        )
    if _first_change(sequences, x, neighbours) is not None:
        return (
            f"{sequences.name}: the output for one sequence depends on the other sequences of the batch. "
            "Expected (batch, time, channels): build it with batch_first=True, or swap the axes."
        )
    return (
        f"{sequences.name} is not causal: its output at position {position} depends on a later input (that "
        f"at position {x.shape[1] - 1} was changed). Only causal maps have a memory function: mask what is "
        "later."
    )


def _first_change(sequences: SequenceMap, x: Tensor, changed: Tensor) -> int | None:
    """First position before the last at which the outputs for the middle sequence differ."""
    before, after = sequences.apply(x)[1, :-1], sequences.apply(changed)[1, :-1]
    if not len(before):
        return None
    tolerance = torch.finfo(before.dtype).eps ** 0.75 * before.abs().max()
    differs = ((before - after).abs() > tolerance).any(-1)
    return int(differs.nonzero()[0]) if differs.any() else None
