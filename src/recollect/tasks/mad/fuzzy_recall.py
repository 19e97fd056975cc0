"""In-context recall where keys and values are motifs: up to three tokens that belong together.

In the spirit of mechanistic architecture design (Poli et al. 2024, arXiv:2403.17844): there too keys and
values are ordered choices of different tokens, keys of every size are seen in training, and tests use keys
of the largest size; how the pair that is asked at the end is placed differs.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Int64
from pydantic import Field, model_validator
from torch import Tensor

from recollect.core import derive_seed, integers
from recollect.core.shapes import Indices, Labels, Mask
from recollect.tasks.base import Batch, Split
from recollect.tasks.mad.associations import (
    SlotMask,
    Slots,
    ask_next,
    draw_one,
    first_occurrence,
    most_frequent_value,
)
from recollect.tasks.mad.base import MadTask
from recollect.tasks.tokens import BLANK


class Motifs(NamedTuple):
    """A motif a slot, as numbers from 0; only the first few places are in use."""

    tokens: Int64[Tensor, "B n places"]
    is_used: Bool[Tensor, "B n places"]

    def at(self, slots: Int64[Tensor, "B m"]) -> "Motifs":
        """The motifs of other slots."""
        index = slots[..., None].expand(-1, -1, self.tokens.shape[-1])
        return Motifs(self.tokens.gather(1, index), self.is_used.gather(1, index))


class FuzzyRecall(MadTask):
    """Give, token by token, the value of every key that was there before.

    Token 0 is the blank, which fills the front; of the others the first half make up the keys, the second
    half the values. Sizes are uniform on 1..motif; outside of training all keys have size `motif`. The last
    key is one of those that came before, all with the same probability.

    Attributes:
        length: positions.
        motif: largest number of tokens of a key and of a value.
        next_token: train on every next token, as the public protocol does, not on the asked ones alone.

    Example:
        >>> task = FuzzyRecall(length=13, vocabulary=8)
        >>> batch = task.batch(seed=0, split="train", start=0, count=1)
        >>> bool(batch.mask.any())
        True
    """

    kind: Literal["mad_fuzzy_recall"] = "mad_fuzzy_recall"
    length: int = Field(default=128, ge=4)
    motif: int = Field(default=3, ge=1, le=4)
    next_token: bool = False

    @model_validator(mode="after")
    def _meaningful(self) -> "FuzzyRecall":
        if self.length < 4 * self.motif:
            raise ValueError(f"`length`={self.length} must hold two pairs, {4 * self.motif} tokens")
        if self._num_key_tokens < self.motif:
            raise ValueError(
                f"`vocabulary`={self.vocabulary} leaves {self._num_key_tokens} tokens for keys of "
                f"`motif`={self.motif} different ones; expected at least {2 * self.motif + 1}"
            )
        return self

    @property
    def guess(self) -> float:
        """Accuracy of the value's token seen most often so far."""
        return most_frequent_value(self, 1 + self._num_key_tokens, self.vocabulary - 1)

    @property
    def _num_key_tokens(self) -> int:
        return (self.vocabulary - 1) // 2

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        slots = length // 2
        num_keys = self._num_key_tokens
        keys = self._motifs(seed, "keys", split, indices, slots, num_keys)
        values = self._motifs(seed, "values", split, indices, slots, self.vocabulary - 1 - num_keys)
        first = first_occurrence(_number(keys, num_keys))
        values = values.at(first)
        size = keys.is_used.sum(-1) + values.is_used.sum(-1)
        # Room is left for the largest last pair, so that whichever is drawn fits in.
        is_kept = size.cumsum(dim=1) <= length - 2 * self.motif
        is_new = first == torch.arange(slots, device=indices.device)
        probe = draw_one(seed, split, indices, is_kept & is_new)

        order = torch.cat([torch.arange(slots, device=indices.device).expand(len(indices), -1), probe], dim=1)
        is_kept = torch.cat([is_kept, torch.ones_like(probe, dtype=torch.bool)], dim=1)
        is_asked = torch.cat([~is_new, torch.ones_like(probe, dtype=torch.bool)], dim=1)
        keys, values = keys.at(order), values.at(order)
        tokens = torch.cat([1 + keys.tokens, 1 + num_keys + values.tokens], dim=-1)
        is_used = torch.cat([keys.is_used, values.is_used], dim=-1) & is_kept[..., None]
        is_answer = torch.cat([torch.zeros_like(keys.is_used), values.is_used], dim=-1) & is_asked[..., None]
        tokens, is_answer = _packed(tokens.flatten(1), is_answer.flatten(1), is_used.flatten(1), length)
        return ask_next(tokens, is_answer, everywhere=self.next_token and split == "train")

    def _motifs(self, seed: int, part: str, split: Split, indices: Indices, slots: int, high: int) -> Motifs:
        places = torch.arange(self.motif, device=indices.device)
        if part == "keys" and split != "train":
            sizes = torch.full((len(indices), slots), self.motif, device=indices.device)
        else:
            sizes = 1 + integers(derive_seed(seed, f"mad-{part}-sizes", split), indices, slots, self.motif)
        tokens = _different(derive_seed(seed, f"mad-{part}", split), indices, slots, self.motif, high)
        return Motifs(tokens, places < sizes[..., None])


def _different(
    seed: int, indices: Indices, slots: int, places: int, high: int
) -> Int64[Tensor, "B n places"]:
    """In each slot `places` different numbers of 0..high-1, every ordered choice equally likely.

    The number at a place is the rank among those that are left; it moves up past each one that is taken.
    """
    drawn = torch.stack(
        [integers(derive_seed(seed, place), indices, slots, high - place) for place in range(places)], dim=-1
    )
    for place in range(1, places):
        for taken in drawn[..., :place].sort(dim=-1).values.unbind(-1):
            drawn[..., place] += drawn[..., place] >= taken
    return drawn


def _number(motifs: Motifs, high: int) -> Slots:
    """One number a motif: equal exactly where size and tokens are."""
    digits = torch.where(motifs.is_used, motifs.tokens + 1, 0)
    bases = (high + 1) ** torch.arange(digits.shape[-1], device=digits.device)
    return (digits * bases).sum(-1)


def _packed(tokens: Slots, is_answer: SlotMask, is_used: SlotMask, length: int) -> tuple[Labels, Mask]:
    """The used tokens in their order at the end of `length` positions, blanks before them."""
    place = is_used.cumsum(dim=1) - 1 + length - is_used.sum(dim=1, keepdim=True)
    # What is not used lands in a last column that is cut off.
    place = torch.where(is_used, place, length)
    packed = tokens.new_full((len(tokens), length + 1), BLANK).scatter_(1, place, tokens)
    answers = is_answer.new_zeros(len(tokens), length + 1).scatter_(1, place, is_answer)
    return packed[:, :length], answers[:, :length]
