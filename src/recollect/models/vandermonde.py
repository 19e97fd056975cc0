r"""Powers of poles, and the kernel of a diagonal system.

$$k_s = \sum_n c_n \lambda_n^s, \qquad s = 0, \dots, T-1$$

With $s = i C + j$ and $C \approx \sqrt T$, $\lambda^s = (\lambda^C)^i \lambda^j$: the kernel is one batched
product of a $T/C \times N$ and an $N \times C$ matrix, and $O(N \sqrt T)$ powers are formed instead of $N T$.
"""

import math

import torch
from jaxtyping import Inexact
from torch import Tensor

from recollect.ops.powers import powers


def vandermonde_kernel(
    coefficients: Inexact[Tensor, "*lead N"], poles: Inexact[Tensor, "*lead N"], length: int
) -> Inexact[Tensor, "*lead T"]:
    """`sum_n coefficients[n] * poles[n] ** s` for s = 0..length-1, differentiable in both.

    Example:
        >>> vandermonde_kernel(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.0]), 3)
        tensor([3.0000, 0.5000, 0.2500])
    """
    block = math.isqrt(max(length - 1, 0)) + 1
    within = powers(poles, block + 1)
    across = powers(within[..., -1, :], -(-length // block))
    table = (across * coefficients.unsqueeze(-2)) @ within[..., :-1, :].transpose(-1, -2)
    return table.flatten(-2)[..., :length]


def matrix_powers(matrix: Inexact[Tensor, "N N"], count: int) -> Inexact[Tensor, "s N N"]:
    """`matrix ** s` for s = 0..count-1, by doubling; O(count N^3).

    Example:
        >>> matrix_powers(torch.tensor([[2.0]]), 3).flatten()
        tensor([1., 2., 4.])
    """
    table = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)[None]
    factor = matrix
    while len(table) < count:
        table = torch.cat([table, table @ factor])
        factor = factor @ factor
    return table[:count]
