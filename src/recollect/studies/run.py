"""A run is a value: task x model x training x seed, named by the hash of everything that decides it."""

import hashlib
from functools import cached_property

from pydantic import NonNegativeInt

from recollect.core import Config, source_hash
from recollect.models import ModelConfig
from recollect.tasks import FunctionalTask
from recollect.training import TrainingConfig

RESULTS_VERSION = 1
"""Raised whenever the same config would give other numbers; older records then no longer match."""


class Run(Config):
    """One training run.

    Example:
        >>> task = {"memory": {"family": "impulse", "alpha": 4}, "length": 16}
        >>> run = Run.parse({"task": task, "model": {"mixer": "gru"}, "training": {"steps": 10}, "seed": 0})
        >>> run.id == run.model_copy(update={"seed": 1}).id
        False
    """

    task: FunctionalTask
    model: ModelConfig
    training: TrainingConfig
    seed: NonNegativeInt

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits over the config, the results version and a user's module's source."""
        mixer = self.model.mixer
        source = source_hash(mixer) if ":" in mixer else ""
        text = "\n".join([self.canonical_json(), str(RESULTS_VERSION), source])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def cost(self) -> float:
        """Positions that training reads at most: what runs are ordered and progress is weighted by."""
        return float(
            self.training.steps * self.training.batch_size * self.task.length * self.model.num_layers
        )
