r"""$\rho(s) = 1$ at $s = \alpha$ and 0 elsewhere: a pure delay."""

import math
from typing import Literal, final

import torch
from jaxtyping import Float64
from pydantic import NonNegativeFloat
from torch import Tensor

from recollect.memory.algebra import AbstractMemoryFunction


@final
class Impulse(AbstractMemoryFunction):
    r"""Pure delay: 1 at the grid point nearest to `s = alpha` (the later of two), 0 elsewhere.

    $\rho(s) = 1$ at the grid point nearest to $s = \alpha$ (the later of two), 0 elsewhere.

    A pure delay: one input, far back, matters. The dependence grows with alpha. It is the hardest
    case for a linear recurrence, which needs alpha + 1 states, and the easiest for a dilated
    convolution, whose tensor-train rank for it is 1.

    Provenance: family and role of alpha from arXiv:2506.05678; the formula is inferred from earlier
    public code of the same authors, where a delay at lag 10 occurs.

    Attributes:
        alpha: the delay, >= 0, in units of s.

    Example:
        >>> Impulse(alpha=2).values(4)
        tensor([0., 0., 1., 0.], dtype=torch.float64)
    """

    family: Literal["impulse"] = "impulse"
    alpha: NonNegativeFloat

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        spacing = (s[1] - s[0]).item() if len(s) > 1 else 1.0
        nearest = math.floor(self.alpha / spacing + 0.5)
        return (torch.round(s / spacing) == nearest).double()
