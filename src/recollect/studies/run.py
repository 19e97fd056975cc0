"""A run is a value: task x model x training x seed, named by the hash of everything that decides it."""

import hashlib
from typing import Self

from pydantic import NonNegativeInt, model_validator

from recollect.core import Config, source_hash
from recollect.models import ModelConfig
from recollect.tasks import AnyTask, UntrainedTask
from recollect.training import TrainingConfig

RESULTS_VERSION = 1
"""Raised whenever the same config would give other numbers; older records then no longer match."""


def source_of(model: ModelConfig) -> str:
    """Hash of the source of the user's mixers in a model; empty where there are none."""
    hashes = [source_hash(name) for name in model.mixer_names if ":" in name]
    return hashes[0] if len(hashes) == 1 else "".join(digest[:16] for digest in hashes)


class Run(Config):
    """One model on one task: trained, or as it is.

    Attributes:
        training: None for a task that gives its associations to an untrained layer.
        source: hash of the source of a user's mixer, taken when the run is made; empty for ours.

    Example:
        >>> task = {"memory": {"family": "impulse", "alpha": 4}, "length": 16}
        >>> run = Run.parse({"task": task, "model": {"mixer": "gru"}, "training": {"steps": 10}, "seed": 0})
        >>> run.id == run.model_copy(update={"seed": 1}).id
        False
    """

    task: AnyTask
    model: ModelConfig
    training: TrainingConfig | None = None
    seed: NonNegativeInt
    source: str = ""

    @model_validator(mode="after")
    def _trained_if_the_task_asks(self) -> Self:
        if self.task.is_trained != (self.training is not None):
            asks = "needs `training`" if self.task.is_trained else "is for untrained layers: no `training`"
            raise ValueError(f"the task {self.task.label} {asks}")
        return self

    @model_validator(mode="after")
    def _says_nothing_that_is_not_read(self) -> Self:
        if self.training is None:
            named = {"mixer", "options", "label"}
            given = self.model.model_dump(exclude=named)
            unread = [
                name for name, value in given.items() if value != ModelConfig.model_fields[name].default
            ]
            if unread:
                raise ValueError(
                    f"the task {self.task.label} asks the layer of {self.model.title!r} alone: leave out "
                    f"{', '.join(unread)}"
                )
        elif self.training.examples is None and (self.training.epochs or self.training.schedule == "epoch"):
            raise ValueError("`epochs` and `schedule: epoch` need `examples`, the size of the fixed set")
        return self

    @model_validator(mode="after")
    def _hash_source(self) -> Self:
        # Fixed here, so that a file edited while a study runs cannot change the names of its runs.
        if not self.source:
            object.__setattr__(self, "source", source_of(self.model))
        return self

    @property
    def id(self) -> str:
        """16 hexadecimal digits over the config, the source and the results version."""
        text = f"{self.canonical_json()}\n{RESULTS_VERSION}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def num_steps(self) -> int:
        """What progress counts: training steps at most, or chunks of an untrained task."""
        if isinstance(self.task, UntrainedTask):
            return self.task.steps
        assert self.training is not None
        return self.training.steps

    @property
    def cost(self) -> float:
        """Positions read at most: what runs are ordered and progress is weighted by."""
        if isinstance(self.task, UntrainedTask):
            return self.task.cost
        assert self.training is not None
        return float(
            self.training.steps * self.training.batch_size * self.task.length * self.model.num_layers
        )
