"""What a context writes: each pair once or in several passes, keys written again, chains of two pairs."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from recollect.core.shapes import Indices
from recollect.tasks.sampling import Draws, distinct


class Writes(NamedTuple):
    """What a context writes, in order, and what is asked about it afterwards.

    Attributes:
        keys: key of each pair that is written.
        values: its value.
        asked: keys that are asked.
        answers: what each stands for at the end of the context.
        written: which of the pairs says so, counted from the start.
    """

    keys: Draws
    values: Draws
    asked: Draws
    answers: Draws
    written: Draws


Seeds = Callable[[str], int]
"""The seed of a purpose."""


def simple_writes(seeds: Seeds, indices: Indices, num_pairs: int, vocabulary: int) -> Writes:
    """Different keys from the lower half of the vocabulary, different values from the upper half."""
    half = vocabulary // 2
    keys = 1 + distinct(seeds("keys"), indices, num_pairs, half - 1)
    values = half + distinct(seeds("values"), indices, num_pairs, half)
    return Writes(keys, values, keys, values, _order(keys))


def forgetting_writes(
    seeds: Seeds, indices: Indices, num_pairs: int, vocabulary: int, rewrites: int
) -> Writes:
    """All pairs, then `rewrites` of their keys again, each with a value not seen before: the last counts."""
    half = vocabulary // 2
    keys = 1 + distinct(seeds("keys"), indices, num_pairs, half - 1)
    values = half + distinct(seeds("values"), indices, num_pairs + rewrites, half)
    again = distinct(seeds("rewrites"), indices, rewrites, num_pairs)
    first, last = values.split([num_pairs, rewrites], dim=1)
    return Writes(
        keys=torch.cat([keys, keys.gather(1, again)], dim=1),
        values=values,
        asked=keys,
        answers=first.scatter(1, again, last),
        written=_order(keys).scatter(1, again, num_pairs + _order(again)),
    )


def two_hop_writes(seeds: Seeds, indices: Indices, num_pairs: int, vocabulary: int) -> Writes:
    """A table `start -> middle`, then one `middle -> end` in another order; asked at a start is its end.

    Starts and middles are all different, and from the lower half of the vocabulary; ends are from the upper.
    """
    half = vocabulary // 2
    keys = 1 + distinct(seeds("keys"), indices, 2 * num_pairs, half - 1)
    ends = half + distinct(seeds("values"), indices, num_pairs, half)
    starts, middles = keys.split(num_pairs, dim=1)
    order = distinct(seeds("order"), indices, num_pairs, num_pairs)
    return Writes(
        keys=torch.cat([starts, middles.gather(1, order)], dim=1),
        values=torch.cat([middles, ends.gather(1, order)], dim=1),
        asked=starts,
        answers=ends,
        written=_order(starts),
    )


def in_passes(writes: Writes, passes: int) -> Writes:
    """The whole context `passes` times over; what counts is the last time."""
    each = writes.keys.shape[1]
    return writes._replace(
        keys=writes.keys.repeat(1, passes),
        values=writes.values.repeat(1, passes),
        written=writes.written + (passes - 1) * each,
    )


def _order(tokens: Draws) -> Draws:
    return torch.arange(tokens.shape[1], device=tokens.device).expand(len(tokens), -1)
