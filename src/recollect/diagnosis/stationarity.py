r"""Drifts: a memory function is one for all times, and a series that wanders has none.

Dickey and Fuller's regression $\Delta y_t = c + b\,y_{t-1} + \sum_{i \le p} d_i\,\Delta y_{t-i} + e_t$: at a
unit root b = 0, and the ratio of b to its error falls below -2.86 in 5 % of the cases (their asymptotic table
for a regression with a constant; MacKinnon's finite-sample corrections are a few hundredths).
"""

import numpy as np
from jaxtyping import Float64

from recollect.diagnosis.series import Series

_CRITICAL = -2.86
_STRONG_TREND = 0.5
_FEWEST_ROWS = 40


def drift_warnings(series: Series) -> tuple[str, ...]:
    """A sentence for each column that follows a straight line or cannot be told from a unit root.

    Only the longest sequence is looked at, where it has at least 40 rows.
    """
    lengths = np.bincount(series.segments)
    rows = series.segments == lengths.argmax()
    if lengths.max() < _FEWEST_ROWS:
        return ()
    columns = {series.target_name: series.target[rows]}
    if not series.autonomous:
        columns |= dict(zip(series.input_names, series.inputs[rows].T, strict=True))
    return tuple(sentence for name, y in columns.items() if (sentence := _warning(name, y)))


def unit_root_statistic(y: Float64[np.ndarray, " n"]) -> float:
    """Dickey and Fuller's t statistic, p = (n - 1)^(1/3) lagged differences; stationary if strongly negative.

    Example:
        >>> import numpy as np
        >>> e = np.random.default_rng(0).standard_normal(500)
        >>> unit_root_statistic(e) < -2.86 < unit_root_statistic(e.cumsum())
        True
    """
    change = np.diff(y)
    lags = int(len(change) ** (1 / 3))
    past = [change[lags - i : len(change) - i] for i in range(1, lags + 1)]
    level = y[lags:-1] - y[lags:-1].mean()
    regressors = np.stack([level, np.ones_like(level), *past], axis=1)
    # Orthonormal columns, the level last: its coefficient and error need no inverse.
    q, r = np.linalg.qr(np.roll(regressors, -1, axis=1))
    coefficients = q.T @ change[lags:]
    residual = change[lags:] - q @ coefficients
    deviation = np.sqrt(residual @ residual / max(len(residual) - q.shape[1], 1))
    if not deviation > 0:
        return -np.inf
    return float(coefficients[-1] * np.sign(r[-1, -1]) / deviation)


def _warning(name: str, y: Float64[np.ndarray, " n"]) -> str | None:
    share = float(np.corrcoef(np.arange(len(y)), y)[0, 1] ** 2)
    if share > _STRONG_TREND:
        return (
            f"{name} follows a straight line ({100 * share:.0f} % of its variance): what is found may be the "
            f"trend and not memory. Take differences (--difference), or remove the trend."
        )
    statistic = unit_root_statistic(y)
    if statistic > _CRITICAL:
        return (
            f"{name} cannot be told from a series with a unit root (Dickey-Fuller {statistic:.2f}, above "
            f"{_CRITICAL}): it may wander, and what is found may not be memory. Compare with --difference."
        )
    return None
