r"""$\rho(s) = \mathrm{Ai}((s - \alpha)/w)$: memory that oscillates and is spread over many lags."""

from typing import Literal, final

import torch
from jaxtyping import Float64
from pydantic import NonNegativeFloat, PositiveFloat
from scipy.special import airy
from torch import Tensor

from recollect.memory.algebra import AbstractMemoryFunction


@final
class Airy(AbstractMemoryFunction):
    r"""Oscillating and spread over many lags: the Airy function `Ai((s - alpha) / width)`.

    $\rho(s) = \mathrm{Ai}((s - \alpha)/w)$, $w$ the `width`.

    Oscillates on lags below alpha, with its highest peak about $w$ before alpha, and vanishes beyond:
    many lags matter, with both signs. The dependence grows with alpha.

    At lag 0 the oscillation advances by $\sqrt{\alpha / w} / w$ radians a unit of s, so a grid of
    spacing 1 resolves it for $\alpha < \pi^2 w^3$: to alpha = 2131 at the default width, but only to
    9.9 at width 1.

    Provenance: family and role of alpha from arXiv:2506.05678; the formula is inferred from earlier
    public code of the same authors, where $\mathrm{Ai}(t - 6)$ occurs; the default width is ours.

    Attributes:
        alpha: the lag after which the function vanishes, >= 0.
        width: w > 0, the scale of its oscillation.

    Example:
        >>> Airy(alpha=0.0).values(1)  # Ai(0) = 3^(-2/3) / Gamma(2/3)
        tensor([0.3550], dtype=torch.float64)
    """

    family: Literal["airy"] = "airy"
    alpha: NonNegativeFloat
    width: PositiveFloat = 6.0

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        # SciPy's is exact to 1e-14 here; torch.special.airy_ai is wrong by 3e-6 between -4.6 and -2.1.
        z = (s - self.alpha) / self.width
        return torch.as_tensor(airy(z.numpy())[0])
