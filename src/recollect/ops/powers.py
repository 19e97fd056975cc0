r"""Powers of poles, for recurrences whose decay does not change: $\lambda^0, \dots, \lambda^{n-1}$."""

import torch
from jaxtyping import Inexact
from torch import Tensor


def powers(base: Inexact[Tensor, "*lead N"], count: int) -> Inexact[Tensor, "*lead s N"]:
    """`base ** s` for s = 0..count-1, by doubling: no logarithm, so zero and negative bases are fine.

    Stable for `|base| <= 1`; the relative error grows as the logarithm of `count`.

    Example:
        >>> powers(torch.tensor([-0.5]), 4).flatten()
        tensor([ 1.0000, -0.5000,  0.2500, -0.1250])
    """
    table = torch.ones_like(base).unsqueeze(-2)
    factor = base.unsqueeze(-2)
    while table.shape[-2] < count:
        table = torch.cat([table, table * factor], dim=-2)
        factor = factor * factor
    return table[..., :count, :]
