"""The runs behind a result, and their series averaged over seeds."""

import math
from collections.abc import Sequence

import numpy as np

from recollect.report.results import Result, learning_rate
from recollect.studies.record import Record

STANDARD_ERRORS = 1.96

Columns = dict[str, list[float | None]]


def chosen_runs(records: Sequence[Record], found: Sequence[Result]) -> list[list[Record]]:
    """For each result the runs that ended at its learning rate, by seed; none where all failed."""
    chosen = {(result.task, result.model): result.learning_rate for result in found}
    runs: dict[tuple[str, str], list[Record]] = {key: [] for key in chosen}
    for record in sorted(records, key=lambda record: record.seed):
        key = (record.task, record.model)
        if record.status != "failed" and key in chosen and learning_rate(record) == chosen[key]:
            runs[key].append(record)
    return [group for group in runs.values() if group]


def column(record: Record, table: str, name: str) -> np.ndarray:
    """A column of numbers; what is missing or not finite is NaN."""
    return np.asarray(record.series[table][name], dtype=float)


def with_series(runs: Sequence[Record], table: str, axis: str) -> list[Record]:
    """The runs that have the table, on the same axis as the first of them."""
    having = [run for run in runs if run.series.get(table, {}).get(axis)]
    return [run for run in having if run.series[table][axis] == having[0].series[table][axis]]


def pooled(runs: Sequence[Record], table: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean of a column over runs and its standard error: over seeds, or of the one run as it states it."""
    values = np.stack([column(run, table, name) for run in runs])
    if len(runs) > 1:
        return values.mean(0), values.std(0, ddof=1) / math.sqrt(len(runs))
    stated = runs[0].series[table].get(f"{name}_se")
    return values[0], np.zeros_like(values[0]) if stated is None else column(runs[0], table, f"{name}_se")


def band(runs: Sequence[Record], table: str, name: str) -> dict[str, np.ndarray]:
    """The pooled column as `name`, `low` and `high`."""
    mean, error = pooled(runs, table, name)
    spread = STANDARD_ERRORS * np.nan_to_num(error)
    return {name: mean, "low": mean - spread, "high": mean + spread}
