"""Induction heads: which token followed the trigger when it stood here last?

The pattern `.. a b .. a` -> `b` of Olsson et al. (2022, arXiv:2209.11895), in the spirit of the synthetic
task of H3 (arXiv:2212.14052) and Mamba (arXiv:2312.00752): one trigger, asked at the last position, tested
at many lengths.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator

from recollect.core import derive_seed, integers
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.tokens import IGNORED, TokenTask

TRIGGER = 1
"""The token that is shown twice."""

_FIRST_CONTENT = 2


class Induction(TokenTask):
    """Random tokens with one trigger among them and another at the end, where its successor is asked.

    Token 0 is the blank (not used), 1 the trigger; the others are drawn uniformly, and so is the first
    trigger's position on 0..length-3. Scores are grouped by the gap between the triggers, as the largest
    power of two that it reaches.

    Attributes:
        length: positions.
        vocabulary: number of tokens, blank and trigger included.
        test_lengths: further lengths that a trained model is tested at.

    Example:
        >>> batch = Induction(length=9, vocabulary=12).batch(seed=0, split="train", start=0, count=1)
        >>> first = int((batch.inputs[0] == TRIGGER).nonzero()[0])
        >>> bool(batch.targets[0, -1] == batch.inputs[0, first + 1])
        True
    """

    grouped_by: ClassVar[str | None] = "gap"

    kind: Literal["induction"] = "induction"
    length: int = Field(default=64, ge=3)
    vocabulary: int = Field(default=18, ge=3)
    test_lengths: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _meaningful(self) -> "Induction":
        if any(length < 3 for length in self.test_lengths):
            raise ValueError(f"`test_lengths`={self.test_lengths} must be at least 3 each")
        return self

    @property
    def vocabulary_size(self) -> int:
        return self.vocabulary

    @property
    def guess(self) -> float:
        """Accuracy of any guess that does not read the trigger's successor."""
        return 1 / (self.vocabulary - _FIRST_CONTENT)

    def test_tasks(self) -> "tuple[Induction, ...]":
        """The task itself, then at each of the other lengths."""
        others = [self.model_copy(update={"length": n, "test_lengths": ()}) for n in self.test_lengths]
        return (self, *others)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        kinds = self.vocabulary - _FIRST_CONTENT
        inputs = _FIRST_CONTENT + integers(derive_seed(seed, "induction", split), indices, length, kinds)
        first = integers(derive_seed(seed, "induction-place", split), indices, 1, length - 2)
        inputs.scatter_(1, first, TRIGGER)
        inputs[:, -1] = TRIGGER
        targets, groups = torch.full_like(inputs, IGNORED), torch.full_like(inputs, IGNORED)
        targets[:, -1:] = inputs.gather(1, first + 1)
        groups[:, -1:] = _power_of_two(length - 1 - first)
        return Batch(inputs, targets, targets != IGNORED, groups)


def _power_of_two(numbers: torch.Tensor) -> torch.Tensor:
    """The largest power of two that does not exceed a number (exact: the exponent of its binary form)."""
    return 2 ** (torch.frexp(numbers.double()).exponent.long() - 1)
