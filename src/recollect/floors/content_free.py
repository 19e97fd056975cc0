r"""Softmax heads whose scores depend on positions alone: what they share, and what none of them can do.

Such a head weights lag s at position t by $p_t(s) \ge 0$ with $\sum_{s \le t} p_t(s) = 1$. The answer to a
constant input is therefore the same at all positions, and stays so through linear maps, sums over heads,
residual connections and further layers: the memory function $k_t$ of the whole model obeys
$\sum_{s \le t} k_t(s) = v$ with one v for all t. The nearest such row is $\rho$ moved evenly, hence

$$\mathrm{NMSE} \ge \min_v \sum_t \frac{(Z_t - v)^2}{t + 1} \Big/ \sum_t E_t, \qquad
  Z_t = \sum_{s \le t} \rho_s, \quad E_t = \sum_{s \le t} \rho_s^2,$$

the sums over the positions that are measured: nothing at a single one. A *sink*, one more key of value zero,
takes up weight and lifts the bound. A single head, moreover, gives all lags the sign of its gain.

In one layer with fixed scores only the gains are left, and they are a linear least-squares problem over all
pairs (t, s). A column of it is a shape over the lags divided, position by position, by the head's sum:
both are kept, the T x T matrices of responses never formed.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core.shapes import Taps
from recollect.floors.problem import Problem

_EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True, eq=False)
class Heads:
    """One layer of content-free heads without its gains: responses $a_h(s) / n_h(t)$, lag s at position t.

    Attributes:
        shapes: $a_h$, the exponentials of the scores by lag; a feed-through is 1 at lag 0.
        sums: $n_h$, the sum of all scores' exponentials at each position; 1 for a feed-through.
    """

    shapes: Float64[Tensor, "H T"]
    sums: Float64[Tensor, "H T"]

    def responses(self, gains: Float64[Tensor, " H"]) -> Float64[Tensor, "T T"]:
        """Response at position t to lag s under these gains; O(H T^2)."""
        return torch.einsum("h,ht,hs->ts", gains, 1 / self.sums, self.shapes).tril()

    def taps(self, gains: Float64[Tensor, " H"]) -> Float64[Tensor, " T"]:
        """The last row of `responses`; O(H T)."""
        return (gains / self.sums[:, -1]) @ self.shapes


class GainedHeads(ABC):
    """What fits of content-free heads share: a gain for each head, and one for the present input."""

    gains: Float64[Tensor, " H"]
    feed_through: float

    @abstractmethod
    def _heads(self, length: int) -> Heads:
        """The heads at `length` positions, the feed-through among them."""

    def responses(self, length: int) -> Float64[Tensor, "T T"]:
        """Response at position t to lag s."""
        return self._heads(length).responses(self._all_gains)

    def taps(self, length: int) -> Taps:
        """The last row of `responses`."""
        return self._heads(length).taps(self._all_gains)

    @property
    def _all_gains(self) -> Float64[Tensor, " columns"]:
        return torch.cat([self.gains, self.gains.new_tensor([self.feed_through])])


@dataclass(frozen=True, eq=False)
class Projection:
    """The best gains of given heads.

    Attributes:
        gains: one for each head.
        lower: no gains have a smaller NMSE.
        attained: NMSE of `gains`.
    """

    gains: Float64[Tensor, " H"]
    lower: float
    attained: float


def softmax_heads(weights: Float64[Tensor, "H T"], *, sink: bool, feed_through: bool) -> Heads:
    """Heads whose scores' exponentials are `weights`; the feed-through comes last.

    Args:
        weights: by head and lag, positive.
        sink: whether there is one more key, of score 0 and value 0.
        feed_through: whether the present input reaches the output beside the heads.
    """
    sums = weights.cumsum(1) + float(sink)
    if not feed_through:
        return Heads(weights, sums)
    present = torch.zeros_like(weights[:1])
    present[:, 0] = 1
    return Heads(torch.cat([weights, present]), torch.cat([sums, torch.ones_like(present)]))


def heads_bound(problem: Problem, *, sink: bool) -> tuple[float, str]:
    """What holds for content-free heads of any number and depth, and why."""
    if sink:
        return 0.0, "a sink takes up weight: only the heads' shapes could bind"
    if problem.weighting == "uniform":
        return 0.0, "at a single position heads can have any sum: only their shapes could bind"
    return normalisation_bound(problem), "the weights of a softmax add up to one at each position"


def normalisation_bound(problem: Problem) -> float:
    r"""Least NMSE of any number and depth of content-free heads with linear residuals and no sink.

    Cost O(T). Rounding can move the norm whose square this is by less than
    $8 T \epsilon \sum_s |\rho_s| (\sum_t 1/(t+1))^{1/2}$, which is taken off.

    Example:
        >>> problem = Problem(torch.tensor([1.0, 1.0], dtype=torch.float64), "window")
        >>> round(normalisation_bound(problem), 6)
        0.111111
    """
    counts = torch.arange(1, problem.length + 1, dtype=torch.float64)
    measured = position_weights(problem)
    sums, shares = problem.rho.cumsum(0), measured / counts
    constant = (shares * sums).sum() / shares.sum()
    missed = (shares * (sums - constant).square()).sum().sqrt()
    guard = 8 * problem.length * _EPS * problem.rho.abs().sum() * shares.sum().sqrt()
    return float((missed - guard).clamp(min=0).square()) / _energy(problem)


def sign_bound(problem: Problem, *, feed_through: bool) -> float:
    """Least NMSE of a single content-free head, with or without a sink: it cannot hold both signs.

    With a feed-through the first lag has a gain of its own and does not count.
    """
    energies = problem.weights * problem.rho.square()
    counted = energies[1:] if feed_through else energies
    signs = problem.rho[1:] if feed_through else problem.rho
    lost = min(float(counted[signs > 0].sum()), float(counted[signs < 0].sum()))
    return lost * (1 - 4 * problem.length * _EPS) / problem.energy


def project(problem: Problem, heads: Heads) -> Projection:
    r"""The best gains, by least squares over all lags at all measured positions.

    Directions of the gains whose singular value is below 1e-12 of the largest are left out, so that no gain
    is larger than it can be computed with. The residual that `lower` starts from is that of all directions,
    less $8 (T + H) \epsilon \kappa$ times the target's norm: the rounding of the least squares, with the
    condition $\kappa$ of the columns at unit norm. Cost O(T H^2 (T / C + C)) with chunks of C positions.
    """
    triangle = _triangle(problem, heads)
    norms = triangle[:, :-1].norm(dim=0)
    design, target = triangle[:, :-1] / norms, triangle[:, -1]
    left, singular, right = torch.linalg.svd(design, full_matrices=False)
    kept = singular > 1e-12 * singular[0]
    gains = right.T[:, kept] @ ((left.T[kept] @ target) / singular[kept])
    missed = (target - design @ gains).square().sum()
    condition = float(singular[0] / singular[-1])
    guard = 8 * (problem.length + len(norms)) * _EPS * condition * float(target.norm())
    energy = _energy(problem)
    lower = max(abs(float(triangle[-1, -1])) - guard, 0.0) ** 2 / energy
    return Projection(gains / norms, lower, float(missed) / energy)


def projected_error(problem: Problem, heads: Heads) -> Float64[Tensor, ""]:
    r"""NMSE under the best gains, differentiable in the heads, by the normal equations; O(T H^2).

    $G_{hg} = \sum_t P_{hg}(t) / (n_h(t) n_g(t))$ with the running sums $P_{hg}$ of $a_h a_g$. Good to about
    1e-8: for the search of scores, not for a figure to report.
    """
    shares = position_weights(problem) / heads.sums
    products = torch.einsum("hs,gs->hgs", heads.shapes, heads.shapes).cumsum(2)
    gram = torch.einsum("hgt,ht,gt->hg", products, shares, 1 / heads.sums)
    with_target = ((heads.shapes * problem.rho).cumsum(1) * shares).sum(1)
    scale = gram.diagonal().rsqrt()
    ridge = 1e-12 * torch.eye(len(gram), dtype=torch.float64)
    correlations, reached = scale[:, None] * gram * scale + ridge, scale * with_target
    return 1 - reached @ torch.linalg.solve(correlations, reached) / _energy(problem)


def position_weights(problem: Problem) -> Float64[Tensor, " T"]:
    """1 at the positions whose errors count: all of them, or the last alone."""
    ones = torch.ones(problem.length, dtype=torch.float64)
    if problem.weighting == "uniform":
        ones[:-1] = 0
    return ones


def _energy(problem: Problem) -> float:
    """The target's energy at all measured positions together."""
    return float((position_weights(problem) * problem.rho.square().cumsum(0)).sum())


