"""What a task is: a config that turns (seed, split, indices) into batches, and scores predictions."""

from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import Inputs, Labels, Mask, Targets, Tokens

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Batch(NamedTuple):
    """Examples of a task.

    Attributes:
        inputs: numbers, or tokens.
        targets: numbers, or the token that is asked for (-100 where none is).
        mask: the positions that count in the loss and the score.
        groups: what a test is broken down by, for each position that counts (a gap, a kind of token).
    """

    inputs: Inputs | Tokens
    targets: Targets | Labels
    mask: Mask
    groups: Labels | None = None


@runtime_checkable
class Task(Protocol):
    """A source of examples. Example `index` of a split depends on (seed, split, index) alone.

    Attributes:
        is_trained: always; tasks that give associations to untrained layers are no `Task` (`UntrainedTask`).
        length: positions of a training sequence.
        criterion: what predictions are scored by, a name in `CRITERIA`.
        is_tokens: whether the inputs are tokens; `input_size` is then the size of the vocabulary.
        asks_everywhere: whether every position counts. Otherwise a model decodes the positions of the mask
            only: over a large vocabulary the others would cost most of a step.
    """

    is_trained: ClassVar[bool]
    length: int
    criterion: ClassVar[str]
    is_tokens: ClassVar[bool]
    asks_everywhere: ClassVar[bool]

    @property
    def label(self) -> str:
        """The task in tables and charts."""
        ...

    @property
    def input_size(self) -> int:
        """Channels of the inputs, or tokens of the vocabulary."""
        ...

    @property
    def output_size(self) -> int:
        """Channels of the outputs, or tokens to choose from."""
        ...

    def facts(self) -> dict[str, Any]:
        """What tables and charts sort the task by, as plain JSON values."""
        ...

    def test_tasks(self) -> tuple["Task", ...]:
        """What a trained model is tested on: the task itself, or several settings."""
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

    def loss(self, outputs: Tensor, batch: Batch) -> Float[Tensor, ""]:
        """What training minimises, differentiable in `outputs`.

        `outputs` are `(B, T, outputs)` where the task asks everywhere, else `(asked, outputs)`: those at the
        positions of the mask, in the order of `mask.nonzero()`.
        """
        ...

    def answers(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
        """What is scored: outputs at asked positions, and the batch whose mask they belong to.

        Both as they came, unless a task lets one position answer for many.
        """
        ...
