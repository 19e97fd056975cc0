"""The training loop. It knows tasks and parameters, no particular model."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from recollect.core import ConfigError, NumericalError, derive_seed
from recollect.tasks import CRITERIA, Task, stream
from recollect.training.config import TrainingConfig
from recollect.training.convergence import has_plateaued, still_improving
from recollect.training.evaluation import score_split
from recollect.training.objective import Objective, population_objective
from recollect.training.optimizer import learning_rate_at
from recollect.training.parameters import Flat, ParameterLayout
from recollect.training.step import initial_training_state, loss_function, training_step

Progress = Callable[[int, float], None]
"""Called with the steps taken and the best validation error so far."""


SOLVED_BELOW = 0.01
"""A run has solved its task when its validation error falls below: NMSE, or 1 - accuracy."""


@dataclass
class Curve:
    """What each evaluation found; step 0 is the untrained model.

    Attributes:
        step: steps taken.
        seconds: since training began.
        train_loss: mean since the last evaluation; over the target's power where the criterion is the NMSE.
        validation_error: what the best checkpoint is chosen by: NMSE, 1 - accuracy, or nats.
    """

    step: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    validation_error: list[float] = field(default_factory=list)

    def reached(self, error: float) -> tuple[int, float] | None:
        """Steps and seconds until the validation error was first below `error`."""
        rows = zip(self.step, self.seconds, self.validation_error, strict=True)
        return next(((step, seconds) for step, seconds, found in rows if found < error), None)


@dataclass(frozen=True)
class Trained:
    """How training went; the model itself now holds the best checkpoint.

    Attributes:
        status: `diverged` when parameters, loss or validation error became NaN or Inf.
        validation_error: of the best checkpoint; None if the model never gave a finite one.
        still_improving: the budget ended before the error had come to rest.
    """

    status: Literal["done", "diverged"]
    curve: Curve
    steps: int
    seconds: float
    validation_error: float | None
    still_improving: bool


def resolve_device(config: TrainingConfig) -> torch.device:
    """The device that `auto` stands for here.

    Raises:
        ConfigError: a GPU is asked for and there is none, or bfloat16 is asked for without one.
    """
    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise ConfigError("training.device is 'cuda', but PyTorch sees no GPU here; use 'cpu' or 'auto'.")
    device = "cuda" if has_gpu and config.device != "cpu" else "cpu"
    if config.precision == "bfloat16" and device == "cpu":
        raise ConfigError("training.precision 'bfloat16' needs a GPU; use 'float32' here.")
    return torch.device(device)


def parameter_dtype(config: TrainingConfig) -> torch.dtype:
    """dtype of parameters and data: float64 where asked, else float32 (autocast keeps float32 masters)."""
    return torch.float64 if config.precision == "float64" else torch.float32


def train(
    model: nn.Module,
    task: Task,
    config: TrainingConfig,
    seed: int,
    on_progress: Progress = lambda step, error: None,
) -> Trained:
    """Train `model` in place; it ends in evaluation mode, with its best checkpoint.

    A NaN or Inf anywhere reaches the parameters and stays there, so it is looked for at evaluations
    only; the model is then left with its last good checkpoint. So it is where a layer cannot solve its
    regression any more (`NumericalError`).

    Raises:
        ConfigError: `loss: population` for a model or a task whose expected loss is not known exactly.

    Example:
        >>> from recollect.tasks import FunctionalTask
        >>> task = FunctionalTask.parse({"memory": {"family": "exponential", "alpha": 1}, "length": 8})
        >>> model = nn.Sequential(nn.Linear(1, 1))
        >>> train(model, task, TrainingConfig(steps=20, evaluate_every=10), seed=0).curve.step
        [0, 10, 20]
    """
    device, dtype = resolve_device(config), parameter_dtype(config)
    model.to(device=device, dtype=dtype).train()
    layout = ParameterLayout.of(model)
    objective = _objective(model, layout, task, config, seed)
    state = initial_training_state(model, layout, dtype)
    decayed = layout.matrices().to(device)
    log = _Log(objective, config)
    started, step = time.perf_counter(), 0
    while True:
        if step % config.evaluate_every == 0 or step == config.steps:
            layout.load(state.parameters, model)
            log.evaluate(step, model, state.parameters)
            on_progress(step, log.best_error)
            if log.is_over():
                break
        rate = learning_rate_at(step, config)
        try:
            batch = next(objective.batches)
            state, value = training_step(
                objective.loss, state, batch, learning_rate=rate, config=config, decayed=decayed
            )
        except NumericalError:
            log.diverged = True
            break
        log.losses.append(value)
        step += 1
    if log.best is not None:
        layout.load(log.best, model)
        model.load_state_dict(log.best_buffers, strict=False)
    model.eval()
    return Trained(
        status="diverged" if log.diverged else "done",
        curve=log.curve,
        steps=step,
        seconds=time.perf_counter() - started,
        validation_error=log.best_error if log.best is not None else None,
        still_improving=still_improving(log.curve.step, log.curve.validation_error, config.steps),
    )


class _Log:
    """What the evaluations have shown so far: the curve, the best checkpoint, whether to stop."""

    def __init__(self, objective: Objective, config: TrainingConfig) -> None:
        self.objective, self.config = objective, config
        self.curve, self.losses = Curve(), list[Tensor]()
        self.best: Flat | None = None
        self.best_buffers: dict[str, Tensor] = {}
        self.best_error, self.diverged = math.inf, False
        self.started = time.perf_counter()

    def evaluate(self, step: int, model: nn.Module, parameters: Flat) -> None:
        """Measure the validation error, and keep `parameters` if they are the best so far."""
        error = self._validation_error(model)
        mean = float(torch.stack(self.losses).mean()) if self.losses else math.nan
        train_loss = mean / self.objective.unit
        self.diverged = not math.isfinite(error) or (bool(self.losses) and not math.isfinite(train_loss))
        self.losses.clear()
        self.curve.step.append(step)
        self.curve.seconds.append(time.perf_counter() - self.started)
        self.curve.train_loss.append(train_loss)
        self.curve.validation_error.append(error)
        if not self.diverged and error < self.best_error:
            self.best, self.best_error = parameters, error
            self.best_buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def is_over(self) -> bool:
        """Diverged, budget used up, solved, or at rest."""
        return (
            self.diverged
            or self.curve.step[-1] == self.config.steps
            or self.best_error < self.config.solved_below
            or has_plateaued(self.curve.validation_error, self.config.patience)
        )

    def _validation_error(self, model: nn.Module) -> float:
        model.eval()
        try:
            return self.objective.validation_error(model)
        except NumericalError:
            return math.nan
        finally:
            model.train()


def _objective(
    model: nn.Module, layout: ParameterLayout, task: Task, config: TrainingConfig, seed: int
) -> Objective:
    if config.loss == "population":
        return population_objective(model, layout, task)
    return Objective(
        loss=loss_function(model, layout, task, autocast=config.precision == "bfloat16"),
        batches=stream(
            task,
            seed,
            "train",
            config.batch_size,
            examples=config.examples,
            dtype=parameter_dtype(config),
            device=resolve_device(config),
        ),
        unit=_power(task, config, seed) if task.criterion == "nmse" else 1.0,
        validation_error=lambda trained: validation_error(trained, task, config, seed),
    )


def validation_error(model: nn.Module, task: Task, config: TrainingConfig, seed: int) -> float:
    """NMSE, 1 - accuracy, or nats, a mean over settings, on the split that `chosen_on` says."""
    scores = [
        score_split(
            model,
            setting,
            seed_of_setting(seed, task, setting),
            config.chosen_on,
            config.validation_examples if config.chosen_on == "validation" else config.test_examples,
            dtype=parameter_dtype(config),
            device=resolve_device(config),
        ).overall.value
        for setting in task.test_tasks()
    ]
    return CRITERIA[task.criterion].error(sum(scores) / len(scores))


def seed_of_setting(seed: int, task: Task, setting: Task) -> int:
    """Where a task is tested in several settings, the seed of one: their examples must not share draws."""
    return seed if setting == task else derive_seed(seed, "setting", setting.label)


def _power(task: Task, config: TrainingConfig, seed: int) -> float:
    """Mean square of the asked targets."""
    batch = task.batch(seed, "validation", 0, config.validation_examples, dtype=torch.float64)
    return float(batch.targets[batch.mask].square().mean())
