"""What all tasks have in common that a model is trained on."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core import Config
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split, Task
from recollect.tasks.labels import label_kind, label_of


class SequenceTask(Config):
    """A task is one kind of example: it defines `kind`, its fields, its sizes and `draw`.

    Attributes:
        grouped_by: what the groups of its batches are, if they have any.
        guess: score of the best guess that remembers nothing; None where it is not known.
    """

    is_trained: ClassVar[bool] = True
    criterion: ClassVar[str]
    is_tokens: ClassVar[bool]
    asks_everywhere: ClassVar[bool] = False
    grouped_by: ClassVar[str | None] = None

    length: int

    @property
    def label(self) -> str:
        """The kind, and whatever differs from the default."""
        return label_of(self)

    @property
    def guess(self) -> float | None:
        return None

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Channels of the inputs, or tokens of the vocabulary."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Channels of the outputs, or tokens to choose from."""

    def facts(self) -> dict[str, Any]:
        """What tables and charts sort the task by."""
        return {"kind": label_kind(self), "length": self.length, "guess": self.guess}

    def test_tasks(self) -> tuple[Task, ...]:
        """The task itself."""
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
        """Examples `start .. start+count-1`, at the task's length or another."""
        indices = torch.arange(start, start + count, device=device)
        return self.draw(seed, split, indices, self.length if length is None else length, dtype)

    @abstractmethod
    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        """The examples of these indices, on their device."""

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> Float[Tensor, ""]:
        """What training minimises."""

    def answers(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
        """What is scored: outputs and batch as they are."""
        return outputs, batch
