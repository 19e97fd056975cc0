r"""$\rho(s) = e^{-\alpha s} \cos(\omega s + \varphi)$: fading memory that oscillates."""

from typing import Literal, final

from jaxtyping import Float64
from pydantic import NonNegativeFloat
from torch import Tensor

from recollect.memory.algebra import AbstractMemoryFunction


@final
class DampedCosine(AbstractMemoryFunction):
    r"""One damped oscillator: `exp(-alpha s) cos(frequency s + phase)`.

    $\rho(s) = e^{-\alpha s} \cos(\omega s + \varphi)$, $\omega$ the `frequency`, $\varphi$ the `phase`.

    The response of one damped oscillator: two real linear states, or one complex, hold it exactly.
    The dependence grows as alpha falls to 0.

    Provenance: ours; not one of the four families of arXiv:2506.05678.

    Attributes:
        alpha: rate of decay, >= 0.
        frequency: angular, in radians per unit of s; a period P is the frequency $2\pi/P$.
        phase: in radians.

    Example:
        >>> from math import pi
        >>> DampedCosine(alpha=0.0, frequency=pi).values(3)
        tensor([ 1., -1.,  1.], dtype=torch.float64)
    """

    family: Literal["damped_cosine"] = "damped_cosine"
    alpha: NonNegativeFloat
    frequency: float
    phase: float = 0.0

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        return (-self.alpha * s).exp() * (self.frequency * s + self.phase).cos()
