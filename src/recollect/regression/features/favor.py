r"""FAVOR+, the positive orthogonal random features of Performer (Choromanski et al. 2020, arXiv:2009.14794).

$$e^{x^\top y} = \mathbb{E}_{w \sim N(0, I)}\, e^{w^\top x - |x|^2/2}\, e^{w^\top y - |y|^2/2}$$
"""

from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from recollect.regression.features.feature_map import (
    Features,
    Inputs,
    Positions,
    Role,
    positive_integer,
    similarity_scale,
)

Directions = Float[Tensor, "H F K"]


@final
class Favor(nn.Module):
    r"""$$\phi(x)_i = F^{-1/2} e^{w_i^\top \tilde x - |\tilde x|^2/2}, \quad \tilde x = \sqrt{s}\,x; \qquad
    \mathbb{E}\, \phi(q)^\top \phi(k) = e^{s\, q^\top k}.$$

    Directions are drawn once, at construction, for each head: orthogonal in blocks of K, of the lengths of
    Gaussian vectors, so that each alone is Gaussian and the mean over draws is exact; the error falls like
    `F**-0.5`.

    The exponent is `(|w|^2 - |x~ - w|^2) / 2`, at most `|w|^2 / 2`, which is about K / 2: nothing overflows
    in float32 up to K of about 120, and no maximum over time is needed. All features of a long vector vanish,
    in float32 beyond `|x~|` of about 15. For queries `rescale_queries` repairs this: it divides `phi(q)` by
    its largest entry. Ratios of similarities of one query, hence layers that divide by their sum, are
    unchanged; in any other layer the factor stays in the answer.

    Size F, work O(F K).

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.
        num_features: F, `2 K` if `None`.
        scale: factor `s` of `q.k`, `K**-0.5` if `None`.
        rescale_queries: make the largest feature of every query 1.

    Raises:
        ConfigError: a size below 1, or a scale that is not above 0.

    Example:
        >>> features = Favor(3, 2, num_features=5)
        >>> features(torch.zeros(1, 1, 2, 3), torch.arange(1), "key").square().sum(-1)
        tensor([[[1.0000, 1.0000]]])
    """

    kernel = "approximates exp(scale q.k), unbiased over draws"
    nonnegative = True
    nonnegative_similarity = True
    learned = False
    max_length = None
    directions: Tensor

    def __init__(
        self,
        key_dim: int,
        num_heads: int,
        *,
        num_features: int | None = None,
        scale: float | None = None,
        rescale_queries: bool = False,
    ) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        default = 2 * positive_integer("key_dim", key_dim)
        self.size = positive_integer("num_features", default if num_features is None else num_features)
        self.scale, self.rescale_queries = similarity_scale(scale, key_dim), rescale_queries
        directions = orthogonal_gaussian(num_heads, self.size, key_dim)
        self.register_buffer("directions", directions.to(torch.get_default_dtype()))

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        exponents = positive_exponents(x * self.scale**0.5, self.directions)
        if self.rescale_queries and role == "query":
            return (exponents - exponents.amax(dim=-1, keepdim=True)).exp()
        return exponents.exp() * self.size**-0.5


def positive_exponents(x: Inputs, directions: Directions) -> Features:
    """`w_i.x - |x|^2 / 2` for each direction of each head."""
    projected = torch.einsum("bthk,hfk->bthf", x, directions)
    return projected - x.square().sum(dim=-1, keepdim=True) / 2


def orthogonal_gaussian(num_heads: int, num_rows: int, dim: int) -> Float64[Tensor, "H F K"]:
    """Rows that are standard Gaussian each, and orthogonal to one another in blocks of `dim`."""
    num_blocks = -(-num_rows // dim)
    gaussian = torch.randn(num_heads, num_blocks, dim, dim, dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    # Only with a positive diagonal of R is Q uniform among the orthogonal matrices.
    rows = (q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)).flatten(1, 2)[:, :num_rows]
    lengths = torch.randn(num_heads, num_rows, dim, dtype=torch.float64).norm(dim=-1, keepdim=True)
    return rows * lengths
