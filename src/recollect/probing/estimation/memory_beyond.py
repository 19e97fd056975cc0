r"""Memory that goes on beyond the lags that are estimated.

Left alone it would look like coloured noise, which it is not: it is made of the inputs. So the means of each
input over blocks of earlier lags, longer the earlier they are, are regressors of their own: free ones,
projected out like the intercept. They tell whether the memory goes on, and are used where the record is
long enough.
"""

import itertools

import numpy as np
from jaxtyping import Float64

from recollect.probing.estimation.records import Spans

_REACH, _BLOCKS = 8, 8
"""Blocks of lags up to so many times the lags estimated."""

_LONGEST_SHARE, _SUPPORT = 3, 8
"""... and to this part of the longest sequence; in a fit, where that is so many times as long."""


def earlier_inputs(
    inputs: Float64[np.ndarray, "n p"], spans: Spans, lags: int
) -> Float64[np.ndarray, "n blocks"]:
    """Means over blocks of lags from `lags` on; what lies before a sequence counts as zero. O(p n blocks).

    Example:
        >>> earlier_inputs(np.arange(9.0)[:, None], ((0, 9),), 2)[-1]
        array([6.])
    """
    reach = _reach(spans, lags)
    if reach <= lags:
        return np.zeros((len(inputs), 0))
    edges = np.unique(np.geomspace(lags, reach, _BLOCKS + 1).round().astype(int))
    columns = np.zeros((len(inputs), inputs.shape[1], len(edges) - 1))
    for start, stop in spans:
        length = stop - start
        sums = np.concatenate([np.zeros((reach + 1, inputs.shape[1])), inputs[start:stop].cumsum(0)])
        until = [sums[reach + 1 - edge : reach + 1 - edge + length] for edge in edges]
        for k, (near, far) in enumerate(itertools.pairwise(until)):
            columns[start:stop, :, k] = (near - far) / (edges[k + 1] - edges[k])
    return columns.reshape(len(inputs), -1)


def well_supported(spans: Spans, lags: int) -> bool:
    """Whether averages over such blocks vary often enough in these sequences to do more good than harm."""
    return max(stop - start for start, stop in spans) >= _SUPPORT * _reach(spans, lags)


def _reach(spans: Spans, lags: int) -> int:
    longest = max((stop - start for start, stop in spans), default=0)
    return min(_REACH * lags, longest // _LONGEST_SHARE)
