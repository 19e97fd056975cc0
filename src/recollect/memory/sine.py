r"""$\rho(s) = \sin(\omega s + \varphi)$: memory that oscillates and never fades."""

from typing import Literal, final

from jaxtyping import Float64
from torch import Tensor

from recollect.memory.algebra import AbstractMemoryFunction


@final
class Sine(AbstractMemoryFunction):
    r"""One undamped oscillator: `sin(frequency s + phase)`.

    $\rho(s) = \sin(\omega s + \varphi)$, $\omega$ the `frequency`, $\varphi$ the `phase`.

    Every lag matters alike, up to a sign that turns: the response of an undamped oscillator, two real
    linear states on the unit circle. It has no strength alpha; the dependence is as long as the
    sequence.

    Provenance: $\sin t$ occurs in earlier public code of the authors of arXiv:2506.05678; not one of
    that paper's four families.

    Attributes:
        frequency: angular, in radians per unit of s; a period P is the frequency $2\pi/P$.
        phase: in radians.

    Example:
        >>> Sine().values(3)
        tensor([0.0000, 0.8415, 0.9093], dtype=torch.float64)
    """

    family: Literal["sine"] = "sine"
    frequency: float = 1.0
    phase: float = 0.0

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        return (self.frequency * s + self.phase).sin()
