r"""Random Fourier features of the Gaussian kernel, as in random feature attention (arXiv:2103.02143).

$$e^{-|x - y|^2/2} = \mathbb{E}_{w \sim N(0, I)} \cos(w^\top (x - y)) \qquad \text{(Rahimi and Recht 2007)}$$
"""

import math
from typing import final

import torch
from torch import Tensor, nn

from recollect.core.errors import ConfigError
from recollect.regression.features.feature_map import (
    Features,
    Inputs,
    Positions,
    Role,
    positive_integer,
    positive_number,
)


@final
class RandomFourier(nn.Module):
    r"""$$\phi(x) = \sqrt{2/F}\, [\cos(w_i^\top x / \sigma), \sin(w_i^\top x / \sigma)]_{i \le F/2}, \qquad
    \mathbb{E}\, \phi(q)^\top \phi(k) = e^{-|q-k|^2/2\sigma^2} = \kappa.$$

    Every `|phi(x)|` is 1, and the variance of a product over draws is `(1 - kappa^2)^2 / F`: small for near
    pairs, while far pairs get either sign. For queries and keys of unit norm the kernel is, up to a constant,
    `exp(q.k / sigma^2)`. Frequencies are drawn once, at construction, for each head. Size F, work O(F K).

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.
        num_features: F, even; `2 K` if `None`.
        bandwidth: sigma.
        learn_bandwidth: train a sigma for each head and channel, from `bandwidth` on.

    Raises:
        ConfigError: a size below 1, an odd `num_features`, a bandwidth that is not above 0.

    Example:
        >>> features = RandomFourier(3, 2, num_features=4)
        >>> features(torch.zeros(1, 1, 2, 3), torch.arange(1), "key")[0, 0, 0]
        tensor([0.7071, 0.7071, 0.0000, 0.0000])
    """

    kernel = "approximates exp(-|q - k|^2 / (2 bandwidth^2)), unbiased over draws"
    nonnegative = False
    nonnegative_similarity = False
    max_length = None
    frequencies: Tensor

    def __init__(
        self,
        key_dim: int,
        num_heads: int,
        *,
        num_features: int | None = None,
        bandwidth: float = 1.0,
        learn_bandwidth: bool = False,
    ) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        default = 2 * positive_integer("key_dim", key_dim)
        self.size = positive_integer("num_features", default if num_features is None else num_features)
        if self.size % 2:
            raise ConfigError(
                f"num_features counts cosines and sines and must be even, got {self.size}; "
                f"use {self.size - 1 or 2} or {self.size + 1}."
            )
        self.bandwidth, self.learned = positive_number("bandwidth", bandwidth), learn_bandwidth
        frequencies = torch.randn(num_heads, self.size // 2, key_dim, dtype=torch.float64)
        self.register_buffer("frequencies", frequencies.to(torch.get_default_dtype()))
        self.log_gain = nn.Parameter(torch.zeros(num_heads, key_dim)) if learn_bandwidth else None

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        if self.log_gain is not None:
            x = x * self.log_gain.exp()
        angles = torch.einsum("bthk,hfk->bthf", x / self.bandwidth, self.frequencies)
        return torch.cat([angles.cos(), angles.sin()], dim=-1) * math.sqrt(2 / self.size)
