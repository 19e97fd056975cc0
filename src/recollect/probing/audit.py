r"""The risk audit: where a model's error comes from, lag by lag.

The error `e_t = yhat_t - y_t` is projected on the past inputs. For white input of variance s2

$$\mathrm{MSE}_t = s2 \sum_s (\rho_s - k1_t(s))^2 + E[r_t^2] + (E e_t)^2 ,$$

with `k1_t` the model's own memory function: wrong lags, nonlinear remainder (observation noise
included), bias. A classical projection identity; it needs uncorrelated inputs, not independent ones.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.probing.projection import Projector


@dataclass(frozen=True)
class Audit:
    """Shares of the target's power, and memory functions averaged over the positions that have the lag.

    Attributes:
        linear_error: share lost to a wrong linear response.
        nonlinear_remainder: share of the part of the error that no linear response removes.
        bias: share lost to a mean error. The three add up to the NMSE.
        true: memory function of the targets at `[lag, output, input]`.
        learned: memory function of the model, same layout.
        learned_se: its standard error, taken as that of one position (positions are not independent).
        missed: share of the target's power lost at each lag; sums to `linear_error` for white input.
    """

    linear_error: float
    nonlinear_remainder: float
    bias: float
    true: Float64[Tensor, "T outputs inputs"]
    learned: Float64[Tensor, "T outputs inputs"]
    learned_se: Float64[Tensor, "T outputs inputs"]
    missed: Float64[Tensor, " T"]


def audit(
    inputs: Float64[Tensor, "n T inputs"],
    outputs: Float64[Tensor, "n T outputs"],
    targets: Float64[Tensor, "n T outputs"],
) -> Audit:
    """Decompose the error of `outputs` against `targets`, given what the model read.

    Raises:
        ConfigError: fewer examples than lags times input channels.
    """
    projector = Projector(inputs)
    asked = [projector.project(channel) for channel in targets.unbind(-1)]
    errors = [projector.project(channel) for channel in (outputs - targets).unbind(-1)]
    power = targets.square().mean(0).sum()
    true = _averaged([p.coefficients for p in asked])
    excess = [p.coefficients.square() - p.standard_errors.square() for p in errors]
    return Audit(
        linear_error=_share([p.linear for p in errors], power),
        nonlinear_remainder=_share([p.remainder for p in errors], power),
        bias=_share([p.bias.square() - p.remainder / len(inputs) for p in errors], power),
        true=true,
        learned=true + _averaged([p.coefficients for p in errors]),
        learned_se=_averaged([p.standard_errors for p in errors]),
        missed=torch.stack(excess).sum(dim=(0, 1, 3)) / power,
    )


def _averaged(by_output: list[Float64[Tensor, "T T inputs"]]) -> Float64[Tensor, "T outputs inputs"]:
    """Mean over the positions that have each lag: T for lag 0, one for lag T - 1."""
    stacked = torch.stack(by_output, dim=2)
    positions = torch.arange(len(stacked), 0, -1, dtype=stacked.dtype)
    return stacked.sum(0) / positions[:, None, None]


def _share(mean_squares: list[Float64[Tensor, " T"]], power: Float64[Tensor, ""]) -> float:
    return float(torch.stack(mean_squares).sum() / power)
