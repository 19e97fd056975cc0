r"""Polynomials around a query, fitted to what lies there and read at the query itself.

With normalised weights $p$ and features $f_i$ of $k_i - q$ without the constant,

$$r = (\mathrm{Cov}_p(f) + \Lambda)^{-1} \bar f, \qquad
c(q) = \sum_i p_i \, [1 - r^\top (f_i - \bar f)] \, v_i$$

is the constant of the weighted ridge regression of $v$ on $(1, f)$ that does not penalise the constant; the
centred form loses fewer digits than the normal equations.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.ops.local_fit import solve_positive_definite
from recollect.regression.function_classes import FunctionClass, LocalLinear, LocalPolynomial

LocalFeatures = Float[Tensor, "*B F"]


def degree(function_class: FunctionClass) -> int:
    """Of the polynomial: 0 for a local constant."""
    if isinstance(function_class, LocalPolynomial):
        return function_class.degree
    return int(isinstance(function_class, LocalLinear))


def local_features(offset: Float[Tensor, "*B K"], degree: int) -> LocalFeatures:
    """The offset `k - q` and its products, each once, as far as the degree goes; without the constant.

    Example:
        >>> local_features(torch.tensor([2.0, 3.0]), 2)
        tensor([2., 3., 4., 6., 9.])
    """
    if degree == 0:
        return offset[..., :0]
    if degree == 1:
        return offset
    first, second = _pairs(offset)
    return torch.cat([offset, offset[..., first] * offset[..., second]], dim=-1)


def local_ridge(ridge: Float[Tensor, "H K"], degree: int) -> Float[Tensor, "H F"]:
    """The penalty of each feature: for a product, the geometric mean of those of its factors."""
    if degree < 2:
        return ridge[:, : ridge.shape[1] * degree]
    first, second = _pairs(ridge)
    return torch.cat([ridge, (ridge[:, first] * ridge[:, second]).sqrt()], dim=-1)


def corrected_mean(
    p: Float[Tensor, "B H T S"],
    features: Float[Tensor, "B H T S F"],
    v: Float[Tensor, "B H S V"],
    *,
    ridge: Float[Tensor, "H F"] | None = None,
    slope: Float[Tensor, "B H T F"] | None = None,
) -> Float[Tensor, "B H T V"]:
    """The equation above, with `r` solved for by the ridge, or given as the slope."""
    centred = features - torch.einsum("bhts,bhtsf->bhtf", p, features).unsqueeze(-2)
    if slope is None:
        assert ridge is not None
        mean = torch.einsum("bhts,bhtsf->bhtf", p, features)
        covariance = torch.einsum("bhts,bhtsf,bhtsg->bhtfg", p, centred, centred)
        system = covariance + torch.diag_embed(ridge)[None, :, None]
        slope = solve_positive_definite(system, mean.unsqueeze(-1)).squeeze(-1)
    correction = 1 - torch.einsum("bhtf,bhtsf->bhts", slope, centred)
    return torch.einsum("bhts,bhsv->bhtv", p * correction, v)


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of all pairs of channels, each once."""
    first, second = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    return first, second
