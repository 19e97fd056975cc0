"""Selective copying: tokens scattered among blanks, to be repeated in order.

In the spirit of mechanistic architecture design (Poli et al. 2024, arXiv:2403.17844): each blank stands
before one of the tokens, all equally likely, so that the last token is followed by the signal at once.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator

from recollect.core import derive_seed, integers
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.copying import FIRST_CONTENT, check_room, copy_batch
from recollect.tasks.mad.base import MadTask


class SelectiveCopying(MadTask):
    """`. c1 . . c2 c3`, the signal, then n positions at which `c1 c2 c3` are asked.

    Token 0 is the blank, 1 the signal; the others are copied, each drawn uniformly. Scores are grouped by
    the token's place in the string.

    Attributes:
        length: positions.
        num_tokens: tokens to copy.

    Example:
        >>> batch = SelectiveCopying(length=12, num_tokens=3).batch(0, "train", 0, 1)
        >>> content = batch.inputs[batch.inputs > 1]
        >>> torch.equal(content, batch.targets[0, -3:])
        True
    """

    grouped_by: ClassVar[str | None] = "place"

    kind: Literal["mad_selective_copying"] = "mad_selective_copying"
    length: int = Field(default=256, ge=3)
    num_tokens: int = Field(default=16, ge=1)

    @model_validator(mode="after")
    def _meaningful(self) -> "SelectiveCopying":
        check_room(self.length, self.num_tokens)
        return self

    @property
    def guess(self) -> float:
        """Accuracy of any guess that knows nothing of the string."""
        return 1 / (self.vocabulary - FIRST_CONTENT)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        n = self.num_tokens
        check_room(length, n)
        kinds = self.vocabulary - FIRST_CONTENT
        content = FIRST_CONTENT + integers(derive_seed(seed, "mad-content", split), indices, n, kinds)
        blanks = integers(derive_seed(seed, "mad-blanks", split), indices, length - 2 * n - 1, n)
        before = torch.zeros_like(content).scatter_add_(1, blanks, torch.ones_like(blanks)).cumsum(dim=1)
        return copy_batch(content, before + torch.arange(n, device=indices.device), length)
