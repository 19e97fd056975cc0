r"""Fitting $c + A^\top x$ by weighted least squares with a ridge on the slope, and reading the intercept $c$.

$$\min_{c, A} \sum_i p_i \lVert v_i - c - A^\top x_i \rVert^2 + \lambda \lVert A \rVert^2$$

With weights that sum to 1, and centred, the intercept is a tilted mean:

$$c = \sum_i p_i [1 - r^\top (x_i - \bar x)] v_i, \qquad r = (\mathrm{Cov}_p(x) + \lambda I)^{-1} \bar x$$
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.ops.similarity import PerHead, Scores, per_head


def check_ridge(ridge: PerHead) -> None:
    """Refuse a ridge that is not positive: the first position has one key, hence no slope."""
    if not isinstance(ridge, Tensor) and ridge <= 0:
        raise ValueError(f"ridge={ridge}: expected a positive number, or one for each head.")


def solve_positive_definite(
    matrix: Float[Tensor, "*B P P"], right: Float[Tensor, "*B P M"]
) -> Float[Tensor, "*B P M"]:
    """`matrix^-1 right` for symmetric positive definite matrices; NaN where one is not finite.

    A ridge below the rounding of its matrix can leave it indefinite. Such a matrix is factorised with a
    raised diagonal, and one step of refinement then solves with the ridge that was asked for. Cost: two
    Cholesky factors, which is the work of one LU factorisation.

    Example:
        >>> matrix = torch.tensor([[4.0, 2.0], [2.0, 5.0]])
        >>> solve_positive_definite(matrix, torch.tensor([[6.0], [7.0]])).flatten()
        tensor([1., 1.])
    """
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    rounding = matrix.shape[-1] * torch.finfo(matrix.dtype).eps * diagonal.amax(-1, keepdim=True)
    is_indefinite = torch.linalg.cholesky_ex(matrix.detach()).info.unsqueeze(-1) != 0
    raised = diagonal + torch.where(is_indefinite, rounding, torch.zeros_like(rounding))
    factor = torch.linalg.cholesky_ex(torch.diagonal_scatter(matrix, raised, dim1=-2, dim2=-1)).L
    x = torch.cholesky_solve(right, factor)
    return x + torch.cholesky_solve(right - matrix @ x, factor)


def intercept(
    p: Float[Tensor, "B H 1 S"],
    x: Float[Tensor, "B H S P"],
    v: Float[Tensor, "B H S V"],
    ridge: PerHead,
) -> Float[Tensor, "B H 1 V"]:
    """By the normal equations of the problem as it stands, for one query; 0 where all weights are 0."""
    design = torch.cat([torch.ones_like(v[..., :1]), x], dim=-1)
    nothing = (p.sum(-1, keepdim=True) == 0).to(x.dtype)
    slopes = per_head(ridge) * torch.ones_like(x[..., :1, :])
    penalty = torch.diag_embed(torch.cat([nothing, slopes], dim=-1).squeeze(-2))
    weighted = p.mT * design
    return solve_positive_definite(design.mT @ weighted + penalty, weighted.mT @ v)[..., :1, :]


def solved_slope(
    covariance: Float[Tensor, "B H C P P"], mean: Float[Tensor, "B H C P"], ridge: PerHead
) -> Float[Tensor, "B H C P"]:
    r"""$(\mathrm{Cov} + \lambda I)^{-1} \bar x$ for a block of queries."""
    identity = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
    penalty = ridge[:, None, None, None] * identity if isinstance(ridge, Tensor) else ridge * identity
    return solve_positive_definite(covariance + penalty, mean.unsqueeze(-1)).squeeze(-1)


def tilted_mean(
    p: Scores,
    r: Float[Tensor, "B H C P"],
    mean: Float[Tensor, "B H C P"],
    x: Float[Tensor, "B H S P"],
    v: Float[Tensor, "B H S V"],
) -> Float[Tensor, "B H C V"]:
    r"""$\sum_i p_i [1 - r^\top (x_i - \bar x)] v_i$ for a block of queries."""
    return (p * (1 + (r * mean).sum(-1, keepdim=True) - r @ x.mT)) @ v


def pair_products(x: Float[Tensor, "*B P"]) -> Float[Tensor, "*B pairs"]:
    """`x_i x_j` for `j <= i`, in the order (0, 0), (1, 0), (1, 1), (2, 0), ...

    Example:
        >>> pair_products(torch.tensor([2.0, 3.0]))
        tensor([4., 6., 9.])
    """
    return torch.cat([x[..., i : i + 1] * x[..., : i + 1] for i in range(x.shape[-1])], dim=-1)


def symmetric(pairs: Float[Tensor, "*B pairs"], size: int) -> Float[Tensor, "*B P P"]:
    """The symmetric matrix of a given size whose lower triangle is in the order of `pair_products`."""
    row = torch.arange(size, device=pairs.device)
    high, low = torch.maximum(row[:, None], row), torch.minimum(row[:, None], row)
    return pairs[..., high * (high + 1) // 2 + low]
