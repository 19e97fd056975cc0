"""From a series to its memory function, its numbers, and the smallest model of each family that suffices."""

import numpy as np
import pandas as pd
import torch

from recollect.core import ConfigError
from recollect.diagnosis.diagnosis import NOISE_MARGIN, Diagnosis, Progress, has_memory, silent
from recollect.diagnosis.input_metric import InputMetric
from recollect.diagnosis.recommendation import Recommendation, recommend
from recollect.diagnosis.series import Series
from recollect.diagnosis.stationarity import drift_warnings
from recollect.probing import MemoryEstimator, MemoryNumbers, memory_numbers

_DRAWS = 64


def diagnose(
    series: Series,
    *,
    target_nmse: float | None = None,
    lags: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    on_progress: Progress = silent,
) -> Diagnosis:
    r"""Estimate the memory function of a series, and find the smallest architectures that can learn it.

    A model with memory function k has the total NMSE
    $\frac{\nu + (\rho - k)^\top R (\rho - k)}{\nu + \rho^\top R \rho}$ on data with the memory function
    $\rho$, noise of variance $\nu$ and inputs of covariance R: no model is below $\nu$'s share of it by
    remembering better.

    Args:
        series: from `read_series`.
        target_nmse: error that is asked for, above 0; by default the noise level found.
        lags: number of lags of the memory function; by default chosen from the data.
        confidence: of bands and intervals.
        seed: of the draws behind the intervals.
        on_progress: is told the name of each stage when it begins.

    Raises:
        ConfigError: the series is too short for the lags, or the target is not above 0.

    Cost: seconds for thousands of rows; that of `MemoryEstimator` and of `recommend`.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from recollect.diagnosis import read_series
        >>> u, noise = np.random.default_rng(0).standard_normal((2, 300))
        >>> y = np.convolve(u, 0.5 ** np.arange(20))[:300] + 0.3 * noise
        >>> series = read_series(pd.DataFrame({"u": u, "y": y}), inputs=["u"], target="y")
        >>> found = diagnose(series, lags=8)
        >>> found.memory_found, found.best.family, found.best.size
        (True, 'real_ssm', 1)
    """
    if target_nmse is not None and not 0 < target_nmse < 1:
        raise ConfigError(
            f"expected a target NMSE above 0 and below 1, which the mean alone reaches, got {target_nmse}; "
            "0.1 is a tenth of the variance."
        )
    on_progress("estimating the memory function")
    inputs = pd.DataFrame(series.inputs, columns=pd.Index(series.input_names))
    # Beside the target's own past an autoregression of the noise is not a thing of its own: what it takes
    # away the memory function lacks. What is left of a one-step prediction is white where the lags suffice.
    noise = "white" if series.reads_own_past else "auto"
    estimator = MemoryEstimator(lags, noise=noise, confidence=confidence)
    estimator.fit(inputs, series.target, groups=series.segments)
    on_progress("measuring its horizon, decay and rank")
    numbers = _numbers(estimator, seed)
    asked = estimator.noise_nmse_ if target_nmse is None else target_nmse
    on_progress("searching the smallest architectures")
    found = _recommendations(series, estimator, asked) if has_memory(estimator) else ()
    return Diagnosis(
        series=series,
        estimator=estimator,
        numbers=numbers,
        target_nmse=asked,
        recommendations=found,
        best=_best(found),
        confirmation=None,
        warnings=(*estimator.warnings_, *drift_warnings(series), *_doubts(estimator, asked)),
    )


def _numbers(estimator: MemoryEstimator, seed: int) -> MemoryNumbers:
    """Of the memory functions times the deviations of their inputs: all in units of the target."""
    deviations = np.sqrt(np.diagonal(estimator.input_covariance_[0]))
    errors = estimator.draws(_DRAWS, seed=seed) - estimator.memory_
    return memory_numbers(
        torch.from_numpy(estimator.memory_ * deviations)[:, None, :],
        torch.from_numpy(errors * deviations)[:, :, None, :],
        errors_are="posterior",
    )


def _recommendations(series: Series, estimator: MemoryEstimator, target: float) -> tuple[Recommendation, ...]:
    """Under the input's estimated covariance, with the noise at the share of the variance that was found."""
    memory, covariance = torch.from_numpy(estimator.memory_), torch.from_numpy(estimator.input_covariance_)
    power = InputMetric.of(covariance, estimator.lags_, series.num_rows).cost(memory)
    share = estimator.noise_nmse_
    found = recommend(memory, covariance, power * share / (1 - share), target, num_samples=series.num_rows)
    return tuple(found)


def _best(found: tuple[Recommendation, ...]) -> Recommendation | None:
    """The fewest numbers carried and multiplied at a position, among those with a theorem and a size.

    Not the smallest state alone: for a delay a recurrence has no fewer states than a filter has taps, and is
    far harder to hold and to train.
    """
    able = [one for one in found if one.binding and one.size is not None]
    return min(able, key=lambda one: (one.state_size or 0) + (one.cost_per_step or 0), default=None)


def _doubts(estimator: MemoryEstimator, target: float) -> list[str]:
    """What follows from the fit but is said by no part of it."""
    found = []
    lower = estimator.linear_share_interval_[0]
    if has_memory(estimator) and not lower > 0:
        found.append(
            f"The linear share {estimator.linear_share_:.2g} is not safely above 0 (interval from "
            f"{lower:.2g}): more data may show that there is no memory."
        )
    if target < estimator.noise_nmse_:
        found.append(
            f"The asked NMSE {target:.3g} is below the noise found ({estimator.noise_nmse_:.3g}), which no "
            f"linear memory removes; sizes are for {NOISE_MARGIN:g} times the noise."
        )
    return found
