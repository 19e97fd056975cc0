"""A user's series as a task to train on, and what is known of it before: its memory and its noise."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from recollect.core import ConfigError
from recollect.diagnosis.construction import KnownMemory
from recollect.diagnosis.input_metric import continued
from recollect.diagnosis.part_error import PartError, part_error
from recollect.diagnosis.series import Series
from recollect.probing.estimation import MemoryEstimator
from recollect.tasks import SeriesTask

_SHORTEST_WARMUP = 8
# What the past before a window may add to the error, as a part of the error asked for.
_MISSED = 0.05
# Asked rows over warm-up rows of a window: as many, so that half of the work is not lost.
_WINDOW = 2


@dataclass(frozen=True, eq=False)
class TrialData:
    """What every trial shares.

    Attributes:
        task: windows of the series, in three parts by time.
        memory: memory function of the training part alone, in the task's units: what a construction starts
            from has not seen the part it is tested on. None where that part is too short to estimate it.
        variance: of the target over the whole series, in the task's units.
        noise_share: of that variance what the estimate leaves unexplained, over the whole series.
        noise: error of the estimated memory function itself on the test part.
    """

    task: SeriesTask
    memory: KnownMemory | None
    variance: float
    noise_share: float
    noise: PartError

    @classmethod
    def of(cls, series: Series, estimator: MemoryEstimator, target_nmse: float, folder: Path) -> "TrialData":
        """Writes the series into `folder`, which must stay for as long as the task is used."""
        warmup = _warmup(series, estimator, target_nmse)
        task = _task(series, warmup, folder)
        return cls(
            task,
            _memory_of_training(series, estimator, task),
            float(task.rows.target.var(correction=0)),
            estimator.noise_nmse_,
            _noise(series, estimator, task),
        )

    def error_there(self, error: float | None) -> float | None:
        """A predicted NMSE with the noise of the test part in place of that of the whole series."""
        return None if error is None else error - self.noise_share + self.noise.value


def _task(series: Series, warmup: int, folder: Path) -> SeriesTask:
    columns = {f"input {i}": column for i, column in enumerate(series.inputs.T)}
    path = folder / "series.parquet"
    table = pd.DataFrame(columns | {"target": series.target, "segment": series.segments})
    table.to_parquet(path)
    return SeriesTask(
        path=path,
        inputs=tuple(columns),
        target="target",
        segment="segment",
        length=_WINDOW * warmup,
        warmup=warmup,
    )


def _warmup(series: Series, estimator: MemoryEstimator, target_nmse: float) -> int:
    """Rows after which what lies before a window hardly counts; fewer where the series is short."""
    energy = (estimator.memory_**2 * series.inputs.var(axis=0)).sum(axis=1)
    missed = energy[::-1].cumsum()[::-1] / series.target.var()
    needed = int((missed > _MISSED * target_nmse).sum())
    _, num_rows = np.unique(series.segments, return_counts=True)
    longest = int(num_rows.max())
    room = min(len(series.target) // 8, longest // 3)
    return max(min(needed, room), min(_SHORTEST_WARMUP, room), 1)


def _memory_of_training(series: Series, estimator: MemoryEstimator, task: SeriesTask) -> KnownMemory | None:
    known = task.rows.part("train")
    # As many lags as the whole series can tell: beyond them a model would be free to ring.
    refitted = type(estimator)(**{**estimator.get_params(), "lags": estimator.lags_})
    try:
        refitted.fit(series.inputs[known], series.target[known], groups=series.segments[known])
    except ConfigError:
        return None
    *inputs, target = task.rows.scales.tolist()
    scales = torch.tensor(inputs, dtype=torch.float64)
    covariance = torch.from_numpy(refitted.input_covariance_) / torch.outer(scales, scales)
    memory = continued(torch.from_numpy(refitted.memory_) * scales / target, covariance)
    return KnownMemory(memory, covariance, len(series.target[known]))


def _noise(series: Series, estimator: MemoryEstimator, task: SeriesTask) -> PartError:
    asked = task.rows.part("test")
    predicted = estimator.predict(series.inputs, groups=series.segments)
    errors = (series.target - predicted)[asked] / float(task.rows.scales[-1])
    return part_error(
        torch.from_numpy(errors[np.isfinite(errors)]), float(task.rows.target.var(correction=0))
    )
