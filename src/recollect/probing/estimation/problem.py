"""The least squares problem of records: filtered by the colour of the noise, with its free regressors."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from recollect.probing.estimation.memory_beyond import earlier_inputs
from recollect.probing.estimation.moments import Moments, NormalEquations, lagged_moments
from recollect.probing.estimation.noise import whitened
from recollect.probing.estimation.records import Records


@dataclass(frozen=True, eq=False)
class Problem:
    """Records filtered by the colour of the noise, and their sums.

    Attributes:
        records: filtered and centred.
        free: regressors projected out beside the intercept; None without any.
        moments: of the filtered records.
        colour: coefficients of the noise's autoregression.
        goes_on: whether the free regressors stand for memory beyond the lags.
    """

    records: Records
    free: Float64[np.ndarray, "n extra"] | None
    moments: Moments
    colour: Float64[np.ndarray, " order"]
    goes_on: bool

    @cached_property
    def equations(self) -> NormalEquations:
        return self.moments.centred()


def pose(records: Records, lags: int, colour: Float64[np.ndarray, " order"], *, goes_on: bool) -> Problem:
    """The sums of records filtered by the colour of the noise, less their means, which costs fewer digits."""
    part = whitened(records, colour)
    assert part.target is not None
    inputs = part.inputs - records.inputs.mean(0) * (1 - colour.sum())
    target = part.target - part.target.mean()
    free = earlier_inputs(inputs, part.spans, lags) if goes_on else None
    moments = lagged_moments(inputs, target, part.spans, lags, free)
    return Problem(Records(inputs, target, part.spans, part.names), free, moments, colour, goes_on)
