"""What a task is: a config that turns (seed, split, indices) into batches, and scores predictions."""

from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import Inputs, Mask, Targets

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Batch(NamedTuple):
    """Examples of a task. `mask` tells the positions that count in the loss."""

    inputs: Inputs
    targets: Targets
    mask: Mask


@runtime_checkable
class Task(Protocol):
    """A source of examples. Example `index` of a split depends on (seed, split, index) alone."""

    length: int

    @property
    def input_size(self) -> int:
        """Channels of the inputs."""
        ...

    @property
    def output_size(self) -> int:
        """Channels of the targets."""
        ...

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
        ...

    def loss(self, outputs: Targets, batch: Batch) -> Float[Tensor, ""]:
        """What training minimises, differentiable in `outputs`."""
        ...
