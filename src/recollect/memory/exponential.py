r"""$\rho(s) = e^{-\alpha s}$: memory that fades on one time scale."""

from typing import Literal, final

from jaxtyping import Float64
from pydantic import NonNegativeFloat
from torch import Tensor

from recollect.memory.algebra import AbstractMemoryFunction


@final
class Exponential(AbstractMemoryFunction):
    r"""Fading memory with one time scale: `exp(-alpha s)`.

    $\rho(s) = e^{-\alpha s}$.

    Fading memory with the single time scale $1/\alpha$: one stable linear state holds it exactly. The
    dependence grows as alpha falls to 0; at 0 it is the running sum.

    Provenance: family and role of alpha from arXiv:2506.05678; the formula is inferred from earlier
    public code of the same authors.

    Attributes:
        alpha: rate of decay, >= 0.

    Example:
        >>> Exponential(alpha=0.0).values(3)
        tensor([1., 1., 1.], dtype=torch.float64)
    """

    family: Literal["exponential"] = "exponential"
    alpha: NonNegativeFloat

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        return (-self.alpha * s).exp()
