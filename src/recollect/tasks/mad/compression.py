r"""Compression: a whole sequence has to be read off what the model holds at its last position.

In the spirit of mechanistic architecture design (Poli et al. 2024, arXiv:2403.17844). There a small network
decodes the last position's vector, once for every position of the sequence, which it is told by a code
added to the vector. Here the decoder is the model's own, widened to $(T-1) V$ outputs: a linear map for
each position.
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from recollect.core import derive_seed, integers
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.mad.base import MadTask
from recollect.tasks.tokens import BLANK


class Compression(MadTask):
    """`c1 .. c(T-1) .`: at the last position, a blank, all the tokens before it are asked at once.

    Tokens are drawn uniformly from all but the blank. `targets` hold them at their own positions; the mask
    is the last position, whose outputs are the scores of `T-1` positions with `vocabulary` tokens each:
    `answers` tells them apart. Scores are grouped by position.

    Attributes:
        length: positions T.

    Example:
        >>> task = Compression(length=5, vocabulary=7)
        >>> batch = task.batch(seed=0, split="train", start=0, count=3)
        >>> scores, asked = task.answers(torch.zeros(3, task.output_size), batch)
        >>> scores.shape, asked.targets[asked.mask].shape
        (torch.Size([12, 7]), torch.Size([12]))
    """

    grouped_by: ClassVar[str | None] = "position"

    kind: Literal["mad_compression"] = "mad_compression"
    length: int = Field(default=32, ge=2)

    @property
    def output_size(self) -> int:
        return (self.length - 1) * self.vocabulary

    @property
    def guess(self) -> float:
        """Accuracy of any guess."""
        return 1 / (self.vocabulary - 1)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        if length != self.length:
            raise ValueError(f"expected `length`={self.length}, which the outputs are for, got {length}")
        draws = integers(
            derive_seed(seed, "mad-content", split), indices, self.length - 1, self.vocabulary - 1
        )
        inputs = torch.nn.functional.pad(1 + draws, (0, 1), value=BLANK)
        mask = torch.zeros_like(inputs, dtype=torch.bool)
        mask[:, -1] = True
        return Batch(inputs, inputs.clone(), mask)

    def loss(self, outputs: Float[Tensor, "B outputs"], batch: Batch) -> Float[Tensor, ""]:
        """Cross-entropy, in nats, averaged over the positions of the sequence."""
        scores, asked = self.answers(outputs, batch)
        return torch.nn.functional.cross_entropy(scores, asked.targets[asked.mask])

    def answers(
        self, outputs: Float[Tensor, "B outputs"], batch: Batch
    ) -> tuple[Float[Tensor, "asked vocabulary"], Batch]:
        """The outputs as the scores of each position's tokens, and the batch that asks each position."""
        scores = outputs.unflatten(1, (self.length - 1, self.vocabulary)).flatten(0, 1)
        positions = torch.arange(self.length, device=outputs.device).expand_as(batch.inputs)
        return scores, batch._replace(mask=~batch.mask, groups=positions)
