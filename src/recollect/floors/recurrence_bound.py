r"""What no linear recurrence with m states can do better than.

$$\hat\rho_s = c^\top A^s b,\; A \in \mathbb{R}^{m \times m}
  \;\Rightarrow\;
  \sum_k w_k (\rho - \hat\rho)_k^2 \ge \sum_{j>m} \sigma_j^2\big(\mathrm{diag}(a)\,H\,\mathrm{diag}(b)\big)$$

for admissible weights a, b (`recurrence_weights`), stable or not, defective or not. m counts real states: a
complex one that is read through its real part counts 2. With feed-through the tap at lag 0 is free, and H
holds $\rho_{i+j+1}$. Each size takes the best of many weights.

Bounds hold in float64. Weights are admissible in exact arithmetic, and from the norm of the singular values
beyond m we take off $(R + C)\,\epsilon\,|M|_F$, an upper estimate of the backward error of a dense SVD (for
long horizons that of `hankel_products`); by Mirsky the norm moves by no more than the matrix does. Sums of
T terms cost a relative $8 T \epsilon$.

Derived for this project and checked against a search over models; not found in the literature.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import ConfigError
from recollect.floors.hankel_products import WeightedHankel, leading_singular_values
from recollect.floors.impulse_bound import impulse_bounds, impulse_lag
from recollect.floors.problem import Problem
from recollect.floors.recurrence_weights import (
    DENSE_ROWS,
    HankelWeights,
    ascend,
    first_weights,
    weighted_hankel,
)

_EPSILON = torch.finfo(torch.float64).eps

_SPARE_VECTORS = 16
"""Singular values kept beyond the largest size, where only some are found."""

_SEARCHED_ENTRIES = 2**17
"""Weights are searched for on matrices with no more entries, ..."""

_SEARCHED_FROM = 1e-13
"""... where the bound is at least so much of the energy, ..."""

_SEARCHED_SIZES = 12
"""... and for so many sizes, spread evenly in the logarithm; weights found for one size serve the others."""


@dataclass(frozen=True)
class RecurrenceBound:
    """A bound for linear recurrences of one size.

    Attributes:
        lower: NMSE that none of them is below.
        how: the theorem, the shape and the weights that proved it.
    """

    lower: float
    how: str


def recurrence_bounds(
    problem: Problem, sizes: Sequence[int], *, feed_through: bool = False
) -> list[RecurrenceBound]:
    """Lower bounds of the NMSE of linear recurrences, for each size in the order given; never rising with it.

    Costs O(T^3) in SVDs up to T = 4096, beyond which square matrices are decomposed in part only, by FFT.

    Args:
        problem: taps and weighting; uniform and window weights each have their own admissible ones.
        sizes: numbers of real states, at least 1.
        feed_through: whether an arbitrary tap at lag 0 comes with the recurrence.

    Raises:
        ConfigError: a size below 1.

    Example:
        >>> delay = Problem(torch.tensor([0.0, 0.0, 0.0, 1.0] + [0.0] * 4, dtype=torch.float64))
        >>> [round(bound.lower, 6) for bound in recurrence_bounds(delay, [1, 2, 4])]
        [0.75, 0.5, 0.0]
    """
    if any(size < 1 for size in sizes):
        raise ConfigError(f"expected at least 1 state, got {min(sizes)}: ask for sizes from 1 up.")
    rho = problem.rho[1:] if feed_through else problem.rho
    lag_weights = problem.weights[1:] if feed_through else problem.weights
    if not bool(rho.any()):
        return [RecurrenceBound(0.0, "a free tap at lag 0 holds the whole kernel") for _ in sizes]
    energy = problem.energy
    lag = impulse_lag(rho)
    if lag is not None:
        return _of_impulse(lag, len(rho), sizes, float(lag_weights[lag] * rho[lag] ** 2) / energy)
    best = _best_by_size(rho, lag_weights, sorted(set(sizes)))
    slack = 1.0 - 8 * len(problem.rho) * _EPSILON
    return [RecurrenceBound(best[size].lower * slack / energy, best[size].how) for size in sizes]


def _of_impulse(lag: int, length: int, sizes: Sequence[int], share: float) -> list[RecurrenceBound]:
    """The closed form; `share` is the part of the energy that is not at a free lag 0."""
    how = f"closed form for a delay: 1 - m/{min(lag + 1, length - lag)}"
    slack = share * (1.0 - 8 * _EPSILON)
    return [RecurrenceBound(lower * slack, how) for lower in impulse_bounds(lag, length, sizes)]


def _best_by_size(
    rho: Float64[Tensor, " T"], lag_weights: Float64[Tensor, " T"], sizes: list[int]
) -> dict[int, RecurrenceBound]:
    """The best bound for each size, not yet over the energy."""
    nothing = RecurrenceBound(0.0, "none: up to rounding, so many states hold these taps")
    best, best_small = dict.fromkeys(sizes, nothing), dict.fromkeys(sizes, nothing)
    start: dict[int, HankelWeights] = {}
    for weights in first_weights(rho, lag_weights):
        bounds = _bounds_of(rho, weights, sizes)
        _improve(best, bounds)
        if len(weights.rows) * len(weights.columns) <= _SEARCHED_ENTRIES:
            start |= dict.fromkeys(_improve(best_small, bounds), weights)
    least = _SEARCHED_FROM * float((lag_weights * rho.square()).sum())
    for size in _spread([size for size in start if best_small[size].lower > least]):
        _improve(best, _bounds_of(rho, ascend(rho, lag_weights, start[size], size), sizes))
    return best


def _improve(best: dict[int, RecurrenceBound], bounds: dict[int, RecurrenceBound]) -> list[int]:
    """Take the bounds that prove more; return their sizes."""
    better = [size for size in best if bounds[size].lower > best[size].lower]
    best |= {size: bounds[size] for size in better}
    return better


def _spread(sizes: list[int]) -> list[int]:
    """At most `_SEARCHED_SIZES` of them, from the first to the last."""
    wanted = torch.logspace(0, math.log2(len(sizes)), _SEARCHED_SIZES, base=2) if sizes else torch.empty(0)
    return [sorted(sizes)[place - 1] for place in wanted.round().long().unique().tolist()]


def _bounds_of(
    rho: Float64[Tensor, " T"], weights: HankelWeights, sizes: list[int]
) -> dict[int, RecurrenceBound]:
    """Energy of the singular values beyond each size, its rounding taken off."""
    values, guard = _singular_values(rho, weights, max(sizes))
    beyond = {size: float(values[size:].norm()) if size < len(values) else 0.0 for size in sizes}
    return {size: RecurrenceBound(max(0.0, norm - guard) ** 2, weights.how) for size, norm in beyond.items()}


def _singular_values(
    rho: Float64[Tensor, " T"], weights: HankelWeights, most: int
) -> tuple[Float64[Tensor, " p"], float]:
    """In falling order, with a bound on the Frobenius norm of the backward error."""
    rows, columns = weights.rows, weights.columns
    if len(rows) > DENSE_ROWS:
        long_matrix = WeightedHankel(rho, rows.sqrt(), columns.sqrt())
        return leading_singular_values(long_matrix, 2 * most + _SPARE_VECTORS)
    matrix = weighted_hankel(rho, rows, columns)
    guard = (len(rows) + len(columns)) * _EPSILON * float(matrix.norm())
    if torch.equal(matrix, matrix.mT):
        return torch.linalg.eigvalsh(matrix).abs().sort(descending=True).values, guard
    return torch.linalg.svdvals(matrix), guard
