r"""AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) as a pure function of a flat vector.

Every operation is elementwise or a norm over the last axis, so the same code updates one model `(P,)`
or a stack of them `(R, P)` with a learning rate each.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.training.config import TrainingConfig

Vector = Float[Tensor, "*R P"]


class OptimizerState(NamedTuple):
    """First and second moment of the gradient, and the number of steps taken."""

    first: Vector
    second: Vector
    step: int


def initial_optimizer_state(parameters: Vector) -> OptimizerState:
    """Zero moments."""
    return OptimizerState(torch.zeros_like(parameters), torch.zeros_like(parameters), 0)


def clip_norm(gradient: Vector, largest: float) -> Vector:
    """Scale the gradient so that its norm is at most `largest`."""
    norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
    return gradient * (largest / norm.clamp(min=largest))


def adamw(
    parameters: Vector,
    gradient: Vector,
    state: OptimizerState,
    *,
    learning_rate: float | Tensor,
    betas: tuple[float, float],
    decay: float | Tensor = 0.0,
    epsilon: float = 1e-8,
) -> tuple[Vector, OptimizerState]:
    r"""One step.

    `m <- b1 m + (1-b1) g`, `v <- b2 v + (1-b2) g^2`, `p <- (1 - lr d) p - lr m' / (sqrt v' + eps)`.
    Here m' and v' are m and v over `1 - b^step`. `decay` d may be a vector, so that only some
    parameters are decayed.
    """
    step = state.step + 1
    first = torch.lerp(gradient, state.first, betas[0])
    second = torch.lerp(gradient.square(), state.second, betas[1])
    scale = (second / (1 - betas[1] ** step)).sqrt_().add_(epsilon)
    # In place on what is ours: with a large vocabulary each temporary costs as much as the moments.
    update = (first / (1 - betas[0] ** step)).div_(scale)
    if isinstance(decay, Tensor) or decay:
        update = update + decay * parameters
    return parameters - update.mul_(learning_rate), OptimizerState(first, second, step)


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Linear warm-up to the peak, then half a cosine to zero at `config.steps`. Steps count from 0."""
    warmup = round(config.warmup * config.steps)
    if config.schedule == "epoch" and config.examples is not None:
        epoch = max(1, config.examples // config.batch_size)
        step -= step % epoch
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, config.steps - warmup)
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
