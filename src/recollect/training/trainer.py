"""The training loop. It knows tasks and parameters, no particular model."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from recollect.core import ConfigError
from recollect.tasks import FunctionalTask, stream
from recollect.training.config import TrainingConfig
from recollect.training.convergence import has_plateaued, still_improving
from recollect.training.evaluation import normalised_error, predict_split
from recollect.training.optimizer import learning_rate_at
from recollect.training.parameters import Flat, ParameterLayout
from recollect.training.step import initial_training_state, loss_function, training_step

Progress = Callable[[int, float], None]
"""Called with the steps taken and the best validation NMSE so far."""


@dataclass
class Curve:
    """Errors at each evaluation; step 0 is the untrained model."""

    step: list[int] = field(default_factory=list)
    train_nmse: list[float] = field(default_factory=list)
    validation_nmse: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """How training went; the model itself now holds the best checkpoint.

    Attributes:
        status: `diverged` when parameters, loss or validation error became NaN or Inf.
        validation_nmse: of the best checkpoint; None if the model never gave a finite error.
        still_improving: the budget ended before the error had come to rest.
    """

    status: Literal["done", "diverged"]
    curve: Curve
    steps: int
    seconds: float
    validation_nmse: float | None
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
    task: FunctionalTask,
    config: TrainingConfig,
    seed: int,
    on_progress: Progress = lambda step, error: None,
) -> Trained:
    """Train `model` in place on fresh batches; it ends in evaluation mode, with its best checkpoint.

    A NaN or Inf anywhere reaches the parameters and stays there, so it is looked for at evaluations
    only; the model is then left with its last good checkpoint.

    Example:
        >>> task = FunctionalTask.parse({"memory": {"family": "exponential", "alpha": 1}, "length": 8})
        >>> model = nn.Sequential(nn.Linear(1, 1))
        >>> train(model, task, TrainingConfig(steps=20, evaluate_every=10), seed=0).curve.step
        [0, 10, 20]
    """
    device, dtype = resolve_device(config), parameter_dtype(config)
    model.to(device=device, dtype=dtype).train()
    layout = ParameterLayout.of(model)
    loss = loss_function(model, layout, task, autocast=config.precision == "bfloat16")
    state = initial_training_state(model, layout, dtype)
    decayed = layout.matrices().to(device)
    batches = stream(task, seed, "train", config.batch_size, dtype=dtype, device=device)
    log = _Log(task, config, seed)
    started, step = time.perf_counter(), 0
    while True:
        if step % config.evaluate_every == 0 or step == config.steps:
            layout.load(state.parameters, model)
            log.evaluate(step, model, state.parameters)
            on_progress(step, log.best_error)
            if log.is_over():
                break
        rate = learning_rate_at(step, config)
        state, value = training_step(
            loss, state, next(batches), learning_rate=rate, config=config, decayed=decayed
        )
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
        validation_nmse=log.best_error if log.best is not None else None,
        still_improving=still_improving(log.curve.step, log.curve.validation_nmse, config.steps),
    )


class _Log:
    """What the evaluations have shown so far: the curve, the best checkpoint, whether to stop."""

    def __init__(self, task: FunctionalTask, config: TrainingConfig, seed: int) -> None:
        self.task, self.config, self.seed = task, config, seed
        targets = task.batch(seed, "validation", 0, config.validation_examples, dtype=torch.float64).targets
        self.power = float(targets.square().sum(-1).mean()) / task.output_size
        self.curve, self.losses = Curve(), list[Tensor]()
        self.best: Flat | None = None
        self.best_buffers: dict[str, Tensor] = {}
        self.best_error, self.diverged = math.inf, False

    def evaluate(self, step: int, model: nn.Module, parameters: Flat) -> None:
        """Measure the validation error, and keep `parameters` if they are the best so far."""
        error = self._validation_error(model)
        train_error = float(torch.stack(self.losses).mean()) / self.power if self.losses else math.nan
        self.diverged = not math.isfinite(error) or (bool(self.losses) and not math.isfinite(train_error))
        self.losses.clear()
        self.curve.step.append(step)
        self.curve.train_nmse.append(train_error)
        self.curve.validation_nmse.append(error)
        if not self.diverged and error < self.best_error:
            self.best, self.best_error = parameters, error
            self.best_buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def is_over(self) -> bool:
        """Diverged, budget used up, solved, or at rest."""
        return (
            self.diverged
            or self.curve.step[-1] == self.config.steps
            or self.best_error < self.config.solved_below
            or has_plateaued(self.curve.validation_nmse, self.config.patience)
        )

    def _validation_error(self, model: nn.Module) -> float:
        model.eval()
        predictions = predict_split(
            model,
            self.task,
            self.seed,
            "validation",
            self.config.validation_examples,
            dtype=parameter_dtype(self.config),
            device=resolve_device(self.config),
        )
        model.train()
        return normalised_error(predictions).value
