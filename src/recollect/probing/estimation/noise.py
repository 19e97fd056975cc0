r"""Coloured noise: an autoregression of the residual, and records filtered so that it becomes white.

$$e_t = \sum_{j=1}^{q} a_j e_{t-j} + \epsilon_t, \qquad
  \tilde x_t = x_t - \sum_j a_j x_{t-j},\; \tilde y_t = y_t - \sum_j a_j y_{t-j} .$$

The memory function of the filtered records is the same, and least squares are efficient there. The order is
the one of least BIC.
"""

import numpy as np
from jaxtyping import Float64
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from recollect.probing.estimation.records import Records, Spans

_LARGEST_ORDER = 24


def autocovariance(
    residual: Float64[np.ndarray, " n"], spans: Spans, lags: int
) -> tuple[Float64[np.ndarray, " lags"], int]:
    """Mean products at distance 0..lags-1 inside sequences, over the number of rows; and that number."""
    total, count = np.zeros(lags), 0
    for start, stop in spans:
        part = residual[start:stop]
        count += len(part)
        for k in range(min(lags, len(part))):
            total[k] += part[k:] @ part[: len(part) - k]
    return total / max(count, 1), count


def fit_autoregression(residual: Float64[np.ndarray, " n"], spans: Spans) -> Float64[np.ndarray, " order"]:
    """Coefficients of the order of least BIC, none where the residual looks white.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> noise = lfilter([1.0], [1.0, -0.8], rng.normal(size=2000))
        >>> fit_autoregression(noise, ((0, 2000),)).round(1)
        array([0.8])
    """
    shortest_use = max((stop - start for start, stop in spans), default=0)
    largest = min(_LARGEST_ORDER, shortest_use // 10)
    covariance, count = autocovariance(residual, spans, largest + 1)
    if count == 0 or covariance[0] <= 0:
        return np.zeros(0)
    candidates = [np.zeros(0)]
    candidates += [
        solve_toeplitz(covariance[:order], covariance[1 : order + 1]) for order in range(1, largest + 1)
    ]
    left = [covariance[0] - a @ covariance[1 : len(a) + 1] for a in candidates]
    scores = [
        count * np.log(max(v, 1e-300)) + len(a) * np.log(count) for v, a in zip(left, candidates, strict=True)
    ]
    return candidates[int(np.argmin(scores))]


def whitened(records: Records, coefficients: Float64[np.ndarray, " order"]) -> Records:
    """Inputs and target filtered; the first rows of every sequence, whose past is not known, go."""
    q = len(coefficients)
    if not q or records.target is None:
        return records
    taps = np.concatenate([[1.0], -coefficients])
    return Records(
        inputs=np.asarray(lfilter(taps, [1.0], records.inputs, axis=0)),
        target=np.asarray(lfilter(taps, [1.0], records.target)),
        spans=tuple((start + q, stop) for start, stop in records.spans if stop - start > q),
        names=records.names,
    )


def power_gain(coefficients: Float64[np.ndarray, " order"]) -> float:
    """Variance of the autoregression driven by white noise of variance one."""
    impulse = np.zeros(4096)
    impulse[0] = 1.0
    return float(np.square(lfilter([1.0], np.concatenate([[1.0], -coefficients]), impulse)).sum())


def variance_inflation(scores: Float64[np.ndarray, " n"], spans: Spans) -> float:
    """Variance of a mean of correlated numbers over that of independent ones (Bartlett's window); at least 1.

    Missing numbers are left out at the borders of sequences.

    Example:
        >>> steps = np.repeat(np.random.default_rng(0).normal(size=500), 4)
        >>> 2 < variance_inflation(steps, ((0, 2000),)) < 4
        True
    """
    known = ~np.isnan(scores)
    centred = np.where(known, scores - scores[known].mean(), 0.0)
    reach = max(round(2 * known.sum() ** (1 / 3)), 1)
    covariance, _ = autocovariance(centred, spans, reach)
    weights = 1 - np.arange(len(covariance)) / reach
    return max(float(2 * weights @ covariance / covariance[0] - 1), 1.0)
