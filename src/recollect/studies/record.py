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
        facts: what the task is sorted by: `kind`, `criterion` (the metric that is its score), and its own,
            such as `family`, `alpha`, `h95`, or `length`, `num_pairs`, `guess`.
        status: `done`; `diverged` (NaN or Inf: the metrics are the last good ones); `failed` (see `error`).
        config: the run's full config; its `training` is None where nothing was trained.
        metrics: the score under the criterion's name, its Monte-Carlo standard error under `<name>_se`.
            Of training: `validation_error` (NMSE, 1 - accuracy, or nats), `steps`, `train_seconds`,
            `steps_to_solve` and `seconds_to_solve` (None: never below 0.01), `still_improving` (the run had
            not converged at its last step), `num_parameters`, `state_size` (scalars, as the mixers say),
            `state_bytes` (measured), `receptive_field`. Of a functional task also `nmse_long`,
            `nmse_long_se`, `long_length` (at a multiple of the training length), the audit's shares of
            the target power `linear_error`, `nonlinear_remainder`, `bias`, which add up to the error,
            `nmse_exact` (expected, of linear models), `steps_to_half` (None: never below 0.5), the floor
            (`floor`, `floor_attained`, `floor_binds`, `floor_size`, `floor_how`) and, where it binds,
            `excess` and `below_floor`; `start_nmse` where training started from a construction.
        series: columns by table. `curve` (`step`, `seconds`, `train_loss`, `validation_error`);
            `position` (`position`, `nmse`, `nmse_se`) and `lag` (`lag`, `true`, `learned`, `learned_se`,
            `missed`: share of the target power lost at that lag) of a functional task; `setting` (`label`,
            `length`, `num_pairs`, `guess`, `score`, `score_se`, `count`) and `group` (`by`, `group`,
            `score`, `score_se`, `count`) of the others; of untrained layers what their task measures.
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
