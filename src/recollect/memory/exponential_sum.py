r"""Memory functions as sums of exponentials, the impulse responses of linear recurrences.

$$\rho_k = \mathrm{Re} \sum_j c_j \lambda_j^k$$
"""

from dataclasses import dataclass
from typing import final

from jaxtyping import Complex128, Float64
from torch import Tensor

from recollect.core import ConfigError

Poles = Complex128[Tensor, " N"]


@final
@dataclass(frozen=True, eq=False)
class ExponentialSum:
    r"""$\rho_k = \mathrm{Re} \sum_j c_j \lambda_j^k$, with poles $\lambda_j$ and residues $c_j$.

    A pole with an imaginary part stands for itself and its conjugate.

    Attributes:
        poles: $\lambda_j$; inside the unit circle where the term fades.
        residues: $c_j$, one for each pole.

    Example:
        >>> import torch
        >>> f = ExponentialSum(*torch.tensor([[0.5 + 0j], [2.0 + 0j]], dtype=torch.complex128))
        >>> f.values(3)
        tensor([2.0000, 1.0000, 0.5000], dtype=torch.float64)
    """

    poles: Poles
    residues: Poles

    @property
    def num_states(self) -> int:
        """Real states of the linear recurrence with this impulse response: 2 for a complex pole."""
        return len(self.poles) + int((self.poles.imag != 0).sum())

    def values(self, length: int) -> Float64[Tensor, " T"]:
        """The sum at lags 0..length-1."""
        if length < 1:
            raise ConfigError(f"expected length >= 1, got {length}.")
        return (self.residues @ powers(self.poles, length)).real


def powers(poles: Poles, length: int) -> Complex128[Tensor, "N T"]:
    r"""$\lambda_j^k$ for k = 0..length-1. $0^0 = 1$, which torch's complex power does not give."""
    factors = poles[:, None].repeat(1, length)
    factors[:, 0] = 1
    return factors.cumprod(1)
