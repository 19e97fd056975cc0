r"""Floors of attention by age alone: heads with weights $e^{-p_h s}$ (ALiBi, arXiv:2108.12409, no content).

$$k_t(s) = \sum_h g_h \frac{e^{-p_h s}}{Z_h(t)} \; [+ d\, \delta_{s0}], \qquad
  Z_h(t) = \sum_{u \le t} e^{-p_h u} \; [+ 1 \text{ with a sink}]$$

With fixed slopes $p_h = 2^{-8h/H}$ the best gains are linear least squares over all (t, s), so the floor is
known. With learned slopes they are found by descent from several starts, with the gains eliminated. From
below, $k_t$ is at each single t a sum of H exponentials of the lag, hence the memory function of a linear
recurrence of H real states, and its bound over the horizon t + 1 is one on the error at t.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy
import torch
from jaxtyping import Float64
from scipy.optimize import minimize
from torch import Tensor

from recollect.floors.content_free import (
    GainedHeads,
    Heads,
    Projection,
    heads_bound,
    project,
    projected_error,
    sign_bound,
    softmax_heads,
)
from recollect.floors.floor import Floor, check_sizes
from recollect.floors.problem import Problem
from recollect.floors.recurrence_bound import recurrence_bounds
from recollect.models.positions import alibi_slopes

_CLUSTER, _CLUSTERS = 1.35, 4
"""Ratio of neighbouring slopes in a cluster, and how many clusters a descent starts from."""

_STEPS = 200
"""Steps of a descent at most."""


@final
@dataclass(frozen=True, eq=False)
class HeadsFit(GainedHeads):
    """One layer of heads whose weights fall exponentially with age.

    Attributes:
        slopes: $p_h$ at least 0; 0 is a plain average.
        gains: $g_h$.
        feed_through: gain d of the present input.
        sink: whether one more key has score 0 and value 0.
    """

    slopes: Float64[Tensor, " H"]
    gains: Float64[Tensor, " H"]
    feed_through: float = 0.0
    sink: bool = False

    def _heads(self, length: int) -> Heads:
        return exponential_heads(self.slopes, length, sink=self.sink, feed_through=True)


@final
@dataclass(frozen=True)
class AlibiHeads:
    """Softmax attention of `size` heads that read positions alone, with one slope each.

    In one layer with fixed slopes `lower` is the least error itself, less its rounding; beyond some 16 heads
    the slopes are so near to each other that rounding leaves little of it.

    Attributes:
        slopes: `fixed` at $2^{-8h/H}$, or `learned`.
        sink: whether every head has one more key, of score 0 and value 0.
        feed_through: whether the present input is added, as a residual connection does.
        num_layers: layers that the heads are spread over, with linear maps between them. With more than one
            only the normalisation binds, for any slopes, and nothing is constructed.

    Example:
        >>> problem = Problem(torch.exp(-torch.arange(12.0).double() / 4))
        >>> floor = AlibiHeads(slopes="learned").floors(problem, [1])[0]
        >>> floor.attained < 1e-6
        True
    """

    slopes: Literal["fixed", "learned"] = "fixed"
    sink: bool = False
    feed_through: bool = False
    num_layers: int = 1
    unit: str = "heads"

    def floors(self, problem: Problem, sizes: Sequence[int]) -> list[Floor]:
        """Cost with fixed slopes: one least squares a size; with learned ones, hundreds of O(H^2 T)."""
        check_sizes(sizes, self.unit)
        if self.num_layers > 1:
            lower, how = heads_bound(problem, sink=self.sink)
            return [Floor(size, lower, None, None, how) for size in sizes]
        if self.slopes == "fixed":
            return [self._fixed(problem, size) for size in sizes]
        return self._learned(problem, sizes)

    def _fixed(self, problem: Problem, size: int) -> Floor:
        slopes = alibi_slopes(size).double()
        found = self._project(problem, slopes)
        exact = found.lower, f"least squares over all gains of {size} fixed slopes"
        lower, how = max(exact, heads_bound(problem, sink=self.sink))
        return self._floor(problem, lower, self._fit(slopes, found), how)

    def _learned(self, problem: Problem, sizes: Sequence[int]) -> list[Floor]:
        """In rising order: each size starts from the slopes of the one before, and so is never worse."""
        bounds = dict(zip(sizes, self._bounds(problem, sizes), strict=True))
        floors, before = {}, torch.empty(0, dtype=torch.float64)
        for size in sorted(bounds):
            starts = [_extended(before, problem.length, size), *_starts(problem.length, size)]
            candidates = [starts[0], *(self._descend(problem, start) for start in starts)]
            fits = [(self._project(problem, slopes), slopes) for slopes in candidates]
            found, before = min(fits, key=lambda fit: fit[0].attained)
            lower, how = bounds[size]
            floors[size] = self._floor(problem, lower, self._fit(before, found), how)
        return [floors[size] for size in sizes]

    def _floor(self, problem: Problem, lower: float, fit: HeadsFit, how: str) -> Floor:
        """With the error of the responses themselves: that of a least squares has its rounding."""
        attained = problem.nmse_of_responses(fit.responses(problem.length))
        # Large gains that cancel leave a rounding in the responses, and no error is below the bound.
        return Floor(len(fit.slopes), lower, max(lower, attained), fit, how)

    def _bounds(self, problem: Problem, sizes: Sequence[int]) -> list[tuple[float, str]]:
        """For each size the highest of the bounds that hold for all slopes."""
        shared = heads_bound(problem, sink=self.sink)
        lowers = recurrences_at_each_position(problem, sizes, feed_through=self.feed_through)
        bounds = [
            max(shared, (lower, f"rank {size} of Hankel matrices"))
            for size, lower in zip(sizes, lowers, strict=True)
        ]
        sign = sign_bound(problem, feed_through=self.feed_through), "a single head has one sign"
        return [max(bound, sign) if size == 1 else bound for size, bound in zip(sizes, bounds, strict=True)]

    def _descend(self, problem: Problem, start: Float64[Tensor, " H"]) -> Float64[Tensor, " H"]:
        """Slopes at a local optimum near `start`, over their logarithms."""

        def error(logarithms: numpy.ndarray) -> tuple[float, numpy.ndarray]:
            variable = torch.tensor(logarithms, requires_grad=True)
            value = (
                projected_error(problem, self._heads(variable.exp(), problem.length)).clamp(min=1e-16).log()
            )
            (slope,) = torch.autograd.grad(value, variable)
            return float(value.detach()), slope.numpy()

        low, high = _range(problem.length)
        bounds = [(math.log(low), math.log(high))] * len(start)
        found = minimize(
            error,
            start.log().numpy(),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _STEPS},
        )
        return torch.from_numpy(found.x).exp()

    def _heads(self, slopes: Float64[Tensor, " H"], length: int) -> Heads:
        return exponential_heads(slopes, length, sink=self.sink, feed_through=self.feed_through)

    def _project(self, problem: Problem, slopes: Float64[Tensor, " H"]) -> Projection:
        return project(problem, self._heads(slopes, problem.length))

    def _fit(self, slopes: Float64[Tensor, " H"], found: Projection) -> HeadsFit:
        direct = float(found.gains[-1]) if self.feed_through else 0.0
        return HeadsFit(slopes, found.gains[: len(slopes)], direct, self.sink)


def exponential_heads(slopes: Float64[Tensor, " H"], length: int, *, sink: bool, feed_through: bool) -> Heads:
    """Heads with weights $e^{-p_h s}$ at lags 0..length-1."""
    lags = torch.arange(length, dtype=torch.float64)
    return softmax_heads((-slopes[:, None] * lags).exp(), sink=sink, feed_through=feed_through)


def recurrences_at_each_position(
    problem: Problem, sizes: Sequence[int], *, feed_through: bool
) -> list[float]:
    """Bound of NMSE of one layer of exponential heads, by that of linear recurrences at each position.

    The least squared error grows with the horizon, so a few positions bound all later ones too.
    """
    if problem.weighting == "uniform":
        return [bound.lower for bound in recurrence_bounds(problem, sizes, feed_through=feed_through)]
    starts = sorted({math.ceil(problem.length * part) for part in (0.125, 0.25, 0.5, 0.75)})
    lost = [0.0] * len(sizes)
    for start, end in zip(starts, [*starts[1:], problem.length + 1], strict=True):
        at_start = problem.up_to(start - 1)
        if at_start is not None:
            share = (end - start) * at_start.energy
            bounds = recurrence_bounds(at_start, sizes, feed_through=feed_through)
            lost = [before + share * bound.lower for before, bound in zip(lost, bounds, strict=True)]
    # Sums of at most T non-negative terms, and the weights of both sides.
    slack = 1 - 8 * problem.length * torch.finfo(torch.float64).eps
    return [slack * value / (problem.length * problem.energy) for value in lost]


def _starts(length: int, size: int) -> list[Float64[Tensor, " H"]]:
    low, high = _range(length)
    # Slopes near to each other, whose differences swing: what oscillating targets ask for.
    ratios = _CLUSTER ** torch.arange(size, dtype=torch.float64)
    clusters = [(rate * ratios).clamp(low, high) for rate in _spread(length, _CLUSTERS)] if size > 1 else []
    return [alibi_slopes(size).double().clamp(low, high), _spread(length, size), *clusters]


def _extended(before: Float64[Tensor, " fewer"], length: int, size: int) -> Float64[Tensor, " H"]:
    return torch.cat([before, _spread(length, size - len(before))])


def _spread(length: int, count: int) -> Float64[Tensor, " H"]:
    """Slopes spaced evenly in the logarithm, between the horizon and one lag."""
    exponents = (torch.arange(count, dtype=torch.float64) + 0.5) / max(count, 1)
    return float(length) ** -exponents


def _range(length: int) -> tuple[float, float]:
    """Slopes beyond which nothing changes over the horizon: a plain average, and the present alone."""
    return 1e-3 / length, 30.0
