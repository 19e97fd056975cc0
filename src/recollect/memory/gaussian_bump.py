r"""$\rho(s) = e^{-((s - \alpha)/w)^2}$: a delay that is not quite sharp."""

from typing import Literal, final

from jaxtyping import Float64
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from recollect.memory.algebra import AbstractMemoryFunction


@final
class GaussianBump(AbstractMemoryFunction):
    r"""Blurred delay: `exp(-((s - alpha) / width)^2)`.

    $\rho(s) = e^{-((s - \alpha)/w)^2}$, $w$ the `width`.

    A blurred delay: the inputs around lag alpha matter. The dependence grows with alpha; as the width
    falls it becomes the impulse.

    Provenance: $e^{-(t - 9)^2}$ occurs in earlier public code of the authors of arXiv:2506.05678; not
    one of that paper's four families.

    Attributes:
        alpha: the centre, >= 0.
        width: w > 0.

    Example:
        >>> GaussianBump(alpha=1.0).values(3)
        tensor([0.3679, 1.0000, 0.3679], dtype=torch.float64)
    """

    family: Literal["gaussian_bump"] = "gaussian_bump"
    alpha: NonNegativeFloat
    width: PositiveFloat = 1.0

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        return (-(((s - self.alpha) / self.width) ** 2)).exp()
