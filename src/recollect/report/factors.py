r"""Which factor explains that recall fails: the state, the length, or the number of pairs.

**Shares.** Accuracy is regressed on the base-2 logarithms of the three factors, one slope each. The share of
a factor is its Shapley value in $R^2$: what it adds to the explained variance, averaged over all orders in
which the three can be added,

$$\phi_j = \sum_{S \not\ni j} \frac{|S|!\,(2 - |S|)!}{3!} \big(R^2(S \cup j) - R^2(S)\big) .$$

Grids of recall tasks have no long lists of pairs in short sequences, so the factors are correlated. Type II
sums of squares then leave out what factors explain together; the shares above add up to $R^2$ and, because
$R^2$ only grows with factors, are never negative. They are the `LMG` decomposition of Lindeman, Merenda and
Gold (1980). A regression is a summary: the contrasts below assume no line.

**Contrasts.** From the cells that have both neighbours, the change of accuracy when the length grows at
fixed state and pairs, against that when the pairs grow at fixed state and length, per doubling, from the same
starts. Starts where recall is perfect or lost on both sides count, with a change of zero for both.

Intervals are percentiles of a bootstrap that draws cells with replacement, and seeds within each cell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

FACTORS = ("state", "length", "num_pairs")
Outcome = Literal["accuracy", "logit"]
Cell = tuple[float, ...]

_COVERAGE = (2.5, 97.5)
_CLIP = 0.005
"""Of accuracies before the logit: a test of some hundred questions resolves no less."""


class Row(NamedTuple):
    """One run on one setting."""

    accuracy: float
    state: float
    length: float
    num_pairs: float
    seed: int


@dataclass(frozen=True)
class Estimate:
    """A number and its bootstrap interval; NaN where the data does not contain it.

    Attributes:
        value, low, high: the estimate and its 95 % interval.
        count: cells it comes from.
    """

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Shares:
    """Explained variance by factor.

    Attributes:
        by_factor: share of each of `FACTORS`; they add up to `explained`.
        explained: R^2 of all three.
    """

    by_factor: dict[str, Estimate]
    explained: Estimate


@dataclass(frozen=True)
class Contrasts:
    """Change of accuracy per doubling of one factor, the two others fixed.

    Attributes:
        length, num_pairs: from the same starting cells.
        difference: the first less the second; above 0 where more pairs hurt more than more length.
        state: from all cells that have a neighbour with a larger state.
    """

    length: Estimate
    num_pairs: Estimate
    difference: Estimate
    state: Estimate


def shares(rows: Sequence[Row], *, outcome: Outcome = "accuracy", draws: int = 1000, seed: int = 0) -> Shares:
    """Shapley shares of the three factors, with intervals.

    A factor that takes one value explains nothing: its share is 0. Rows whose accuracy does not vary have no
    variance to share: NaN. Cost: eight regressions on three columns for each draw.

    Args:
        rows: runs on a grid; it need not be full.
        outcome: what is regressed; `logit` stretches the ends, and depends on where they are clipped.
        draws: samples of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: no rows, or factors that are not positive.

    Example:
        >>> rows = [Row(1 - n / 8, state, 64, n, 0) for state in (1, 2) for n in (1, 2, 4)]
        >>> {factor: round(share.value, 2) for factor, share in shares(rows).by_factor.items()}
        {'state': 0.0, 'length': 0.0, 'num_pairs': 0.96}
    """
    factors = _logarithms(rows)
    score = np.array([row.accuracy for row in rows])
    if outcome == "logit":
        clipped = score.clip(_CLIP, 1 - _CLIP)
        score = np.log(clipped / (1 - clipped))
    columns = np.column_stack([factors, score])
    cells = _cells(rows)
    counts = _bootstrap_counts(cells, len(rows), draws, np.random.default_rng(seed))
    found = _shapley(columns, np.ones((1, len(rows))))[0]
    drawn = _shapley(columns, counts)
    estimates = [
        _estimate(value, sample, len(cells))
        for value, sample in zip([*found, found.sum()], [*drawn.T, drawn.sum(1)], strict=True)
    ]
    return Shares(dict(zip(FACTORS, estimates[:3], strict=True)), estimates[3])


def contrasts(rows: Sequence[Row], *, draws: int = 1000, seed: int = 0) -> Contrasts:
    """Change of accuracy when length doubles, against when the pairs double, with intervals.

    Neighbours are the next values of a factor that occur; where they are not a factor of two apart the change
    is divided by the base-2 logarithm of their ratio.

    Raises:
        ValueError: no rows, or factors that are not positive.

    Example:
        >>> rows = [Row(1 - n / 8, 1, length, n, 0) for length in (64, 128) for n in (1, 2)]
        >>> found = contrasts(rows)
        >>> found.length.value, found.num_pairs.value
        (0.0, -0.125)
    """
    _logarithms(rows)
    rng = np.random.default_rng(seed)
    cells = _cells(rows)
    score = np.array([row.accuracy for row in rows])
    means = {cell: score[places].mean() for cell, places in cells.items()}
    drawn = {
        cell: score[places[rng.integers(len(places), size=(draws, len(places)))]].mean(1)
        for cell, places in cells.items()
    }
    longer, fuller, larger = (
        _neighbours(cells, FACTORS.index(name)) for name in ("length", "num_pairs", "state")
    )
    matched = [cell for cell in longer if cell in fuller]
    picked = rng.integers(len(matched), size=(draws, len(matched))) if matched else np.zeros((draws, 0), int)
    by_length = _changes(matched, longer, 1, means, drawn)
    by_pairs = _changes(matched, fuller, 2, means, drawn)
    by_state = _changes([*larger], larger, 0, means, drawn)
    picked_states = (
        rng.integers(len(larger), size=(draws, len(larger))) if larger else np.zeros((draws, 0), int)
    )
    return Contrasts(
        length=_mean_change(*by_length, picked),
        num_pairs=_mean_change(*by_pairs, picked),
        difference=_mean_change(by_length[0] - by_pairs[0], by_length[1] - by_pairs[1], picked),
        state=_mean_change(*by_state, picked_states),
    )


def _logarithms(rows: Sequence[Row]) -> np.ndarray:
    if not rows:
        raise ValueError("expected rows of a grid, got none.")
    factors = np.array([[getattr(row, name) for name in FACTORS] for row in rows], dtype=float)
    if not (factors > 0).all():
        raise ValueError(f"expected positive {', '.join(FACTORS)}, got {factors.min():g}.")
    return np.log2(factors)


def _cells(rows: Sequence[Row]) -> dict[Cell, np.ndarray]:
    """Places of the rows (its seeds) of each cell of the grid."""
    places: dict[Cell, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(tuple(float(getattr(row, name)) for name in FACTORS), []).append(place)
    return {cell: np.array(found) for cell, found in places.items()}


def _bootstrap_counts(
    cells: dict[Cell, np.ndarray], num_rows: int, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """How often each row is drawn, `(draws, rows)`: cells with replacement, then seeds in each."""
    times = rng.multinomial(len(cells), np.full(len(cells), 1 / len(cells)), size=draws)
    counts = np.zeros((draws, num_rows))
    for cell_times, places in zip(times.T, cells.values(), strict=True):
        counts[:, places] = rng.multinomial(cell_times * len(places), np.full(len(places), 1 / len(places)))
    return counts


def _shapley(columns: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Shares `(draws, 3)` from columns `(rows, 3 factors and the outcome)` and counts `(draws, rows)`."""
    total = counts.sum(1)[:, None]
    centred = columns - columns.mean(0)
    mean = counts @ centred / total
    moments = np.einsum("dr,ri,rj->dij", counts, centred, centred, optimize=True) / total[:, :, None]
    moments = moments - np.einsum("di,dj->dij", mean, mean)
    explained = {
        subset: _r_squared(moments, subset) for size in range(4) for subset in combinations(range(3), size)
    }
    found = np.zeros((len(counts), 3))
    for factor in range(3):
        for subset in explained:
            if factor not in subset:
                joined = tuple(sorted((*subset, factor)))
                weight = math.factorial(len(subset)) * math.factorial(2 - len(subset)) / math.factorial(3)
                found[:, factor] += weight * (explained[joined] - explained[subset])
    return found


