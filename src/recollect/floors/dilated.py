r"""Floors of linear dilated convolutions: the unfoldings of a memory function have more ranks than channels.

One dense convolution of l taps per dilation $l^k$, k = 0..K-1, M channels between any two levels. Cut the
net below level k: what passes is M channels, so with $n = l^k$ the impulse response $\kappa$, written as
the matrix $\kappa_{ij}$ of the lags $s = i n + j$, has rank M at most. Weigh the errors by
$a_i b_j \le w_{in+j}$: a product of a row's and a column's factor changes no rank, so by Eckart and Young

$$\mathrm{NMSE} \ge
  \max_k \sum_{j > M} \sigma_j^2\big(\sqrt{a_i b_j}\, \rho_{in+j}\big) \Big/ \sum_s w_s \rho_s^2,$$

plus the tail beyond the receptive field $l^K$. Given column factors b, the largest row factors allowed are
$a_i = \min_j w_{in+j} / b_j$, over the columns that count: admissible by definition. Lags beyond the horizon
have w = 0: no error is charged there, and a row that reaches beyond it counts only in the columns before.

Sums of the levels' outputs (skip connections), the net's own input included, add to the first row alone:
they reach the output with all higher digits zero. So with them the bound is that of the other rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import ConfigError
from recollect.floors.finite_memory import tail_errors
from recollect.floors.floor import Floor, check_sizes
from recollect.floors.problem import Problem
from recollect.floors.tensor_train_fit import fit_dilated

Unfolding = Float64[Tensor, "rows columns"]
"""Values by lag, the higher digits of the lag down the rows."""


@final
@dataclass(frozen=True)
class LinearDilated:
    """Linear dilated convolutions of `size` channels, one a level, of as many taps as the dilation's base.

    A residual connection around a single level is a change of its first tap, and makes no other class.

    Attributes:
        base: l, at least 2.
        num_levels: K, at least 1; None for the fewest that reach over the horizon.
        skip: whether the levels' outputs and the input are added to the last level's, each with its gain.

    Raises:
        ConfigError: another base or number of levels.

    Example:
        >>> problem = Problem(torch.eye(16, dtype=torch.float64)[11])
        >>> LinearDilated().floors(problem, [1])[0].attained < 1e-12
        True
    """

    base: int = 2
    num_levels: int | None = None
    skip: bool = False
    unit: str = "channels"

    def __post_init__(self) -> None:
        if self.base < 2 or (self.num_levels is not None and self.num_levels < 1):
            raise ConfigError(
                f"expected a base of at least 2 and at least one level, got base={self.base} and "
                f"num_levels={self.num_levels}."
            )

    def floors(self, problem: Problem, sizes: Sequence[int]) -> list[Floor]:
        """Cost O(K T^1.5) for the bounds of all sizes; for a fit K least squares of T/l rows a sweep."""
        check_sizes(sizes, self.unit)
        num_levels = self._levels(problem.length)
        reach = self.base**num_levels
        tail = float(tail_errors(problem)[min(reach, problem.length)])
        losses = self._losses(problem, num_levels, sizes)
        floors: dict[int, Floor] = {}
        fit = None
        # A wider net holds every narrower one, and starts from it: so the narrowest are always fitted.
        for size in sorted({*sizes, *range(1, min(4, max(sizes)))}):
            fit = fit_dilated(problem, self.base, num_levels, size, skip=self.skip, narrower=fit)
            if size not in losses:
                continue
            lost, cut = losses[size]
            lower = (tail + lost) * (1 - 4 * problem.length * torch.finfo(torch.float64).eps)
            how = f"rank {size} of the unfolding at lag {cut}" if lost > 0 else f"the taps beyond {reach}"
            floors[size] = Floor(size, lower, problem.nmse(fit.taps(problem.length)), fit, how)
        return [floors[size] for size in sizes]

    def _levels(self, length: int) -> int:
        if self.num_levels is not None:
            return self.num_levels
        fewest = 1
        while self.base**fewest < length:
            fewest += 1
        return fewest

    def _losses(
        self, problem: Problem, num_levels: int, sizes: Sequence[int]
    ) -> dict[int, tuple[float, int]]:
        """For each width the largest NMSE that some cut must lose, and the cut's lag."""
        losses: dict[int, tuple[float, int]] = dict.fromkeys(sizes, (0.0, 1))
        for level in range(1, num_levels):
            period = self.base**level
            rho, weights = (
                _unfold(values, self.base**num_levels, period) for values in (problem.rho, problem.weights)
            )
            first = 1 if self.skip else 0
            for matrix in _admissible(rho[first:], weights[first:]):
                found = _truncation_errors(matrix)
                for size in losses:
                    lost = float(found[min(size, len(found) - 1)]) / problem.energy
                    losses[size] = max(losses[size], (lost, period))
        return losses


def _unfold(values: Float64[Tensor, " T"], reach: int, period: int) -> Unfolding:
    padded = torch.nn.functional.pad(values[:reach], (0, max(reach - len(values), 0)))
    return padded.reshape(-1, period)


def _admissible(rho: Unfolding, weights: Unfolding) -> Iterator[Unfolding]:
    """The unfolding under product weights that are nowhere above `weights`, for several column factors."""
    rows, period = weights.shape
    columns = torch.arange(period, dtype=torch.float64)
    reached = (weights > 0).sum(1)
    widths = {period, *(int(width) for width in reached if width), max(period // 2, 1)}
    candidates = [(columns < width).double() for width in sorted(widths)]
    # The window weight falls linearly: so may the column factor, faster than in a row or as fast.
    candidates += [1 - columns / (span * period) for span in (1, 2, rows)]
    for column in candidates:
        ratios = torch.where(column > 0, weights / column, torch.inf)
        yield rho * (ratios.amin(1, keepdim=True) * column).sqrt()


def _truncation_errors(matrix: Unfolding) -> Float64[Tensor, " ranks"]:
    r"""Least squared error of rank M = 0, 1, ..., each less what rounding may have added.

    The computed singular values are those of a matrix within $8 (R + C) \epsilon$ of this one, relative to
    its Frobenius norm, its weights' rounding included; the distance to rank M moves by no more.
    """
    squares = torch.linalg.svdvals(matrix).square()
    distances = torch.nn.functional.pad(squares.flip(0).cumsum(0).flip(0), (0, 1)).sqrt()
    guard = 8 * sum(matrix.shape) * torch.finfo(torch.float64).eps * distances[0]
    return (distances - guard).clamp(min=0).square()
