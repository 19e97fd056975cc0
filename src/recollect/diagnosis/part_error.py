r"""The error on one part of a series, each row once, with a standard error for errors that are alike.

$$\mathrm{NMSE} = \frac{1}{n v} \sum_t e_t^2$$

with the variance v of the target over the *whole* series: over a part of some hundred rows the target's own
power is itself a noisy number, and the error asked for is a share of the whole. Neighbouring errors are
alike, so the standard error is that of means over $\sqrt n$ blocks of consecutive rows (batch means).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True)
class PartError:
    """An NMSE over `count` rows; the standard error is None where there are too few for two blocks."""

    value: float
    standard_error: float | None
    count: int


def part_error(errors: Float64[Tensor, " rows"], variance: float) -> PartError:
    """Of errors in the order of time and the target's variance over the whole series.

    Example:
        >>> part_error(torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64), 2.0)
        PartError(value=0.5, standard_error=0.0, count=4)
    """
    shares = errors.square() / variance
    num_blocks = math.isqrt(len(shares))
    if num_blocks < 2:
        return PartError(float(shares.mean()), None, len(shares))
    sums = torch.stack([block.sum() for block in (shares - shares.mean()).tensor_split(num_blocks)])
    spread = (sums.square().sum() * num_blocks / (num_blocks - 1)).sqrt() / len(shares)
    return PartError(float(shares.mean()), float(spread), len(shares))
