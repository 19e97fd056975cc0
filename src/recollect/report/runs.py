"""One row per run: the tidy table behind every other table and chart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recollect.core import ConfigError
from recollect.studies.record import Record

_FACTS = {
    "family": "string",
    "alpha": "float64",
    "length": "Int64",
    "h50": "float64",
    "h95": "float64",
    "effective_taps": "float64",
}
_METRICS = {
    "nmse": "float64",
    "nmse_se": "float64",
    "nmse_long": "float64",
    "nmse_long_se": "float64",
    "long_length": "Int64",
    "validation_nmse": "float64",
    "linear_error": "float64",
    "nonlinear_remainder": "float64",
    "bias": "float64",
    "steps": "Int64",
    "train_seconds": "float64",
    "still_improving": "boolean",
    "num_parameters": "Int64",
    "state_size": "Int64",
    "receptive_field": "Int64",
}
_TYPES = {
    "id": "string",
    "task": "string",
    **_FACTS,
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

    A quantity that a run does not have (a failed run has no metrics; the error at a longer length is
    not defined for learned positions) is missing, never zero. `error` is the last line of a traceback.

    Example:
        >>> runs_table([]).columns[:3].tolist()
        ['id', 'task', 'family']
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
        **{name: record.facts.get(name) for name in _FACTS},
        "model": record.model,
        "seed": record.seed,
        "status": record.status,
        "learning_rate": record.config["training"]["learning_rate"],
        **{name: record.metrics.get(name) for name in _METRICS},
        "wall_seconds": record.wall_seconds,
        "peak_memory_bytes": record.peak_memory_bytes,
        "created_at": record.created_at,
        "error": record.error and record.error.strip().rpartition("\n")[-1],
    }
