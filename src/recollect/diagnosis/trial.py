"""Training one model on a series from several starts, and its error on the part that nobody has seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from recollect.core import ConfigError, derive_seed
from recollect.diagnosis.construction import constructed
from recollect.diagnosis.part_error import PartError, part_error
from recollect.diagnosis.trial_data import TrialData
from recollect.models import ModelConfig, SequenceModel
from recollect.training import TrainingConfig, train

# Rows that a step asks for: about all that a short series has, so that a step sees little noise of sampling.
_ASKED_A_STEP = 2048
_EVALUATIONS = 25
_PATIENCE = 8


@dataclass(frozen=True)
class Budget:
    """What each size may spend.

    Attributes:
        steps: of AdamW, at most, from each start.
        restarts: random starts, beside the construction.
        learning_rate: its peak from a random start.
        refining_rate: its peak from the construction, which is near an optimum already.
    """

    steps: int = 600
    restarts: int = 2
    learning_rate: float = 1e-2
    refining_rate: float = 3e-3

    def training(self, data: TrialData, learning_rate: float) -> TrainingConfig:
        """The budget of one start, in the trainer's terms."""
        asked = data.task.length - data.task.warmup
        return TrainingConfig(
            steps=self.steps,
            batch_size=max(4, _ASKED_A_STEP // asked),
            learning_rate=learning_rate,
            evaluate_every=max(1, self.steps // _EVALUATIONS),
            patience=_PATIENCE,
            validation_examples=data.task.num_windows("validation"),
            device="cpu",
        )

    def describe(self, data: TrialData) -> str:
        """In one sentence."""
        config = self.training(data, self.learning_rate)
        starts = "the construction, where a model can be set to it, and" if data.memory is not None else ""
        return (
            f"At most {self.steps} steps of AdamW from {starts} {self.restarts} random starts, batches of "
            f"{config.batch_size} windows of {data.task.length} rows, half of them to warm up; the start and "
            f"the step that are best on the validation part."
        ).replace("  ", " ")


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model, how it did on the validation part from each start, and on the test part.

    Attributes:
        model: the best on the validation part.
        validation: NMSE on the validation part of each start, by its name; None where training broke down.
        test: NMSE on the test part, in shares of the whole series' variance.
    """

    model: nn.Module
    validation: dict[str, float | None]
    test: PartError

    @property
    def start(self) -> str:
        """Where the best model started."""
        found = {name: error for name, error in self.validation.items() if error is not None}
        return min(found, key=lambda name: found[name])


def train_size(
    config: ModelConfig,
    data: TrialData,
    budget: Budget,
    seed: int,
    on_start: Callable[[str], None] = lambda name: None,
) -> Trained:
    """The model of a configuration, trained from each start; the best on the validation part is tested.

    Raises:
        ConfigError: no start gave a model with a finite error.
    """
    best, lowest = None, float("inf")
    errors: dict[str, float | None] = {}
    for name, model, rate in _starts(config, data, budget, seed):
        on_start(name)
        found = train(model, data.task, budget.training(data, rate), derive_seed(seed, "trial", name))
        errors[name] = found.validation_error
        if found.validation_error is not None and found.validation_error < lowest:
            best, lowest = model, found.validation_error
    if best is None:
        raise ConfigError(f"{config.title}: training gave no finite error from {', '.join(errors)}.")
    return Trained(best, errors, error_on_test(best, data))


@torch.no_grad()
def error_on_test(model: nn.Module, data: TrialData) -> PartError:
    """One pass over the test part."""
    batch = data.task.sweep("test")
    errors = model(batch.inputs, batch.mask) - batch.targets[batch.mask]
    return part_error(errors[:, 0].double(), data.variance)


def _starts(
    config: ModelConfig, data: TrialData, budget: Budget, seed: int
) -> Iterator[tuple[str, SequenceModel, float]]:
    inputs = data.task.input_size
    built = constructed(config.build(inputs, 1, derive_seed(seed, "construction")), data.memory)
    if built is not None:
        yield "construction", built, budget.refining_rate
    for number in range(1, budget.restarts + 1):
        model = config.build(inputs, 1, derive_seed(seed, "restart", number))
        yield f"random {number}", model, budget.learning_rate
