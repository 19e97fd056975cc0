"""Test error with its Monte-Carlo standard error, overall and by position."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from recollect.tasks import FunctionalTask, Split

_CHUNK_VALUES = 2**17
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Predictions:
    """Inputs, targets and outputs of a split, in float64 on the CPU."""

    inputs: Float64[Tensor, "n T inputs"]
    targets: Float64[Tensor, "n T outputs"]
    outputs: Float64[Tensor, "n T outputs"]


@dataclass(frozen=True)
class NormalisedError:
    """NMSE: mean squared error over the target's power, `sum e^2 / sum y^2`."""

    value: float
    standard_error: float
    by_position: Float64[Tensor, " T"]
    by_position_se: Float64[Tensor, " T"]


@torch.no_grad()
def predict_split(
    model: nn.Module,
    task: FunctionalTask,
    seed: int,
    split: Split,
    count: int,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    length: int | None = None,
) -> Predictions:
    """Run the model over a split, in chunks of bounded memory."""
    length = length or task.length
    chunk = max(1, _CHUNK_VALUES // length)
    parts = []
    for start in range(0, count, chunk):
        size = min(chunk, count - start)
        batch = task.batch(seed, split, start, size, length=length, dtype=dtype, device=device)
        outputs = model(batch.inputs)
        parts.append([t.double().cpu() for t in (batch.inputs, batch.targets, outputs)])
    return Predictions(*(torch.cat(column) for column in zip(*parts, strict=True)))


def normalised_error(predictions: Predictions) -> NormalisedError:
    """Error over power with the standard error of a ratio of means (delta method), sequences as units."""
    squares = (predictions.outputs - predictions.targets).square().sum(-1)
    powers = predictions.targets.square().sum(-1)
    value, standard_error = _ratio(squares.sum(1, keepdim=True), powers.sum(1, keepdim=True))
    by_position, by_position_se = _ratio(squares, powers)
    return NormalisedError(float(value), float(standard_error), by_position, by_position_se)


def _ratio(
    numerators: Float64[Tensor, "n T"], denominators: Float64[Tensor, "n T"]
) -> tuple[Float64[Tensor, " T"], Float64[Tensor, " T"]]:
    # A position whose target is zero but for rounding (before an impulse's lag) has no relative error: NaN.
    power = denominators.mean(0)
    ratio = numerators.mean(0) / power.where(power > _ROUNDING * power.max(), torch.nan)
    deviations = numerators - ratio * denominators
    return ratio, deviations.std(0) / len(numerators) ** 0.5 / power
