r"""Multi-query associative recall (MQAR; Arora, Eyuboglu et al. 2023, arXiv:2312.04927).

A context writes $n$ pairs `k1 v1 k2 v2 ... kn vn`; in the rest each key is asked once more, and where it
stands its value is asked for. The slots of the rest, of two positions each, are drawn one after the other
without replacement, slot $j$ with probability proportional to $a j^{a-1}$: with a small $a$ most questions
come soon after the context.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from recollect.core import derive_seed, integers
from recollect.core.shapes import Indices, Labels, Mask, Tokens
from recollect.tasks.base import Batch, Split
from recollect.tasks.recall_variants import (
    Seeds,
    Writes,
    forgetting_writes,
    in_passes,
    simple_writes,
    two_hop_writes,
)
from recollect.tasks.sampling import power_law
from recollect.tasks.tokens import BLANK, IGNORED, TokenTask

_BLOCK_TOKENS = 2**16
_GPU_BLOCK_TOKENS = 2**24


class MQAR(TokenTask):
    r"""Recall the values of several keys.

    Keys are different tokens of `1 .. vocabulary/2 - 1`, values different tokens of
    `vocabulary/2 .. vocabulary - 1`. The target of a question stands at the question itself, and the
    question on the first position of its slot. Guessing one of the values of the context is right once in
    `num_pairs`.

    Attributes:
        length: positions L; even unless `stacked`, and `4 num_pairs` or more in the plain form.
        num_pairs: pairs n that are asked.
        vocabulary: number of tokens V, even, the blank (0) included.
        power: exponent a of the law of the slots. Where all slots are used it only orders the questions.
        fillers: what stands at the positions of the rest that are not questions: blanks, or tokens drawn
            uniformly from the whole vocabulary. Such a token happens to be a key of the context at about
            `n (L - 3n) / V` positions of an example. It is not asked, but it misleads a reader that answers
            with the token after the last earlier occurrence of the key, wherever it is: after m fillers such
            a reader is right with probability `(1 - 1/V)^m`, which is 95.3 % of the questions at V=256, L=64,
            n=4, and 99.8 % at V=8192. Take blanks where the vocabulary is small.
        passes: how many times over the whole context is written.
        rewrites: so many of the keys are written once more, after the others, each with a value of its own;
            the last value is the one that is asked (forgetting).
        hops: with 2 the context writes a table `start -> middle` and then a table `middle -> end` in
            another order; asked at a start is its end (composition).
        stacked: whether key and value stand together at one position, as two tokens whose embeddings a
            model adds, `(B, T, 2)`; a question is then a key and a blank, and a slot is one position. No
            convolution is needed to tie a key to its value.

    Batches are grouped by the gap: positions between the last place where the pair is written (where its
    start is, for two hops) and the question; -1 elsewhere.

    Raises:
        ValidationError: the vocabulary or the length is too small, or options exclude each other.

    Cost: about O(L + n log n) integer operations an example, drawn in blocks of bounded memory.

    Example:
        >>> task = MQAR(length=16, num_pairs=2, vocabulary=20, fillers="blank")
        >>> batch = task.batch(seed=0, split="train", start=0, count=3)
        >>> key, value = batch.inputs[0, :2]
        >>> bool(batch.targets[0][batch.mask[0] & (batch.inputs[0] == key)] == value)
        True
    """

    grouped_by: ClassVar[str | None] = "gap"

    kind: Literal["mqar"] = "mqar"
    length: PositiveInt
    num_pairs: PositiveInt
    vocabulary: PositiveInt = 8192
    power: PositiveFloat = 0.01
    fillers: Literal["blank", "random"] = "random"
    passes: PositiveInt = 1
    rewrites: NonNegativeInt = 0
    hops: Literal[1, 2] = 1
    stacked: bool = False

    @model_validator(mode="after")
    def _meaningful(self) -> "MQAR":
        n, half = self.num_pairs, self.vocabulary // 2
        if self.rewrites > n:
            raise ValueError(f"`rewrites`={self.rewrites} must be at most num_pairs={n}")
        if self.rewrites and self.hops == 2:
            raise ValueError("`rewrites` and hops=2 exclude each other: set rewrites=0 or hops=1")
        needed = 2 * max(self.hops * n + 1, n + self.rewrites)
        if self.vocabulary % 2 or self.vocabulary < needed:
            raise ValueError(
                f"`vocabulary`={self.vocabulary} must be even and at least {needed}, for {self.hops * n} "
                f"keys in 1..{half - 1} and {n + self.rewrites} values in {half}..{self.vocabulary - 1}"
            )
        self._check(self.length)
        return self

    @property
    def vocabulary_size(self) -> int:
        return self.vocabulary

    @property
    def guess(self) -> float:
        """Accuracy of answering with any of the values that the context ends with."""
        return 1 / self.num_pairs

    def facts(self) -> dict[str, Any]:
        shown = ("num_pairs", "vocabulary", "fillers", "passes", "rewrites", "hops", "stacked")
        return super().facts() | {name: getattr(self, name) for name in shown}

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        self._check(length)

        def seeds(purpose: str) -> int:
            return derive_seed(seed, f"mqar-{purpose}", split)

        batch = _nothing_asked(len(indices), length, 2 if self.stacked else 1, indices.device)
        # Blocks bound what is held beside the result; those that fit the processor's cache halve the time.
        tokens = _BLOCK_TOKENS if indices.device.type == "cpu" else _GPU_BLOCK_TOKENS
        rows = max(1, tokens // length)
        for first in range(0, len(indices), rows):
            block = slice(first, first + rows)
            self._draw(seeds, indices[block], *(part[block] for part in batch))
        inputs, *rest = batch
        return Batch(inputs if self.stacked else inputs[..., 0], *rest)

    def _draw(
        self, seeds: Seeds, indices: Indices, inputs: Tokens, targets: Labels, mask: Mask, groups: Labels
    ) -> None:
        """Draw the examples `indices` into the rows given."""
        writes = self._writes(seeds, indices)
        context, rest = inputs.tensor_split([self._context], dim=1)
        # Keys and values alternate, along the positions or within one.
        context.copy_(torch.stack([writes.keys, writes.values], dim=-1).view_as(context))
        if self.fillers == "random":
            tokens = integers(seeds("fillers"), indices, rest[0].numel(), self.vocabulary)
            rest.copy_(tokens.view_as(rest))
        num_slots = rest.shape[1] // self._width
        slots = power_law(seeds("slots"), indices, self.num_pairs, num_slots, self.power)
        at = self._context + self._width * slots
        question = torch.stack([writes.asked, torch.full_like(at, BLANK)], dim=-1)[..., : inputs.shape[2]]
        inputs.scatter_(1, at[..., None].expand_as(question), question)
        targets.scatter_(1, at, writes.answers)
        mask.scatter_(1, at, True)
        groups.scatter_(1, at, at - self._width * writes.written)

    def _writes(self, seeds: Seeds, indices: Indices) -> Writes:
        if self.hops == 2:
            writes = two_hop_writes(seeds, indices, self.num_pairs, self.vocabulary)
        elif self.rewrites:
            writes = forgetting_writes(seeds, indices, self.num_pairs, self.vocabulary, self.rewrites)
        else:
            writes = simple_writes(seeds, indices, self.num_pairs, self.vocabulary)
        return in_passes(writes, self.passes)

    @property
    def _width(self) -> int:
        """Positions that a pair takes, and a slot."""
        return 1 if self.stacked else 2

    @property
    def _context(self) -> int:
        """Positions that the context takes."""
        return self._width * self.passes * (self.hops * self.num_pairs + self.rewrites)

    def _check(self, length: int) -> None:
        """Whether an example of this length is possible."""
        needed = self._context + self._width * self.num_pairs
        if length % self._width:
            raise ValueError(f"expected an even `length`, got {length}: take {length + 1}, or stacked=True")
        if length < needed:
            raise ValueError(
                f"expected `length` >= {needed} for {self.num_pairs} pairs ({self._context} positions for "
                f"the context and {self._width} for each question), got {length}: take a longer one or "
                f"fewer pairs"
            )


def _nothing_asked(
    count: int, length: int, slots: int, device: torch.device | str
) -> tuple[Tokens, Labels, Mask, Labels]:
    """Blanks, with nothing asked."""
    whole = (count, length)
    return (
        torch.full((*whole, slots), BLANK, device=device),
        torch.full(whole, IGNORED, device=device),
        torch.zeros(whole, dtype=torch.bool, device=device),
        torch.full(whole, -1, device=device),
    )
