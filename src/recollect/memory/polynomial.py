r"""$\rho(s) = (1 + c s)^{-\alpha}$: memory that fades without a time scale."""

from typing import Literal, final

from jaxtyping import Float64
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from recollect.memory.algebra import AbstractMemoryFunction


@final
class Polynomial(AbstractMemoryFunction):
    r"""Fading memory with no time scale: `(1 + scale s)^-alpha`.

    $\rho(s) = (1 + c s)^{-\alpha}$, $c$ the `scale`.

    Fading memory with no time scale, a mixture of exponentials of every rate. The dependence grows as
    alpha falls to 1/2, below which the energy over all lags is infinite; 95 % of the energy over 4096
    lags lies in the first 7 at alpha = 1.1 and in the first 1369 at alpha = 0.6.

    Provenance: family and role of alpha from arXiv:2506.05678; the formula is inferred from earlier
    public code of the same authors, where $(1 + 0.1 t)^{-1.1}$ and $(t + 1)^{-1.5}$ occur.

    Attributes:
        alpha: exponent, >= 0.
        scale: c > 0; the power law sets in at lag 1/c.

    Example:
        >>> Polynomial(alpha=1.0).values(4)
        tensor([1.0000, 0.5000, 0.3333, 0.2500], dtype=torch.float64)
    """

    family: Literal["polynomial"] = "polynomial"
    alpha: NonNegativeFloat
    scale: PositiveFloat = 1.0

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        return (1 + self.scale * s) ** -self.alpha
