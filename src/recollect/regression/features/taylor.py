"""The exponential to second order: Based (Arora et al. 2024, arXiv:2402.18668)."""

from typing import final

import torch
from torch import nn

from recollect.regression.features.feature_map import (
    Features,
    Inputs,
    Positions,
    Role,
    positive_integer,
    similarity_scale,
)


@final
class Taylor(nn.Module):
    r"""$$\phi(x) = [1, \tilde x, \tilde x_i^2 / \sqrt 2, (\tilde x_i \tilde x_j)_{i<j}], \quad
    \tilde x = \sqrt{s}\,x; \qquad \phi(q)^\top \phi(k) = 1 + u + u^2/2, \quad u = s\, q^\top k.$$

    Exact. Features may be negative, the similarity is at least 1/2. Each product of two channels is kept
    once: size `1 + K + K(K+1)/2` instead of `1 + K + K^2`, work O(K^2).

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.
        scale: factor `s` of `q.k`, `K**-0.5` if `None`.

    Raises:
        ConfigError: a size below 1, or a scale that is not above 0.

    Example:
        >>> features = Taylor(2, 1, scale=1.0)
        >>> features(torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2), torch.arange(1), "key").flatten()
        tensor([1.0000, 1.0000, 2.0000, 0.7071, 2.8284, 2.0000])
    """

    kernel = "1 + u + u^2 / 2, u = scale q.k"
    nonnegative = False
    nonnegative_similarity = True
    learned = False
    max_length = None

    def __init__(self, key_dim: int, num_heads: int, *, scale: float | None = None) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        positive_integer("key_dim", key_dim)
        self.scale = similarity_scale(scale, key_dim)
        self.size = 1 + key_dim + num_products(key_dim)

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        x = x * self.scale**0.5
        return torch.cat([torch.ones_like(x[..., :1]), x, products(x) * 0.5**0.5], dim=-1)


def num_products(dim: int) -> int:
    """Number of products of two channels, either order counted once.

    Example:
        >>> num_products(3)
        6
    """
    return dim * (dim + 1) // 2


def products(x: Inputs) -> Features:
    r"""All products of two channels: $[x_i^2, \sqrt 2\, (x_i x_j)_{i<j}]$, so that the dot product of two
    such vectors is `(x.y)^2`.
    """
    i, j = torch.triu_indices(x.shape[-1], x.shape[-1], offset=1, device=x.device)
    return torch.cat([x.square(), 2**0.5 * x[..., i] * x[..., j]], dim=-1)
