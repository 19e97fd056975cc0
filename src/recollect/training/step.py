"""One training step as a pure function of (state, batch)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from recollect.tasks import Batch, Task
from recollect.training.config import TrainingConfig
from recollect.training.optimizer import OptimizerState, adamw, clip_norm, initial_optimizer_state
from recollect.training.parameters import Flat, ParameterLayout

Loss = Callable[[Flat, Any], Float[Tensor, ""]]
"""Of parameters and a batch; an exact loss reads none, and takes None."""


class TrainingState(NamedTuple):
    """What a step reads and returns."""

    parameters: Flat
    optimizer: OptimizerState


def initial_training_state(model: nn.Module, layout: ParameterLayout, dtype: torch.dtype) -> TrainingState:
    """The model's present parameters and zero moments."""
    parameters = layout.flatten(model, dtype)
    return TrainingState(parameters, initial_optimizer_state(parameters))


def loss_function(model: nn.Module, layout: ParameterLayout, task: Task, autocast: bool = False) -> Loss:
    """The task's loss as a function of the flat parameters; the model lends its structure only."""

    def loss(parameters: Flat, batch: Batch) -> Float[Tensor, ""]:
        with torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=autocast):
            read = (batch.inputs,) if task.asks_everywhere else (batch.inputs, batch.mask)
            outputs = functional_call(model, layout.unflatten(parameters), read)
        return task.loss(outputs.to(parameters.dtype), batch)

    return loss


def training_step(
    loss: Loss,
    state: TrainingState,
    batch: Batch | None,
    *,
    learning_rate: float | Tensor,
    config: TrainingConfig,
    decayed: Tensor,
) -> tuple[TrainingState, Float[Tensor, ""]]:
    """Gradient, clipping, AdamW: the next state, and the loss before the step."""
    parameters = state.parameters.detach().requires_grad_()
    value = loss(parameters, batch)
    (gradient,) = torch.autograd.grad(value, parameters)
    updated, optimizer = adamw(
        state.parameters,
        clip_norm(gradient, config.clip),
        state.optimizer,
        learning_rate=learning_rate,
        betas=config.betas,
        decay=config.weight_decay * decayed if config.weight_decay else 0.0,
    )
    return TrainingState(updated, optimizer), value.detach()
