"""A learned affine map, then all products of two channels: in the spirit of ReBased (arXiv:2402.10644)."""

from typing import final

import torch
from torch import nn

from recollect.regression.features.feature_map import Features, Inputs, Positions, Role, positive_integer
from recollect.regression.features.taylor import num_products, products


@final
class Squared(nn.Module):
    r"""$$x' = \gamma \odot x + \beta, \quad \phi(x) = [x_i'^2, \sqrt 2\, (x'_i x'_j)_{i<j}]; \qquad
    \phi(q)^\top \phi(k) = (q'^\top k')^2.$$

    Exact. The Taylor similarity `1 + u + u^2/2` never falls below 1/2; this one reaches 0, and the affine map
    chooses for which pairs. `gamma` starts at `K**-0.25`, `beta` at 0: the similarity starts at the square
    of `K**-0.5 q.k`. One affine map serves queries and keys, since a regression fits `phi(k)` and reads
    `phi(q)`. Size `K(K+1)/2`, work O(K^2).

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.
        layer_norm: normalise x over channels to mean 0 and variance 1 first, as the paper does.

    Raises:
        ConfigError: `key_dim` or `num_heads` below 1.

    Example:
        >>> phi = Squared(2, 1)(torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2), torch.arange(1), "key")
        >>> phi.square().sum().detach()  # (1 + 4)^2 / 2
        tensor(12.5000)
    """

    kernel = "(q'.k')^2, x' = gain x + bias"
    nonnegative = False
    nonnegative_similarity = True
    learned = True
    max_length = None

    def __init__(self, key_dim: int, num_heads: int, *, layer_norm: bool = False) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        self.size = num_products(positive_integer("key_dim", key_dim))
        self.layer_norm = layer_norm
        self.gain = nn.Parameter(torch.full((num_heads, key_dim), key_dim**-0.25))
        self.bias = nn.Parameter(torch.zeros(num_heads, key_dim))

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        if self.layer_norm:
            x = nn.functional.layer_norm(x, x.shape[-1:])
        return products(self.gain * x + self.bias)
