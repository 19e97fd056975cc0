r"""A test for what a linear functional of the past does not explain.

The residual of the posterior mean is compared with nonlinear features h of the filtered inputs: powers and
products of the leading filters of the memory, and powers of the inputs filtered afterwards. Under the prior,
the target has covariance proportional to $\Sigma = I + \Phi W^{-1} \Phi^\top$, and
$\Sigma^{-1} = I - \Phi M^{-1} \Phi^\top$ makes residuals, so the score of the features is
$g = h^\top \Sigma^{-1} y = \tilde h^\top y = h^\top e$ with variance $\sigma^2 h^\top \tilde h$. Then

$$g^\top \big(\textstyle\sum_t \tilde h_t \tilde h_t^\top e_t^2\big)^{-1} g \sim \chi^2,$$

the variance taken with the squared residuals, which also holds where the noise is louder at times. Over its
degrees of freedom it is compared with F.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from scipy.signal import lfilter
from scipy.stats import f as fisher

from recollect.probing.estimation.memory_fit import MemoryFit
from recollect.probing.estimation.moments import full_rows, lagged_products
from recollect.probing.estimation.posterior import Posterior
from recollect.probing.estimation.prediction import filtered
from recollect.probing.estimation.records import Records

_FILTERS = 3
_CLIP = 4.0
"""Features are cut at so many deviations, so that no single row decides."""

_BLOCKS = 40
_RIDGE = 1e-2
_SINGULAR = 1e-8


@dataclass(frozen=True)
class RemainderTest:
    """Attributes: the statistic (F), its p-value, the share of the target's variance that features add."""

    statistic: float
    p_value: float
    share: float


def leading_filters(memory: Float64[np.ndarray, "lags p"], most: int) -> Float64[np.ndarray, "lags p most"]:
    """The directions of the past that matter most: left singular vectors of the memory's Hankel matrix.

    The prediction at t + j, seen from t, is `sum_s rho(s + j) x_{t-s}`; these span the largest of them.
    """
    lags, p = memory.shape
    padded = np.concatenate([memory, np.zeros_like(memory)])
    shifts = np.unique(np.geomspace(1, lags, min(lags, 32)).astype(int)) - 1
    future = np.stack([padded[j : j + lags].ravel() for j in shifts], axis=1)
    left, values, _ = np.linalg.svd(future, full_matrices=False)
    kept = min(most, int((values > 1e-3 * values[0]).sum()) or 1)
    return left[:, :kept].reshape(lags, p, kept)


def nonlinear_features(
    records: Records, memory: Float64[np.ndarray, "lags p"]
) -> Float64[np.ndarray, "n features"]:
    """Bounded features of each row's past, NaN where it is not known."""
    inputs = _standard(records.inputs)
    scaled = memory * np.std(records.inputs, axis=0)
    filters = leading_filters(scaled, _FILTERS)
    linear = [
        _standard(filtered(inputs, filters[..., k], records.spans).sum(1)) for k in range(filters.shape[-1])
    ]
    whole = _standard(filtered(inputs, scaled, records.spans).sum(1))
    columns = [linear[i] * linear[j] for i in range(len(linear)) for j in range(i + 1)]
    columns += [whole**2, whole**3]
    columns += [
        filtered(inputs**2, scaled, records.spans).sum(1),
        filtered(inputs**2, np.abs(scaled), records.spans).sum(1),
        filtered(inputs**3, scaled, records.spans).sum(1),
    ]
    return _standard(np.column_stack(columns)).clip(-_CLIP, _CLIP)


def _standard(values: np.ndarray) -> np.ndarray:
    deviation = np.nanstd(values, axis=0)
    return (values - np.nanmean(values, axis=0)) / np.where(deviation > 0, deviation, 1.0)


