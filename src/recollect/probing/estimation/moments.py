r"""Sums of products of lagged inputs, without the matrix of lagged inputs.

With `phi_t = (x_{t-s,i})` for inputs i and lags s < L, over the rows t whose lags all lie in their sequence,

$$G = \sum_t \phi_t \phi_t^\top,\quad b = \sum_t \phi_t y_t .$$

The columns of lag 0 are correlations, found by FFT over all sequences at once: the mask of rows keeps one
sequence from reading another. The others follow from shifting the time of the sum by one:

$$G_{(i,s+1),(j,r+1)} = G_{(i,s),(j,r)}
  + \sum_{\text{sequences } [a, z)} \big(x_{a+L-2-s,i}\, x_{a+L-2-r,j} - x_{z-1-s,i}\, x_{z-1-r,j}\big).$$

For n rows, S sequences and p inputs: O(p^2 n log n + (p L)^2 (S + 1)) work, O(p n + (p L)^2) memory.
Columns are ordered input by input, each from lag 0 up.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.fft import irfft, rfft
from scipy.fft import next_fast_len


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """The least squares problem of the memory function, intercept and other free regressors projected out.

    Attributes:
        gram: of the lagged inputs.
        cross: of lagged inputs and target.
        energy: of the target.
        count: rows.
        degrees: rows less the regressors projected out.
    """

    gram: Float64[np.ndarray, "columns columns"]
    cross: Float64[np.ndarray, " columns"]
    energy: float
    count: int
    degrees: int


@dataclass(frozen=True, eq=False)
class Moments:
    """Raw sums over rows; those of a part of the rows can be taken off.

    Attributes:
        gram: `sum phi phi^T`.
        cross: `sum phi z^T`, for z the target, one, and the free regressors.
        inner: `sum z z^T`.
        count: rows.
    """

    gram: Float64[np.ndarray, "columns columns"]
    cross: Float64[np.ndarray, "columns partners"]
    inner: Float64[np.ndarray, "partners partners"]
    count: int

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(
            self.gram - other.gram,
            self.cross - other.cross,
            self.inner - other.inner,
            self.count - other.count,
        )

    def centred(self) -> NormalEquations:
        """About the means of these rows, and orthogonal to the free regressors."""
        free = np.linalg.pinv(self.inner[1:, 1:], hermitian=True)
        shared = self.cross[:, 1:] @ free
        return NormalEquations(
            gram=self.gram - shared @ self.cross[:, 1:].T,
            cross=self.cross[:, 0] - shared @ self.inner[1:, 0],
            energy=float(self.inner[0, 0] - self.inner[0, 1:] @ free @ self.inner[1:, 0]),
            count=self.count,
            degrees=self.count - len(free),
        )


def lagged_moments(
    inputs: Float64[np.ndarray, "n p"],
    target: Float64[np.ndarray, " n"],
    spans: Iterable[tuple[int, int]],
    lags: int,
    free: Float64[np.ndarray, "n q"] | None = None,
) -> Moments:
    """Sums over the rows of `spans` that have all their lags there.

    Args:
        inputs: in columns.
        target: what they explain.
        spans: first row, and row after the last, of each gap-free sequence.
        lags: L.
        free: regressors to project out beside the intercept.

    Example:
        >>> x, y = np.arange(5.0)[:, None], np.ones(5)
        >>> lagged_moments(x, y, [(0, 5)], 2).gram
        array([[30., 20.],
               [20., 14.]])
    """
    long_spans = [(start, stop) for start, stop in spans if stop - start >= lags]
    mask = full_rows(len(inputs), long_spans, lags)
    partners = [target, np.ones(len(inputs))] + ([] if free is None else list(free.T))
    kept = np.column_stack(partners) * mask[:, None]
    first = _correlations(inputs, np.concatenate([inputs * mask[:, None], kept], axis=1), lags)
    p = inputs.shape[1]
    return Moments(
        gram=_from_first_lag(first[..., :p], _edges(inputs, long_spans, lags)),
        cross=first[..., p:].reshape(p * lags, -1),
        inner=kept.T @ kept,
        count=int(mask.sum()),
    )


def lagged_products(
    inputs: Float64[np.ndarray, "n p"],
    partners: Float64[np.ndarray, "n q"],
    spans: Iterable[tuple[int, int]],
    lags: int,
) -> Float64[np.ndarray, "columns q"]:
    """`sum_t phi_t partners_t`, over the same rows."""
    mask = full_rows(len(inputs), spans, lags)
    return _correlations(inputs, partners * mask[:, None], lags).reshape(-1, partners.shape[1])


def full_rows(n: int, spans: Iterable[tuple[int, int]], lags: int) -> Float64[np.ndarray, " n"]:
    """1 at the rows that have all their lags in their sequence."""
    mask = np.zeros(n)
    for start, stop in spans:
        mask[start + lags - 1 : max(stop, start + lags - 1)] = 1.0
    return mask


def _correlations(
    inputs: Float64[np.ndarray, "n p"], partners: Float64[np.ndarray, "n q"], lags: int
) -> Float64[np.ndarray, "p lags q"]:
    """`sum_t inputs[t - s, i] partners[t, j]` at `[i, s, j]`."""
    size = next_fast_len(len(inputs) + lags, real=True)
    spectra, others = rfft(inputs, size, axis=0), rfft(partners, size, axis=0)
    rows = [irfft(spectra[:, i, None].conj() * others, size, axis=0)[:lags] for i in range(inputs.shape[1])]
    return np.stack(rows)


def _edges(
    inputs: Float64[np.ndarray, "n p"], spans: list[tuple[int, int]], lags: int
) -> Float64[np.ndarray, "p less p less"]:
    """What a shift of time by one adds to the sum where sequences start, less what it takes at ends."""
    p, less = inputs.shape[1], lags - 1
    first = np.array([start + lags - 2 for start, _ in spans], dtype=np.int64)
    last = np.array([stop - 1 for _, stop in spans], dtype=np.int64)
    shifts = np.arange(less)
    before = inputs[first[:, None] - shifts].transpose(0, 2, 1).reshape(len(spans), p * less)
    after = inputs[last[:, None] - shifts].transpose(0, 2, 1).reshape(len(spans), p * less)
    return (before.T @ before - after.T @ after).reshape(p, less, p, less)


def _from_first_lag(
    first: Float64[np.ndarray, "p lags p"], edges: Float64[np.ndarray, "p less p less"]
) -> Float64[np.ndarray, "columns columns"]:
    p, lags, _ = first.shape
    gram = np.empty((p, lags, p, lags))
    gram[:, :, :, 0] = first
    gram[:, 0, :, :] = first.transpose(2, 0, 1)
    for s in range(lags - 1):
        gram[:, s + 1, :, 1:] = gram[:, s, :, :-1] + edges[:, s]
    flat = gram.reshape(p * lags, p * lags)
    return (flat + flat.T) / 2
