"""Tasks on vectors: at some positions of a sequence a vector is asked for."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from recollect.tasks.base import Batch
from recollect.tasks.sequence import SequenceTask


class ContinuousTask(SequenceTask):
    """What all tasks on vectors share: the squared error at the asked positions, the NMSE as the score."""

    criterion: ClassVar[str] = "nmse"
    is_tokens: ClassVar[bool] = False

    def loss(self, outputs: Float[Tensor, "asked outputs"], batch: Batch) -> Float[Tensor, ""]:
        """Mean squared error over the asked positions."""
        return (outputs - batch.targets[batch.mask]).square().mean()
