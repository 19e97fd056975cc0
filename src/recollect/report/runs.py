"""One row per run: the tidy table behind every other table and chart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recollect.core import ConfigError
from recollect.report.results import criterion_of, learning_rate, validation_error
from recollect.studies.record import Record

FACTS = {
    "kind": "string",
    "benchmark": "string",
    "factor": "string",
    "family": "string",
    "alpha": "float64",
    "length": "Int64",
    "h50": "float64",
    "h95": "float64",
    "effective_taps": "float64",
    "num_pairs": "Int64",
    "vocabulary": "Int64",
    "fillers": "string",
    "guess": "float64",
    "keys": "string",
    "key_dim": "Int64",
    "value_dim": "Int64",
    "drift": "string",
    "correlation": "float64",
    "function": "string",
    "noise": "float64",
}
"""What tables hold of a task, with its type; other facts stay in the records."""

_METRICS = {
    "nmse": "float64",
    "nmse_se": "float64",
    "nmse_long": "float64",
    "nmse_long_se": "float64",
    "long_length": "Int64",
    "accuracy": "float64",
    "accuracy_se": "float64",
    "cross_entropy": "float64",
    "cross_entropy_se": "float64",
    "capacity": "float64",
    "capacity_censored": "boolean",
    "accuracy_at_1": "float64",
    "accuracy_at_2": "float64",
    "squared_error_at_1": "float64",
    "squared_error_at_2": "float64",
    "tracking_error": "float64",
    "error_kalman": "float64",
    "error_least_squares": "float64",
    "smoothing_error": "float64",
    "bias_squared": "float64",
    "variance": "float64",
    "boundary_error": "float64",
    "interior_error": "float64",
    "validation_error": "float64",
    "linear_error": "float64",
    "nonlinear_remainder": "float64",
    "bias": "float64",
    "nmse_exact": "float64",
    "floor": "float64",
    "floor_attained": "float64",
    "floor_binds": "boolean",
    "floor_size": "Int64",
    "excess": "float64",
    "below_floor": "boolean",
    "start_nmse": "float64",
    "steps": "Int64",
    "train_seconds": "float64",
    "steps_to_solve": "Int64",
    "seconds_to_solve": "float64",
    "steps_to_half": "Int64",
    "still_improving": "boolean",
    "num_parameters": "Int64",
    "state_size": "Int64",
    "state_bytes": "Int64",
    "receptive_field": "Int64",
}
_TYPES = {
    "id": "string",
    "task": "string",
    **FACTS,
    "criterion": "string",
    "model": "string",
    "seed": "Int64",
    "status": "string",
    "learning_rate": "float64",
    **_METRICS,
    "wall_seconds": "float64",
    "peak_memory_bytes": "Int64",
    "created_at": "datetime64[us, UTC]",
    "error": "string",
}


def runs_table(records: Sequence[Record]) -> pd.DataFrame:
    """Facts, learning rate and metrics of every run, one row each, in the order of `records`.

    A quantity that a run does not have (a failed run has no metrics; an untrained one no learning rate;
    an accuracy has no alpha) is missing, never zero. `error` is the last line of a traceback.

    Example:
        >>> runs_table([]).columns[:3].tolist()
        ['id', 'task', 'kind']
    """
    columns = list(_TYPES)
    return pd.DataFrame([run_row(record) for record in records], columns=columns).astype(_TYPES)


def write_table(records: Sequence[Record], path: Path) -> Path:
    """Write `runs_table` as CSV or Parquet, as the ending of `path` says.

    Raises:
        ConfigError: another ending.
    """
    table = runs_table(records)
    match path.suffix:
        case ".csv":
            table.to_csv(path, index=False)
        case ".parquet":
            table.to_parquet(path, index=False)
        case other:
            raise ConfigError(f"expected a file that ends in .csv or .parquet, got {other or path.name!r}.")
    return path


def run_row(record: Record) -> dict[str, Any]:
    """What the table shows of one run, by column."""
    return {
        "id": record.id,
        "task": record.task,
        **{name: record.facts.get(name) for name in FACTS},
        "criterion": criterion_of(record),
        "model": record.model,
        "seed": record.seed,
        "status": record.status,
        "learning_rate": learning_rate(record),
        **{name: record.metrics.get(name) for name in _METRICS},
        "validation_error": validation_error(record),
        "wall_seconds": record.wall_seconds,
        "peak_memory_bytes": record.peak_memory_bytes,
        "created_at": record.created_at,
        "error": record.error and record.error.strip().rpartition("\n")[-1],
    }