def _r_squared(moments: np.ndarray, subset: tuple[int, ...]) -> np.ndarray:
    """Share of the outcome's variance that a subset explains; NaN where the outcome does not vary."""
    variance = moments[:, 3, 3]
    chosen = list(subset)
    if not chosen:
        return np.where(variance > 1e-15, 0.0, np.nan)
    factors, cross = moments[:, chosen][:, :, chosen], moments[:, chosen, 3]
    inverse = np.linalg.pinv(factors, rcond=1e-9, hermitian=True)
    explained = np.einsum("di,dij,dj->d", cross, inverse, cross)
    return np.where(variance > 1e-15, explained / np.where(variance > 1e-15, variance, 1.0), np.nan)


def _neighbours(cells: dict[Cell, np.ndarray], axis: int) -> dict[Cell, Cell]:
    """Of each cell the one with the next larger value of one factor and the same others, if it exists."""
    lines: dict[Cell, list[Cell]] = {}
    for cell in cells:
        lines.setdefault(cell[:axis] + cell[axis + 1 :], []).append(cell)
    return {
        cell: following
        for line in lines.values()
        for cell, following in zip(sorted(line), sorted(line)[1:], strict=False)
    }


def _changes(
    starts: Sequence[Cell],
    neighbours: dict[Cell, Cell],
    axis: int,
    means: dict[Cell, float],
    drawn: dict[Cell, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Change per doubling from each start `(starts,)`, and with its seeds drawn anew `(draws, starts)`."""
    doublings = [math.log2(neighbours[cell][axis] / cell[axis]) for cell in starts]
    found = [(means[neighbours[cell]] - means[cell]) / by for cell, by in zip(starts, doublings, strict=True)]
    samples = [
        (drawn[neighbours[cell]] - drawn[cell]) / by for cell, by in zip(starts, doublings, strict=True)
    ]
    return np.array(found), np.array(samples).T


def _mean_change(found: np.ndarray, samples: np.ndarray, picked: np.ndarray) -> Estimate:
    if not len(found):
        return Estimate(math.nan, math.nan, math.nan, 0)
    return _estimate(float(found.mean()), np.take_along_axis(samples, picked, axis=1).mean(1), len(found))


def _estimate(value: float, samples: np.ndarray, count: int) -> Estimate:
    kept = samples[np.isfinite(samples)]
    if not math.isfinite(value) or not len(kept):
        return Estimate(math.nan, math.nan, math.nan, count)
    low, high = np.percentile(kept, _COVERAGE)
    return Estimate(float(value), float(low), float(high), count)
