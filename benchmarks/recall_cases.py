"""What the recall benchmark measures: the tasks, the models, and their training steps."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from benchmarks.baselines.full_logits import full_loss_function
from recollect.models import ModelConfig, SequenceModel
from recollect.tasks import MQAR, Batch, Task
from recollect.training import (
    ParameterLayout,
    TrainingConfig,
    initial_training_state,
    loss_function,
    training_step,
)
from recollect.training.step import Loss, TrainingState

VOCABULARY, LENGTH, NUM_PAIRS = 8192, 64, 4
BATCH = 64

ATTENTION = {
    "mixer": "attention",
    "options": {"num_heads": 1, "positions": "learned", "max_length": LENGTH},
    "num_layers": 2,
    "dim": 128,
}
"""Two layers of plain attention, as the public protocol has them."""


def recall(fillers: str = "blank") -> MQAR:
    """The first setting of the public protocols."""
    fields = {"length": LENGTH, "num_pairs": NUM_PAIRS, "vocabulary": VOCABULARY, "fillers": fillers}
    return MQAR.parse(fields)


class Trainee(NamedTuple):
    """A model with all that a training step of it needs."""

    model: SequenceModel
    task: Task
    layout: ParameterLayout
    losses: dict[str, Loss]
    state: TrainingState
    device: str

    def step(self, which: str, batches: Iterator[Batch]) -> Callable[[], object]:
        """One training step on the next batch, always from the first state."""
        config, decayed = TrainingConfig(), self.layout.matrices().to(self.device)
        return lambda: training_step(
            self.losses[which], self.state, next(batches), learning_rate=1e-3, config=config, decayed=decayed
        )


def trainee(task: Task, model: dict[str, Any], device: str) -> Trainee:
    """A model on a task; losses `asked` (asked positions alone) and, for tokens, `all` (every position)."""
    built = ModelConfig.parse(model).build(
        task.input_size, task.output_size, seed=0, is_tokens=task.is_tokens
    )
    built.to(device)
    layout = ParameterLayout.of(built)
    losses = {"asked": loss_function(built, layout, task), "all": full_loss_function(built, layout)}
    state = initial_training_state(built, layout, torch.float32)
    return Trainee(built, task, layout, losses, state, device)
