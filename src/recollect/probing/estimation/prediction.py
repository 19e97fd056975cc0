r"""What memory functions predict from records, `sum_i sum_s rho_i(s) x_{t-s,i}`."""

import numpy as np
from jaxtyping import Float64
from scipy.signal import oaconvolve

from recollect.probing.estimation.records import Spans


def filtered(
    inputs: Float64[np.ndarray, "n p"], taps: Float64[np.ndarray, "lags p"], spans: Spans
) -> Float64[np.ndarray, "n p"]:
    """The part of each input, NaN at rows whose lags are not all in their sequence. O(p n log L)."""
    lags = len(taps)
    parts = np.full(inputs.shape, np.nan)
    for start, stop in spans:
        if stop - start >= lags:
            parts[start + lags - 1 : stop] = oaconvolve(inputs[start:stop], taps, mode="valid", axes=0)
    return parts
