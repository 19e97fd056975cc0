r"""Copying: repeat a string of tokens, in order, after a delay.

The copying problem of recurrent networks (Hochreiter, Schmidhuber 1997; Arjovsky, Shah, Bengio 2015,
arXiv:1511.06464): tokens, a delay of blanks, a signal, and as many blanks as there were tokens, at which
they are asked. Fed back its own answers, a model can look them up instead (arXiv:2402.01032).
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Int64
from pydantic import Field, model_validator
from torch import Tensor

from recollect.core import derive_seed, integers
from recollect.core.shapes import Indices, Labels
from recollect.tasks.base import Batch, Split
from recollect.tasks.tokens import BLANK, IGNORED, TokenTask

COPY = 1
"""The token after which the copy is asked."""

FIRST_CONTENT = 2
"""The lowest token that can be copied."""


class Copying(TokenTask):
    r"""`c1 .. cn`, blanks, the signal, then n positions at which `c1 .. cn` are asked.

    Token 0 is the blank, 1 the signal; the others are copied, each drawn uniformly. Scores are grouped by
    the token's place in the string.

    Attributes:
        length: positions; what is left by `2 num_tokens + 1` is the delay.
        num_tokens: tokens to copy.
        vocabulary: number of tokens, blank and signal included.
        feeds_back: whether the positions of the copy show the token copied last (at the signal the first
            one is asked then) instead of blanks.

    Example:
        >>> batch = Copying(length=9, num_tokens=3, vocabulary=10).batch(0, "train", 0, 1)
        >>> batch.inputs[0, 3:].tolist()
        [0, 0, 1, 0, 0, 0]
        >>> torch.equal(batch.targets[0, 6:], batch.inputs[0, :3])
        True
    """

    grouped_by: ClassVar[str | None] = "place"

    kind: Literal["copying"] = "copying"
    length: int = Field(default=64, ge=3)
    num_tokens: int = Field(default=16, ge=1)
    vocabulary: int = Field(default=16, ge=3)
    feeds_back: bool = False

    @model_validator(mode="after")
    def _meaningful(self) -> "Copying":
        check_room(self.length, self.num_tokens)
        return self

    @property
    def vocabulary_size(self) -> int:
        return self.vocabulary

    @property
    def guess(self) -> float:
        """Accuracy of any guess that knows nothing of the string."""
        return 1 / (self.vocabulary - FIRST_CONTENT)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        check_room(length, self.num_tokens)
        content = FIRST_CONTENT + integers(
            derive_seed(seed, "copying", split), indices, self.num_tokens, self.vocabulary - FIRST_CONTENT
        )
        places = torch.arange(self.num_tokens, device=indices.device).expand(len(indices), -1)
        batch = copy_batch(content, places, length)
        return _with_feedback(batch, content) if self.feeds_back else batch


def check_room(length: int, num_tokens: int) -> None:
    """Refuse a sequence that cannot hold a string, the signal and its copy."""
    if length < 2 * num_tokens + 1:
        raise ValueError(
            f"`length`={length} must hold `num_tokens`={num_tokens} twice and the signal: "
            f"expected at least {2 * num_tokens + 1}"
        )


def copy_batch(content: Int64[Tensor, "B n"], places: Int64[Tensor, "B n"], length: int) -> Batch:
    """`content` at its places among blanks, then the signal and blanks at which it is asked in order."""
    count, num_tokens = content.shape
    answers = slice(length - num_tokens, length)
    inputs = content.new_full((count, length), BLANK).scatter_(1, places, content)
    inputs[:, length - num_tokens - 1] = COPY
    targets = torch.full_like(inputs, IGNORED)
    targets[:, answers] = content
    groups = torch.full_like(inputs, IGNORED)
    groups[:, answers] = torch.arange(num_tokens, device=content.device)
    return Batch(inputs, targets, targets != IGNORED, groups)


def _with_feedback(batch: Batch, content: Labels) -> Batch:
    """The copy shifted by one: each position of it shows the token that was asked before."""
    num_tokens = content.shape[1]
    inputs = batch.inputs.clone()
    inputs[:, -num_tokens:] = content
    ahead = [part.roll(-1, dims=1) for part in (batch.targets, batch.mask, batch.groups) if part is not None]
    return Batch(inputs, *ahead)
