r"""Autocovariance of the inputs, $r_{l,i,j} = \mathrm{cov}(x_{t,i}, x_{t-l,j})$."""

import numpy as np
from jaxtyping import Float64
from numpy.fft import irfft, rfft
from scipy.fft import next_fast_len

from recollect.probing.estimation.records import Spans


def input_covariance(
    inputs: Float64[np.ndarray, "n p"], spans: Spans, lags: int
) -> Float64[np.ndarray, "lags p p"]:
    """Sums of products inside the sequences over the number of rows: positive semidefinite. O(p^2 n log n).

    Example:
        >>> input_covariance(np.array([[1.0], [-1.0], [1.0], [-1.0]]), ((0, 4),), 2).ravel()
        array([ 1.  , -0.75])
    """
    centred = inputs - inputs.mean(0)
    apart = [
        np.concatenate([centred[start:stop], np.zeros((lags, inputs.shape[1]))]) for start, stop in spans
    ]
    padded = np.concatenate(apart)
    size = next_fast_len(len(padded), real=True)
    spectra = rfft(padded, size, axis=0)
    columns = [
        irfft(spectra * spectra[:, j, None].conj(), size, axis=0)[:lags] for j in range(inputs.shape[1])
    ]
    return np.stack(columns, axis=-1) / len(inputs)
