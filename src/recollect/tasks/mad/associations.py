"""Sequences of keys and values in which a key that comes again is asked for its value."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from recollect.core import derive_seed, integers, random_words
from recollect.core.shapes import Indices, Labels, Mask
from recollect.tasks.base import Batch, Split
from recollect.tasks.tokens import IGNORED, TokenTask

Slots = Int64[Tensor, "B n"]
SlotMask = Bool[Tensor, "B n"]

_GUESSED_EXAMPLES = 64


class Pairs(NamedTuple):
    """Pairs in the order of the sequence, as numbers from 0; `is_asked` where the key was there before."""

    keys: Slots
    values: Slots
    is_asked: SlotMask


def draw_pairs(
    seed: int, split: Split, indices: Indices, is_noise: SlotMask, num_keys: int, num_values: int
) -> Pairs:
    """Keys drawn with replacement, each with a value of its own for the length of the sequence.

    The last pair repeats one of the keys that came before, all with the same probability. Pairs that are
    noise take no part: their numbers mean nothing.
    """
    count = is_noise.shape[1]
    slots = torch.arange(count, device=indices.device)
    keys = integers(derive_seed(seed, "mad-keys", split), indices, count, num_keys)
    first = first_occurrence(torch.where(is_noise, -1 - slots, keys))
    is_new = (first == slots) & ~is_noise
    probe = draw_one(seed, split, indices, is_new & (slots < count - 1))
    keys[:, -1:], first[:, -1:] = keys.gather(1, probe), probe
    values = integers(derive_seed(seed, "mad-values", split), indices, count, num_values).gather(1, first)
    return Pairs(keys, values, (first != slots) & ~is_noise)


def draw_one(seed: int, split: Split, indices: Indices, among: SlotMask) -> Int64[Tensor, "B 1"]:
    """One of the marked slots of each example, all with the same probability."""
    priorities = random_words(derive_seed(seed, "mad-probe", split), indices, among.shape[1])
    return priorities.masked_fill(~among, -1).argmax(dim=1, keepdim=True)


def first_occurrence(numbers: Slots) -> Slots:
    """For each slot, the first one that holds the same number. Cost: one sort.

    Example:
        >>> first_occurrence(torch.tensor([[7, 3, 7, 3, 5]]))
        tensor([[0, 1, 0, 1, 4]])
    """
    ordered, order = numbers.sort(dim=1, stable=True)
    place = torch.arange(numbers.shape[1], device=numbers.device).expand_as(ordered)
    is_new = torch.ones_like(ordered, dtype=torch.bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    start = torch.where(is_new, place, 0).cummax(dim=1).values
    return torch.empty_like(order).scatter_(1, order, order.gather(1, start))


def ask_next(tokens: Labels, is_answer: Mask, *, everywhere: bool) -> Batch:
    """Ask for each answer one position ahead of it; `everywhere`: for every next token."""
    mask = torch.zeros_like(is_answer)
    mask[:, :-1] = True if everywhere else is_answer[:, 1:]
    return Batch(tokens, tokens.roll(-1, dims=1).masked_fill(~mask, IGNORED), mask)


def most_frequent_value(task: TokenTask, lowest: int, highest: int) -> float:
    """Accuracy of guessing the token of `lowest..highest` that the sequence held most often so far.

    Measured on 64 test examples: it knows which values there are, and associates nothing.
    """
    batch = task.batch(0, "test", 0, _GUESSED_EXAMPLES)
    values = torch.arange(lowest, highest + 1)
    seen = (batch.inputs[..., None] == values).cumsum(dim=1)
    guesses = lowest + seen.argmax(dim=-1)
    return float((guesses == batch.targets)[batch.mask].double().mean())
