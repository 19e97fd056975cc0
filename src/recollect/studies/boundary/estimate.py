r"""Where a model fails: the strength of a memory at which its error passes a threshold, with an interval.

$$\log e(u) = a + b\, \sigma\!\big((u - u_0)/w\big), \qquad b \ge 0, \quad u = \log(\text{strength})$$

The curve is fitted by least squares, all runs alike. Errors beyond a factor of 100 from the threshold, or
above 1 (that of predicting nothing), are set to that limit first: how far a run lies from the threshold then
says nothing about where it passes. For each centre $u_0$ and width w on a grid the best a and b are those of
a linear regression, so the best of all curves is the one whose sigmoid correlates most with the data: a
global optimum, without starting values, for all bootstrap samples in one matrix product. The estimate itself
is polished from there by nonlinear least squares.

A curve never rises faster than the measured strengths can tell: w is at least a sixth of the gap across which
the data change sides.

The interval holds percentiles over bootstrap samples. Within each strength the runs are resampled: around
their mean, by their own deviations where there are at least two, widened by sqrt(n / (n - 1)) so that their
variance is right for few seeds. A lone run takes the deviations of all other strengths, or where no strength
has two runs the residuals of the fit. Whatever the percentiles, the interval holds the bracket: the gap
between the last strength up to which every median passes and the first whose median fails. With one seed
nothing narrower is known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit, logit

Kind = Literal["crosses", "never_fails", "fails_everywhere", "undecided"]
Array = NDArray[np.float64]

_REACH = math.log(100)
_NUM_CENTRES, _NUM_WIDTHS = 161, 10
_STEEPEST = 6
"""Widths of the steepest curve in the gap across which the data change sides."""
_TIE = 1e-9


@dataclass(frozen=True)
class Point:
    """One run: the strength of its memory, the logarithm of its error (infinite: diverged) and its seed."""

    strength: float
    log_error: float
    seed: int


@dataclass(frozen=True)
class Boundary:
    """Where the error passes the threshold.

    Attributes:
        kind: `crosses`: at `strength`; `never_fails`: not up to the strongest memory; `fails_everywhere`:
            from the weakest on; `undecided`: too few runs to say.
        strength: None unless it crosses.
        low, high: the interval; None where it is open, because the boundary may lie beyond the range.
    """

    kind: Kind
    strength: float | None = None
    low: float | None = None
    high: float | None = None


def estimate(
    points: Sequence[Point],
    threshold: float,
    low: float,
    high: float,
    *,
    draws: int = 400,
    coverage: float = 0.95,
) -> Boundary:
    r"""The boundary between two strengths.

    Args:
        points: runs at strengths in [low, high], in any order.
        threshold: the error that counts as failure, in (0, 1).
        low, high: the weakest and the strongest memory in question, 0 < low < high.
        draws: bootstrap samples.
        coverage: of the interval.

    Raises:
        ValueError: a range or a threshold that is none, or points outside the range.

    Cost: a product of `draws` x runs and runs x 1,610 numbers. Draws come from a fixed seed.

    Example:
        >>> errors = {2: 0.01, 4: 0.01, 8: 0.03, 16: 0.3, 32: 0.8}
        >>> points = [Point(strength, math.log(error), seed=0) for strength, error in errors.items()]
        >>> found = estimate(points, threshold=0.1, low=2, high=32)
        >>> found.kind, 10 < found.strength < 13, (found.low <= 8, found.high >= 16)
        ('crosses', True, (True, True))
    """
    _check(points, threshold, low, high)
    if len({point.strength for point in points}) < 2:
        return Boundary("undecided")
    ordered = sorted(points, key=lambda point: (point.strength, point.seed))
    u = np.log([point.strength for point in ordered])
    top = min(_REACH, -math.log(threshold))
    z = np.clip([point.log_error - math.log(threshold) for point in ordered], -_REACH, top)
    below, above = _bracket(u, z)
    curves = _Curves(u, below, above)
    ends = math.log(low), math.log(high)
    best = curves.best(z)
    crossing = float(_within(_crossings(best[:, None]), ends)[0])
    noisy = _resampled(u, z, z - _curve(best, u), draws)
    samples = _within(_crossings(curves.best_on_grid(noisy)), ends)
    tail = 50 * (1 - coverage)
    # Percentiles that are samples themselves: between a finite one and an open end there is no mean.
    first, last = np.percentile(samples, [tail, 100 - tail], method="closest_observation")
    return _boundary(crossing, min(first, crossing, below), max(last, crossing, above), (u[0], u[-1]), ends)


def _check(points: Sequence[Point], threshold: float, low: float, high: float) -> None:
    if not 0 < low < high:
        raise ValueError(f"expected strengths 0 < low < high, got low={low} and high={high}.")
    if not 0 < threshold < 1:
        raise ValueError(
            f"expected a threshold in (0, 1), got {threshold}: an NMSE of 1 is that of no answer."
        )
    outside = [point.strength for point in points if not low <= point.strength <= high]
    if outside:
        raise ValueError(f"strengths {outside[:3]} lie outside the range {low} to {high}: widen it.")


def _bracket(u: Array, z: Array) -> tuple[float, float]:
    """The strongest memory up to which every median passes, and the weakest whose median fails."""
    strengths = np.unique(u)
    failing = np.array([np.median(z[u == strength]) > 0 for strength in strengths])
    first = int(failing.argmax()) if failing.any() else len(strengths)
    below = float(strengths[first - 1]) if first > 0 else -math.inf
    above = float(strengths[first]) if first < len(strengths) else math.inf
    return below, above


def _curve(parameters: Array, u: Array) -> Array:
    """The curve with start a, rise b, centre and width."""
    start, rise, centre, width = parameters
    return start + rise * expit((u - centre) / width)


def _crossings(parameters: Array) -> Array:
    """The u at which curves (one a column) pass 0: -inf where they lie above, inf where below everywhere."""
    start, rise, centre, width = parameters
    share = np.divide(-start, rise, out=np.where(start > 0, 0.0, 1.0), where=rise > _TIE)
    return centre + width * logit(share.clip(0, 1))


class _Curves:
    """All curves of a grid over centres and widths, at the strengths of the runs."""

    def __init__(self, u: Array, below: float, above: float) -> None:
        span = u[-1] - u[0]
        has_gap = math.isfinite(below) and math.isfinite(above)
        gap = above - below if has_gap else float(np.diff(np.unique(u)).min())
        centres = np.linspace(u[0] - span / 2, u[-1] + span / 2, _NUM_CENTRES)
        widths = np.geomspace(gap / _STEEPEST, span, _NUM_WIDTHS)
        self.u = u
        self.centres, self.widths = (grid.ravel() for grid in np.meshgrid(centres, widths))
        shapes = expit((u - self.centres[:, None]) / self.widths[:, None])
        self.means = shapes.mean(1)
        self.centred = shapes - self.means[:, None]
        self.norms = np.linalg.norm(self.centred, axis=1).clip(min=1e-12)

    def best_on_grid(self, z: Array) -> Array:
        """Start, rise, centre and width of the best curve for each row of runs."""
        projections = (z @ self.centred.T) / self.norms
        best = projections.argmax(1)
        rise = projections.max(1).clip(min=0) / self.norms[best]
        return np.stack([z.mean(1) - rise * self.means[best], rise, self.centres[best], self.widths[best]])

    def best(self, z: Array) -> Array:
        """The best curve between those of the grid too."""
        lowest = [-np.inf, 0, self.centres[0], self.widths[0]]
        highest = [np.inf, np.inf, self.centres[-1], self.widths[-1]]
        start = np.clip(self.best_on_grid(z[None])[:, 0], lowest, highest)
        return least_squares(lambda p: _curve(p, self.u) - z, start, bounds=(lowest, highest)).x


def _resampled(u: Array, z: Array, residuals: Array, draws: int) -> Array:
    """Bootstrap samples of the runs, one a row."""
    rng = np.random.default_rng(0)
    _, place, counts = np.unique(u, return_inverse=True, return_counts=True)
    centre = (np.bincount(place, z) / counts)[place]
    repeated = counts[place] > 1
    widening = np.sqrt(counts / np.maximum(counts - 1, 1))[place]
    own = (z - centre) * widening
    # A curve of four parameters leaves as many runs fewer to tell the noise from.
    pool = own[repeated] if repeated.any() else residuals * math.sqrt(len(z) / max(1, len(z) - 4))
    samples = np.where(repeated, 0.0, rng.choice(pool, (draws, len(z))))
    for group in np.flatnonzero(counts > 1):
        members = np.flatnonzero(place == group)
        samples[:, members] = rng.choice(own[members], (draws, len(members)))
    return centre + samples


def _within(crossings: Array, ends: tuple[float, float]) -> Array:
    """What lies outside the range is only known to do so."""
    low, high = ends
    return np.where(crossings < low, -np.inf, np.where(crossings > high, np.inf, crossings))


def _boundary(
    crossing: float, first: float, last: float, measured: tuple[float, float], ends: tuple[float, float]
) -> Boundary:
    """In strengths. Nothing is said of an end of the range at which nothing was measured."""
    strength, lower, upper = (
        float(f"{math.exp(value):.9g}") if math.isfinite(value) else None for value in (crossing, first, last)
    )
    if strength is not None:
        return Boundary("crosses", strength, lower, upper)
    end = 1 if crossing > 0 else 0
    if not math.isclose(measured[end], ends[end], abs_tol=1e-9):
        return Boundary("undecided", None, lower, upper)
    return Boundary("never_fails" if end else "fails_everywhere", None, lower, upper)
