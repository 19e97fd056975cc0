"""Tasks on tokens: at some positions of a sequence a token is asked for."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.tasks.base import Batch
from recollect.tasks.sequence import SequenceTask

BLANK = 0
"""The token that says nothing."""

IGNORED = -100
"""The target of a position that is not asked."""


class TokenTask(SequenceTask):
    """What all tasks on tokens share: cross-entropy at the asked positions, accuracy as the score."""

    criterion: ClassVar[str] = "accuracy"
    is_tokens: ClassVar[bool] = True

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, the blank included."""
        raise NotImplementedError

    @property
    def input_size(self) -> int:
        return self.vocabulary_size

    @property
    def output_size(self) -> int:
        return self.vocabulary_size

    def loss(self, outputs: Float[Tensor, "asked outputs"], batch: Batch) -> Float[Tensor, ""]:
        """Cross-entropy, in nats, averaged over the asked positions."""
        return torch.nn.functional.cross_entropy(outputs, batch.targets[batch.mask])
