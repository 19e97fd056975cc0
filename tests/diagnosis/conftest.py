"""Simulated series whose memory is known, and an estimator of it that takes a millisecond."""

from typing import Any

import numpy as np
import pytest

from recollect.core import ConfigError
from recollect.diagnosis.series import Series


class LeastSquares:
    """What `confirm` reads of a `MemoryEstimator`, by ordinary least squares; one sequence."""

    def __init__(self, lags: int) -> None:
        self.lags = lags

    def get_params(self) -> dict[str, Any]:
        return {"lags": self.lags}

    def fit(self, X, y, groups=None):
        if len(y) < 8 * self.lags:
            raise ConfigError(f"expected at least {8 * self.lags} rows, got {len(y)}.")
        centred = X - X.mean(0)
        n, self.lags_ = len(y), self.lags
        found = np.linalg.lstsq(self._design(X), y[self.lags - 1 :], rcond=None)[0]
        self.intercept_, self.memory_ = found[0], found[1:].reshape(self.lags, -1)
        self.input_covariance_ = np.stack([centred[s:].T @ centred[: n - s] / n for s in range(self.lags)])
        self.noise_nmse_ = float(np.nanvar(y - self.predict(X)) / y.var())
        return self

    def predict(self, X, groups=None):
        known = self._design(X) @ np.concatenate([[self.intercept_], self.memory_.ravel()])
        return np.concatenate([np.full(self.lags - 1, np.nan), known])

    def _design(self, X):
        lagged = [X[self.lags - 1 - s : len(X) - s] for s in range(self.lags)]
        return np.concatenate([np.ones((len(lagged[0]), 1)), *lagged], axis=1)


@pytest.fixture(scope="session")
def simulated():
    """A series from memory functions `(lags, inputs)`, deviations of the inputs, noise in decibels, rows."""

    def make(memory, rows, decibels, scales=(1.0,), seed=0):
        rng = np.random.default_rng(seed)
        inputs = rng.normal(size=(rows, memory.shape[1])) * scales + 3.0
        parts = [np.convolve(inputs[:, i], memory[:, i])[:rows] for i in range(memory.shape[1])]
        clean = np.sum(parts, axis=0)
        # The first rows lack the past before them.
        inputs, clean = inputs[len(memory) :], clean[len(memory) :]
        noise = rng.normal(size=len(clean)) * clean.std() * 10 ** (-decibels / 20)
        names = tuple(f"u{i}" for i in range(memory.shape[1]))
        segments = np.zeros(len(clean), dtype=np.int64)
        return Series(inputs, clean + noise + 7, names, "y", segments, None, False, (), "simulated")

    return make


@pytest.fixture(scope="session")
def least_squares():
    """Fits a series with a number of lags."""
    return lambda series, lags: LeastSquares(lags).fit(series.inputs, series.target)