def remainder_test(records: Records, fit: MemoryFit, folds: int) -> RemainderTest:
    """Score test of nonlinear features against the residual of the posterior mean, the noise made white."""
    assert records.target is not None
    problem, belief = fit.problem, fit.posterior
    part = problem.records
    assert part.target is not None
    lags, colour = len(belief.memory), problem.colour
    features = nonlinear_features(records, belief.memory)
    features = np.asarray(lfilter(np.concatenate([[1.0], -colour]), [1.0], features, axis=0))
    rows = np.flatnonzero(full_rows(len(features), part.spans, lags) > 0)
    rows = rows[~np.isnan(features[rows]).any(1)]
    residual = part.target - filtered(part.inputs, belief.memory, part.spans).sum(1)
    across = linear_part(part, features, belief)
    extra = (
        np.ones((len(rows), 1))
        if problem.free is None
        else np.column_stack([np.ones(len(rows)), problem.free[rows]])
    )
    both = np.column_stack([features[rows] - across[rows], residual[rows]])
    both -= extra @ np.linalg.lstsq(extra, both, rcond=None)[0]
    free, left = _independent(both[:, :-1]), both[:, -1]
    count, degrees = free.shape[1], len(rows) - free.shape[1]
    if count == 0 or degrees <= 2 * count:
        return RemainderTest(0.0, 1.0, 0.0)
    target_variance = float(records.target[~np.isnan(fit.residual)].var())
    share = _added_share(free, left, target_variance, folds)
    scores = free * left[:, None]
    if not fit.goes_on:
        total = scores.sum(0)
        statistic = float(total @ np.linalg.solve(scores.T @ scores, total)) / count
        return RemainderTest(statistic, float(fisher.sf(statistic, count, degrees)), share)
    # The residual then remembers inputs before the lags: rows are not independent, long blocks nearly are.
    statistic, degrees = _hotelling(scores, max(2 * count, min(_BLOCKS, len(rows) // (2 * lags))))
    return RemainderTest(statistic, float(fisher.sf(statistic, count, degrees)), share)


def _hotelling(scores: Float64[np.ndarray, "n directions"], blocks: int) -> tuple[float, int]:
    """The statistic that the sums of blocks have mean zero, and its second degrees of freedom."""
    sums = np.stack([block.sum(0) for block in np.array_split(scores, blocks)])
    total, around = sums.sum(0), sums - sums.mean(0)
    count = scores.shape[1]
    degrees = blocks - count
    return degrees / (blocks * count) * float(total @ np.linalg.solve(around.T @ around, total)), degrees


def linear_part(
    records: Records, features: Float64[np.ndarray, "n features"], belief: Posterior
) -> Float64[np.ndarray, "n features"]:
    """What the posterior mean would take for linear in each feature, `Phi M^-1 Phi^T h`."""
    lags, p = belief.memory.shape
    known = np.nan_to_num(features)
    products = lagged_products(records.inputs, known, records.spans, lags)
    scale = belief.units
    solved = torch.cholesky_solve(torch.from_numpy(products * scale[:, None]), belief.factor).numpy()
    taps = (solved * scale[:, None]).reshape(p, lags, -1)
    return np.column_stack(
        [filtered(records.inputs, taps[:, :, k].T, records.spans).sum(1) for k in range(features.shape[1])]
    )


def _independent(columns: Float64[np.ndarray, "n features"]) -> Float64[np.ndarray, "n directions"]:
    """An orthonormal basis of the columns, directions with hardly any energy left out."""
    left, values, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, values > _SINGULAR**0.5 * values[0]]


def _added_share(
    free: Float64[np.ndarray, "n directions"],
    residual: Float64[np.ndarray, " n"],
    target_variance: float,
    folds: int,
) -> float:
    """Out-of-sample gain of a ridge regression of the residual, over the target's variance."""
    gained = 0.0
    whole, cross = free.T @ free, free.T @ residual
    for fold in np.array_split(np.arange(len(residual)), folds):
        part, left = free[fold], residual[fold]
        gram = whole - part.T @ part + _RIDGE * np.eye(len(whole))
        slopes = np.linalg.solve(gram, cross - part.T @ left)
        gained += float(np.square(left).sum() - np.square(left - part @ slopes).sum())
    return max(gained / len(residual) / target_variance, 0.0)
