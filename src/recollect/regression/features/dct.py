"""Positive features along the discrete cosine basis, in the spirit of DiJiang (arXiv:2403.19928)."""

import math
from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from recollect.regression.features.favor import positive_exponents
from recollect.regression.features.feature_map import (
    Features,
    Inputs,
    Positions,
    Role,
    positive_integer,
    similarity_scale,
)


@final
class Dct(nn.Module):
    r"""$$\phi(x)_i = K^{-1/2} d_i\, e^{t_i c_i^\top \tilde x - |\tilde x|^2/2}, \;\; \tilde x = \sqrt s\,x,$$

    with `c_i` row i of the orthonormal discrete cosine transform (DCT-II), `t_i` a random number of random
    sign, as large as the length of a Gaussian vector, and `d_i > 0` learned, starting at 1. FAVOR+ with the
    cosine basis for its orthogonal directions: these are the same for all draws, so the mean over draws is
    not exactly `exp(s q.k)`; the learned `d` weights the quadrature. The exponent is bounded as in FAVOR+.

    Size K, work O(K^2), as a product with one matrix per head.

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.
        scale: factor `s` of `q.k`, `K**-0.5` if `None`.

    Raises:
        ConfigError: a size below 1, or a scale that is not above 0.

    Example:
        >>> Dct(4, 1)(torch.zeros(1, 1, 1, 4), torch.arange(1), "key").flatten().tolist()
        [0.5, 0.5, 0.5, 0.5]
    """

    kernel = "approximates exp(scale q.k), biased: directions of the cosine transform, learned weights"
    nonnegative = True
    nonnegative_similarity = True
    learned = True
    max_length = None
    directions: Tensor

    def __init__(self, key_dim: int, num_heads: int, *, scale: float | None = None) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        self.size = positive_integer("key_dim", key_dim)
        self.scale = similarity_scale(scale, key_dim)
        lengths = torch.randn(num_heads, key_dim, key_dim, dtype=torch.float64).norm(dim=-1, keepdim=True)
        signs = torch.randn(num_heads, key_dim, 1, dtype=torch.float64).sign()
        directions = signs * lengths * cosine_transform(key_dim)
        self.register_buffer("directions", directions.to(torch.get_default_dtype()))
        self.log_weights = nn.Parameter(torch.zeros(num_heads, key_dim))

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        exponents = positive_exponents(x * self.scale**0.5, self.directions)
        return (exponents + self.log_weights).exp() * self.size**-0.5


def cosine_transform(dim: int) -> Float64[Tensor, "K K"]:
    """The orthonormal DCT-II: row i is a cosine of i half periods over `dim` samples.

    Example:
        >>> cosine_transform(2)
        tensor([[ 0.7071,  0.7071],
                [ 0.7071, -0.7071]], dtype=torch.float64)
    """
    index = torch.arange(dim, dtype=torch.float64)
    basis = torch.cos(math.pi / dim * index[:, None] * (index + 0.5)) * math.sqrt(2 / dim)
    return torch.cat([basis[:1] * math.sqrt(0.5), basis[1:]])
