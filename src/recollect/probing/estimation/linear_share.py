r"""The share of the target's variance that a linear functional of the past explains out of sample.

$$1 - \frac{\sum_t (y_t - \hat y_t)^2}{\sum_t (y_t - \bar y)^2},$$

each prediction and each mean from the rows outside the fold of t, L rows beside it left out too. Folds are
stretches of time; the hyperparameters are those of all the data. The sums of a fold are taken off those of
all rows, so a fold costs one Cholesky factor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.stats import t as student

from recollect.probing.estimation.evidence import Tuned
from recollect.probing.estimation.moments import lagged_moments
from recollect.probing.estimation.posterior import posterior
from recollect.probing.estimation.prediction import filtered
from recollect.probing.estimation.problem import Problem
from recollect.probing.estimation.records import Records, Spans

_BLOCKS = 20
"""Blocks of rows over which the interval is taken."""


@dataclass(frozen=True, eq=False)
class LinearShare:
    """Attributes: the share, its interval, and the errors out of sample (NaN where nothing is predicted)."""

    share: float
    interval: tuple[float, float]
    errors: Float64[np.ndarray, " n"]


def linear_share(
    records: Records, problem: Problem, tuned: Sequence[Tuned], *, folds: int, confidence: float
) -> LinearShare:
    """By blocked cross-validation of `records`, memories being estimated on `problem`, made from them."""
    lags = len(problem.moments.cross) // records.inputs.shape[1]
    part = problem.records
    assert records.target is not None
    assert part.target is not None
    rows = np.concatenate([np.arange(a + lags - 1, z) for a, z in records.spans if z - a >= lags])
    errors, energies = np.full(len(records.inputs), np.nan), np.full(len(records.inputs), np.nan)
    for fold in np.array_split(rows, folds):
        first, last = int(fold[0]), int(fold[-1]) + 1
        near = _near(part.spans, first - 2 * lags + 1, last + lags, lags)
        rest = problem.moments - lagged_moments(part.inputs, part.target, near, lags, problem.free)
        if rest.count < 3:
            continue
        memory = posterior(rest.centred(), tuned).memory
        left = records.target - filtered(records.inputs, memory, records.spans).sum(1)
        kept = rows[(rows < first - lags) | (rows >= last + lags)]
        errors[fold] = left[fold] - left[kept].mean()
        energies[fold] = records.target[fold] - records.target[kept].mean()
    return _with_interval(errors, energies, confidence)


def _near(spans: Spans, first: int, last: int, lags: int) -> Spans:
    """The parts of the sequences within `[first, last)`."""
    parts = [(max(start, first), min(stop, last)) for start, stop in spans]
    return tuple((start, stop) for start, stop in parts if stop - start >= lags)


def _with_interval(
    errors: Float64[np.ndarray, " n"], energies: Float64[np.ndarray, " n"], confidence: float
) -> LinearShare:
    known = np.flatnonzero(~np.isnan(errors))
    blocks = np.array_split(known, min(_BLOCKS, len(known)))
    left = np.array([np.square(errors[block]).sum() for block in blocks])
    total = np.array([np.square(energies[block]).sum() for block in blocks])
    share = 1 - left.sum() / total.sum()
    without = 1 - (left.sum() - left) / (total.sum() - total)
    n = len(blocks)
    deviation = np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()) if n > 1 else np.inf
    reach = float(student.ppf((1 + confidence) / 2, max(n - 1, 1)) * deviation)
    return LinearShare(float(share), (float(share) - reach, min(float(share) + reach, 1.0)), errors)