def _triangle(problem: Problem, heads: Heads) -> Float64[Tensor, "columns columns"]:
    """R factor of the least-squares problem, the target in its last column.

    All positions see the same shapes, only scaled. So the rows that a whole chunk of positions shares are
    compressed to a triangle once, and each position adds its own lags to it.
    """
    columns = torch.cat([heads.shapes, problem.rho[None]]).T
    scales = torch.cat([1 / heads.sums, torch.ones(1, problem.length)]).T
    if problem.weighting == "uniform":
        return _compressed(columns * scales[-1])
    size = 32
    shared = total = columns.new_zeros(0, columns.shape[1])
    for rows, scale in zip(columns.split(size), scales.split(size), strict=True):
        count = len(rows)
        own = rows * torch.ones(count, count, dtype=torch.float64).tril()[:, :, None]
        seen = torch.cat([shared.expand(count, *shared.shape), own], dim=1) * scale[:, None]
        total = _compressed(torch.cat([total, seen.flatten(0, 1)]))
        shared = _compressed(torch.cat([shared, rows]))
    return total


def _compressed(rows: Float64[Tensor, "rows columns"]) -> Float64[Tensor, "columns columns"]:
    """An upper triangle with the same inner products between its columns."""
    missing = rows.shape[1] - rows.shape[0]
    padded = torch.nn.functional.pad(rows, (0, 0, 0, max(missing, 0)))
    return torch.linalg.qr(padded, mode="r").R
