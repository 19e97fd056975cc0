"""A memory function as a long table: a row for each lag, output and input."""

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.stats import t as student
from torch import Tensor

from recollect.probing.profile.estimate import LagEstimate


def band(
    estimate: LagEstimate, confidence: float
) -> tuple[Float64[Tensor, "lags outputs inputs"], Float64[Tensor, "lags outputs inputs"]]:
    """Lower and upper end of Student's interval around each value."""
    reach = float(student.ppf((1 + confidence) / 2, estimate.degrees_of_freedom))
    return (
        estimate.values - reach * estimate.standard_errors,
        estimate.values + reach * estimate.standard_errors,
    )


def lag_table(estimate: LagEstimate, confidence: float) -> pd.DataFrame:
    """Columns `lag`, `output`, `input`, `value`, `lower`, `upper`, `standard_error`, `rms`.

    `rms` is NaN where the estimator has none. The lag runs slowest.
    """
    lower, upper = band(estimate, confidence)
    lag, output, channel = np.indices(estimate.values.shape)
    return pd.DataFrame(
        {
            "lag": lag.ravel(),
            "output": output.ravel(),
            "input": channel.ravel(),
            "value": estimate.values.numpy().ravel(),
            "lower": lower.numpy().ravel(),
            "upper": upper.numpy().ravel(),
            "standard_error": estimate.standard_errors.numpy().ravel(),
            "rms": np.nan if estimate.rms is None else estimate.rms.numpy().ravel(),
        }
    )
