"""Tasks on vectors: at some positions of a sequence a vector is asked for."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core import Config
from recollect.tasks.base import Batch, Split, Task
from recollect.tasks.tokens import label_kind, label_of


class ContinuousTask(Config):
    """What all tasks on vectors share: the squared error at the asked positions.

    A task of its own defines `kind`, its fields, `input_size`, `output_size` and `batch`; `grouped_by`
    where its batches have groups, and `guess` where guessing well has a name.
    """

    is_trained: ClassVar[bool] = True
    criterion: ClassVar[str] = "nmse"
    is_tokens: ClassVar[bool] = False
    asks_everywhere: ClassVar[bool] = False
    grouped_by: ClassVar[str | None] = None

    length: int

    @property
    def guess(self) -> float | None:
        """NMSE of the best guess that does not recall; None where it is not known."""
        return None

    @property
    def input_size(self) -> int:
        """Channels of the inputs."""
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        """Channels of what is asked for."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """The kind, and whatever differs from the default."""
        return label_of(self)

    def facts(self) -> dict[str, Any]:
        return {"kind": label_kind(self), "length": self.length, "guess": self.guess}

    def test_tasks(self) -> tuple[Task, ...]:
        return (self,)

    def batch(
        self,
        seed: int,
        split: Split,
        start: int,
        count: int,
        *,
        length: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Batch:
        raise NotImplementedError

    def answers(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
        return outputs, batch

    def loss(self, outputs: Float[Tensor, "asked outputs"], batch: Batch) -> Float[Tensor, ""]:
        """Mean squared error over the asked positions."""
        return (outputs - batch.targets[batch.mask]).square().mean()
