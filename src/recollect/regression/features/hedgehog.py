"""Learned features that mimic softmax: Hedgehog (Zhang et al. 2024, arXiv:2402.04347)."""

from typing import final

import torch
from torch import nn

from recollect.regression.features.feature_map import Features, Inputs, Positions, Role, positive_integer


@final
class Hedgehog(nn.Module):
    r"""$$\phi(x) = \mathrm{softmax}([Wx + b,\; -Wx - b])$$

    over the 2 K features, with a W for each head that starts at the identity and a b that starts at 0. The
    softmax only divides the exponentials by their sum, so nothing overflows. One map serves queries and keys,
    since a regression fits `phi(k)` and reads `phi(q)`. The paper also trains W to reproduce softmax
    attention's weights; here it is trained with the rest of the model. Size 2 K, work O(K^2).

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.

    Raises:
        ConfigError: `key_dim` or `num_heads` below 1.

    Example:
        >>> features = Hedgehog(1, 1)
        >>> features(torch.ones(1, 1, 1, 1), torch.arange(1), "key").flatten().detach()
        tensor([0.8808, 0.1192])
    """

    kernel = "softmax([W q, -W q]).softmax([W k, -W k]), softmax over features, W learned"
    nonnegative = True
    nonnegative_similarity = True
    learned = True
    max_length = None

    def __init__(self, key_dim: int, num_heads: int) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        self.size = 2 * positive_integer("key_dim", key_dim)
        self.weight = nn.Parameter(torch.eye(key_dim).repeat(num_heads, 1, 1))
        self.bias = nn.Parameter(torch.zeros(num_heads, key_dim))

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        mapped = torch.einsum("bthk,hjk->bthj", x, self.weight) + self.bias
        return torch.cat([mapped, -mapped], dim=-1).softmax(dim=-1)
