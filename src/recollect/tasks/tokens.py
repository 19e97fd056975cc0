"""Tasks on tokens: at some positions of a sequence a token is asked for."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core import Config
from recollect.tasks.base import Batch, Split, Task

BLANK = 0
"""The token that says nothing."""

IGNORED = -100
"""The target of a position that is not asked."""


class TokenTask(Config):
    """What all tasks on tokens share: cross-entropy at the asked positions, accuracy as the score.

    A task of its own defines `kind`, its fields, `vocabulary_size` and `batch`; `grouped_by` where its
    batches have groups, and `guess` where guessing well has a name.
    """

    is_trained: ClassVar[bool] = True
    criterion: ClassVar[str] = "accuracy"
    is_tokens: ClassVar[bool] = True
    asks_everywhere: ClassVar[bool] = False
    grouped_by: ClassVar[str | None] = None

    length: int

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, the blank included."""
        raise NotImplementedError

    @property
    def guess(self) -> float | None:
        """Accuracy of the best guess that does not recall; None where it is not known."""
        return None

    @property
    def input_size(self) -> int:
        return self.vocabulary_size

    @property
    def output_size(self) -> int:
        return self.vocabulary_size

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
        """Cross-entropy, in nats, averaged over the asked positions."""
        return torch.nn.functional.cross_entropy(outputs, batch.targets[batch.mask])


def label_kind(task: Config) -> str:
    """The task's `kind`."""
    return str(type(task).model_fields["kind"].default)


def label_of(task: Config, *hidden: str) -> str:
    """`kind(field=value, ...)` with the fields that have no default, or differ from it.

    Example:
        >>> from recollect.tasks import MQAR
        >>> label_of(MQAR(length=64, num_pairs=4))
        'mqar(length=64, num_pairs=4)'
    """
    fields = type(task).model_fields
    shown = [
        f"{name}={_short(getattr(task, name))}"
        for name, field in fields.items()
        if name not in ("kind", *hidden)
        and (field.is_required() or getattr(task, name) != field.get_default(call_default_factory=True))
    ]
    return f"{label_kind(task)}({', '.join(shown)})" if shown else label_kind(task)


def _short(value: Any) -> str:
    """A number as short as it is exact enough, a config by its own label, a tuple by its entries."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_short, value))}]"
    if isinstance(value, Config):
        return str(getattr(value, "label", value))
    return f"{value:g}" if isinstance(value, float) else str(value)
