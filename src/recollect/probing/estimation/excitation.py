r"""Whether the inputs move enough, and independently enough, for their memory functions to be told.

$R_{xx}$ is the covariance of the lagged inputs, each of variance one. Its eigenvalues are the power of the
inputs in each direction; where that is small next to the noise, the answer comes from the prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.signal.windows import parzen

_MOST_COLUMNS = 768
"""Of the matrix whose eigenvalues are computed: with more, fewer lags of each input are looked at."""

_WEAK = 1e-3
"""A frequency is hardly excited where its power is less than so much of the mean."""

_SHARED = 0.98
"""Inputs with at least such a correlation at lag 0 are hardly told apart."""


@dataclass(frozen=True)
class Excitation:
    """How well the inputs excite the system.

    Attributes:
        condition: largest over smallest eigenvalue of R_xx.
        directions: effective number of excited directions, `(sum l)^2 / sum l^2` ...
        possible: ... of so many, the columns of R_xx.
        message: what is not excited; None where all is well.
    """

    condition: float
    directions: float
    possible: int
    message: str | None


def measure_excitation(covariance: Float64[np.ndarray, "lags p p"], names: Sequence[str]) -> Excitation:
    """Eigenvalues of the block Toeplitz matrix of the inputs' correlations, O(columns^3) for at most 768.

    Args:
        covariance: `cov(x_{t,i}, x_{t-lag,j})` at `[lag, i, j]`.
        names: of the inputs.

    Example:
        >>> measure_excitation(np.array([1.0, 0.5])[:, None, None], ["u"]).condition
        3.0
    """
    deviations = np.sqrt(np.diagonal(covariance[0]))
    correlation = covariance / np.outer(deviations, deviations)
    kept = min(len(covariance), max(_MOST_COLUMNS // len(names), 1))
    lag = np.arange(kept)[:, None] - np.arange(kept)
    earlier, later = correlation[np.abs(lag)], correlation[np.abs(lag)].swapaxes(-1, -2)
    blocks = np.where((lag <= 0)[..., None, None], earlier, later)
    values = np.linalg.eigvalsh(blocks.transpose(2, 0, 3, 1).reshape(kept * len(names), -1)).clip(min=0)
    smallest = max(float(values[0]), 1e-16 * float(values[-1]))
    return Excitation(
        condition=round(float(values[-1]) / smallest, 12),
        directions=float(values.sum() ** 2 / (values**2).sum()),
        possible=len(values),
        message=_message(correlation, names),
    )


def _message(correlation: Float64[np.ndarray, "lags p p"], names: Sequence[str]) -> str | None:
    now = correlation[0]
    for i in range(len(names)):
        for j in range(i):
            if abs(now[i, j]) > _SHARED:
                return f"inputs `{names[j]}` and `{names[i]}` move together (correlation {now[i, j]:.3f})"
    for i, name in enumerate(names):
        band = _weak_band(correlation[:, i, i])
        if band:
            return f"input `{name}` hardly moves at {band} cycles per row"
    return None


def _weak_band(autocorrelation: Float64[np.ndarray, " lags"]) -> str | None:
    """The range of frequencies with hardly any power, by a smoothed spectrum; None if there is none."""
    lags = len(autocorrelation)
    if lags < 8:
        return None
    window = parzen(2 * lags + 1)[lags:-1]
    spectrum = 2 * np.fft.rfft(autocorrelation * window, 8 * lags).real - autocorrelation[0]
    frequencies = np.arange(len(spectrum)) / (8 * lags)
    weak = np.flatnonzero(spectrum < _WEAK * spectrum.mean())
    return f"{frequencies[weak[0]]:.2g} to {frequencies[weak[-1]]:.2g}" if len(weak) else None
