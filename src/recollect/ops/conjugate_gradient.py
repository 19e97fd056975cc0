r"""Conjugate gradients for many symmetric positive definite systems at once.

$$M_t x_t = b_t, \qquad \lVert b_t - M_t x_t \rVert \le \tau \lVert b_t \rVert$$

The number of iterations is fixed, so that `vmap` and one-graph compilation hold; a system that has reached
its tolerance is frozen by a mask. The tolerance is relative and each right-hand side is first brought to unit
size: small queries are answered as precisely as large ones.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Systems = Float[Tensor, "*systems K"]
"""One vector for each system."""

LinearMap = Callable[[Tensor], Tensor]


def conjugate_gradient(
    product: LinearMap,
    target: Systems,
    precondition: LinearMap,
    *,
    tolerance: float | None = None,
    max_iterations: int = 8,
) -> tuple[Systems, Float[Tensor, "*systems"]]:
    r"""Solve $M_t x_t = b_t$ for every $t$, and say how well that was done.

    Costs one `product` and one `precondition` for each iteration, and one `product` for the residual.

    Args:
        product: $x \mapsto M x$, symmetric positive definite along the last axis.
        target: right-hand sides $b$; a zero is answered by zero.
        precondition: $r \mapsto N^{-1} r$ with $N$ symmetric positive definite and near $M$.
        tolerance: relative residual at which a system is frozen, `default_tolerance` if `None`.
        max_iterations: number of iterations.

    Returns:
        Solutions, and their relative residuals $\lVert b - M x \rVert / \lVert b \rVert$ computed anew.

    Example:
        >>> matrix = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
        >>> x, residual = conjugate_gradient(lambda x: x @ matrix, torch.tensor([5e-9, 10e-9]), lambda r: r)
        >>> x, bool(residual < 1e-6)
        (tensor([1.0000e-09, 3.0000e-09]), True)
    """
    size = _size(target)
    unit = target / size
    x = _iterate(product, unit, precondition, tolerance, max_iterations)
    residual = (unit - product(x)).norm(dim=-1) / _size(unit.norm(dim=-1, keepdim=True)).squeeze(-1)
    return x * size, residual


def solve_by_conjugate_gradient(
    product: LinearMap,
    target: Systems,
    precondition: LinearMap,
    *,
    tolerance: float | None = None,
    max_iterations: int = 8,
) -> Systems:
    """`conjugate_gradient` without the residual and its product."""
    size = _size(target)
    return _iterate(product, target / size, precondition, tolerance, max_iterations) * size


def default_tolerance(dtype: torch.dtype) -> float:
    """Eight units in the last place: 1e-6 in single, 2e-15 in double precision."""
    return 8 * torch.finfo(dtype).eps


def _iterate(
    product: LinearMap, target: Tensor, precondition: LinearMap, tolerance: float | None, max_iterations: int
) -> Tensor:
    tolerance = default_tolerance(target.dtype) if tolerance is None else tolerance
    goal = tolerance**2 * _dot(target, target)
    residual, x = target, torch.zeros_like(target)
    direction = towards = precondition(residual)
    descent = _dot(residual, towards)
    for _ in range(max_iterations):
        change = product(direction)
        curvature = _dot(direction, change)
        active = (_dot(residual, residual) > goal) & (curvature > 0) & (descent > 0)
        step = _ratio(descent, curvature, active)
        x = torch.addcmul(x, step, direction)
        residual = torch.addcmul(residual, -step, change)
        towards = precondition(residual)
        before, descent = descent, _dot(residual, towards)
        direction = torch.addcmul(towards, _ratio(descent, before, active), direction)
    return x


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


def _ratio(numerator: Tensor, denominator: Tensor, active: Tensor) -> Tensor:
    """The quotient where a system is still active, else 0."""
    return torch.where(active, numerator / torch.where(active, denominator, 1.0), 0.0)


def _size(x: Tensor) -> Tensor:
    """The largest entry of a vector, 1 for a zero: what to divide by."""
    largest = x.abs().amax(-1, keepdim=True)
    return torch.where(largest > 0, largest, 1.0)
