r"""The Hankel matrix of a memory function: how many linear states its past needs.

$H_{ij} = \rho_{i+j}$ maps past inputs to future outputs. Its rank is the least number of states of a
linear recurrence $\rho_s = c^\top A^s b$ (Kronecker), and by Eckart-Young its singular values bound
the error of every recurrence with fewer.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import ConfigError
from recollect.core.shapes import Taps
from recollect.memory.numerical_rank import numerical_rank


def hankel_matrix(rho: Taps) -> Float64[Tensor, "rows columns"]:
    r"""$H_{ij} = \rho_{i+j}$ with every tap in it: as square as T allows, `rows + columns = T + 1`.

    Example:
        >>> hankel_matrix(torch.tensor([1.0, 2.0, 3.0]))
        tensor([[1., 2.],
                [2., 3.]], dtype=torch.float64)
    """
    if len(rho) < 1:
        raise ConfigError("the Hankel matrix needs at least one tap, got none.")
    return rho.double().unfold(0, len(rho) // 2 + 1, 1)


def hankel_singular_values(rho: Taps) -> Float64[Tensor, " N"]:
    """Singular values of the Hankel matrix, the largest first. Cost O(T^3)."""
    return torch.linalg.svdvals(hankel_matrix(rho))


def hankel_rank(rho: Taps, tolerance: float = 1e-6) -> int:
    """Real states that a linear recurrence needs to hold the taps, up to a relative `tolerance`.

    Singular values below `tolerance` times the largest count as 0. The matrix has about T/2 rows, so
    the rank cannot exceed that: an impulse at lag L has `min(L + 1, T - L)`.

    Example:
        >>> from recollect.memory import DampedCosine
        >>> hankel_rank(DampedCosine(alpha=0.1, frequency=0.5).values(64))
        2
    """
    return numerical_rank(hankel_singular_values(rho), tolerance)
