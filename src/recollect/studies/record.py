"""The record of one finished run: everything the report shows, and enough to run it again."""

from datetime import datetime
from typing import Any, Literal

from recollect.core import Config

Status = Literal["done", "diverged", "failed"]


class Record(Config):
    """One immutable result. Plain JSON values throughout.

    Attributes:
        id: hash of the run's config, the results version and, for a user's module, its source.
        model: the model's label in tables and charts.
        task: the task's label, e.g. `impulse(alpha=16)`.
        facts: of the task: `family`, `alpha`, `length`, `h50`, `h95`, `effective_taps`.
        status: `done`; `diverged` (NaN or Inf: the metrics are the last good ones); `failed` (see `error`).
        config: the run's full config.
        metrics: `nmse` and `nmse_se` (test error over target power and its Monte-Carlo standard error),
            `nmse_long`, `nmse_long_se`, `long_length` (at a multiple of the training length; None where
            not defined), `validation_nmse`, the audit's shares of the target power `linear_error`,
            `nonlinear_remainder`, `bias` (they add up to the error), `steps`, `train_seconds`,
            `still_improving` (the run had not converged at its last step), `num_parameters`,
            `state_size`, `receptive_field`.
        series: columns by table: `curve` (`step`, `train_nmse`, `validation_nmse`), `position`
            (`position`, `nmse`, `nmse_se`), `lag` (`lag`, `true`, `learned`, `learned_se`, `missed`:
            share of the target power lost at that lag).
        environment: versions, hardware, platform.
        error: traceback of a failed run.
    """

    id: str
    model: str
    task: str
    seed: int
    status: Status
    facts: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, Any]
    series: dict[str, dict[str, list[Any]]]
    environment: dict[str, Any]
    error: str | None
    wall_seconds: float
    peak_memory_bytes: int
    created_at: datetime
