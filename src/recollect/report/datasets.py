"""The data of all charts: each quantity once, rounded, and small enough for a page.

Lag by lag and step by step, a chart shows one run per model and task: that of the lowest seed at the
learning rate that validation chose. Long series are thinned, and keep their peaks.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from recollect.report.results import Result, criterion_of, learning_rate
from recollect.studies.record import Record
from recollect.tasks.criteria import CRITERIA

Rows = list[dict[str, Any]]
Datasets = dict[str, Rows]

MAX_POINTS = 160
"""Points of one line: more than a phone's screen can tell apart in a small multiple."""

SMALLEST_ERROR = 1e-7
"""Errors below are drawn here: float32 resolves no less, and a logarithmic axis has no zero."""

SMALLEST_MISS = 1e-3
"""Shares of missed answers below are drawn here: a few thousand answers resolve no less."""

_OLD_CURVE = {"train_nmse": "train_loss", "validation_nmse": "validation_error"}


def datasets(records: Sequence[Record], found: Sequence[Result]) -> Datasets:
    """Tables by name.

    `summary` has a row per model and task; its `shown_*` fit a logarithmic axis, those of a floor at the
    lower edge of its family's errors where it lies far below, and none where it is 0. The others hold columns
    of numbers in each row, which a chart flattens: `truth` per task (`lag`, `true`, `share` of the
    target's power at that lag for white input), `learned`, `curve` and `position` per model and task.
    """
    shown = _representatives(records, found)
    truth, learned = _memory(shown)
    lowest = _lowest(found)
    return {
        "summary": [_result_row(result) | _drawn_floor(result, lowest) for result in found],
        "truth": truth,
        "learned": learned,
        "curve": [row for record in shown if (row := _curve(record))],
        "position": [row for record in shown if (row := _line(record, "position", "position", ("nmse",)))],
    }


def rounded(value: float | None) -> float | None:
    """Four significant digits; None for what is not a finite number (JSON has no other word for it)."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")


def _representatives(records: Sequence[Record], found: Sequence[Result]) -> list[Record]:
    """The run of the lowest seed at the chosen learning rate, in the order of `found`."""
    chosen = {(result.task, result.model): result.learning_rate for result in found}
    first: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=lambda record: record.seed):
        key = (record.task, record.model)
        if record.status != "failed" and learning_rate(record) == chosen[key]:
            first.setdefault(key, record)
    return [first[key] for key in chosen if key in first]


def _result_row(result: Result) -> dict[str, Any]:
    same = ("task", "model", "criterion", "family", "alpha", "h95", "interval_kind", "best")
    numbers = ("value", "low", "high", "value_long", "guess", "learning_rate")
    return {
        **{name: getattr(result, name) for name in same},
        **{name: rounded(getattr(result, name)) for name in numbers},
        **{f"shown_{name}": _drawable(getattr(result, name), result) for name in ("value", "low", "high")},
        **{name: rounded(getattr(result, name)) for name in ("state_bytes", "steps_to_solve")},
        **{name: getattr(result, name) for name in ("solved", "still_improving", "at_least", "note")},
        "seeds": result.num_seeds,
        "diverged": result.num_diverged,
    }


def _lowest(found: Sequence[Result]) -> dict[str | None, float]:
    """By family, where floors are drawn that lie below all errors: they must not squeeze these together."""
    errors: dict[str | None, float] = {}
    for result in found:
        for error in (result.value, result.low):
            if error is not None and np.isfinite(error):
                errors[result.family] = min(errors.get(result.family, 1.0), max(error, SMALLEST_ERROR))
    return {family: error / 2 for family, error in errors.items()}


def _drawn_floor(result: Result, lowest: Mapping[str | None, float]) -> dict[str, float | None]:
    """Floor and explicit model where a theorem binds and its floor is not 0."""
    if not result.floor_binds or not result.floor or result.family not in lowest:
        return {}
    levels = {"floor": result.floor, "floor_attained": result.floor_attained}
    known = {name: level for name, level in levels.items() if level is not None}
    drawn = {f"shown_{name}": rounded(max(level, lowest[result.family])) for name, level in known.items()}
    return drawn | {name: rounded(level) for name, level in known.items()}


def _drawable(score: float | None, result: Result) -> float | None:
    if score is None or not CRITERIA[result.criterion].lower_is_better:
        return rounded(score)
    return rounded(max(score, SMALLEST_ERROR))


def _memory(shown: Sequence[Record]) -> tuple[Rows, Rows]:
    """True memory function of each task, and the learned ones at the same lags."""
    truth, learned = [], []
    for task, records in _by_task(record for record in shown if record.series.get("lag")):
        lags = records[0].series["lag"]["lag"]
        same = [record for record in records if record.series["lag"]["lag"] == lags]
        true = np.asarray(records[0].series["lag"]["true"], dtype=float)
        kept = _peaks(np.stack([true, *(_numbers(record, "lag", "learned") for record in same)]))
        # A lag s is seen by T - s of the T positions, all with the same input variance.
        power = true**2 * np.arange(len(true), 0, -1)
        columns = {"true": true, "share": power / power.sum()}
        truth.append({"task": task, "lag": [lags[i] for i in kept], **_at(kept, columns)})
        for record in same:
            columns = {name: _numbers(record, "lag", name) for name in ("learned", "learned_se", "missed")}
            learned.append({"task": task, "model": record.model, **_at(kept, columns)})
    return truth, learned


def _by_task(records: Iterator[Record]) -> Iterator[tuple[str, list[Record]]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.task, []).append(record)
    yield from groups.items()


def _curve(record: Record) -> dict[str, Any]:
    """Validation error and training loss at each evaluation; the first records called both NMSE."""
    columns = {_OLD_CURVE.get(name, name): column for name, column in record.series.get("curve", {}).items()}
    renamed = record.model_copy(update={"series": {"curve": columns}})
    row = _line(renamed, "curve", "step", ("train_loss", "validation_error"))
    if row and criterion_of(record) == "accuracy":
        errors = row["validation_error"]
        row["validation_error"] = [None if error is None else max(error, SMALLEST_MISS) for error in errors]
    return row


def _line(record: Record, table: str, axis: str, names: Sequence[str]) -> dict[str, Any]:
    """Columns of one run's table as lists, thinned evenly; empty where the run has them not."""
    series = record.series.get(table, {})
    if not set(names) <= set(series) or not series[axis]:
        return {}
    count = len(series[axis])
    kept = np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).round().astype(int))
    columns = {name: np.maximum(_numbers(record, table, name), SMALLEST_ERROR) for name in names}
    return {
        "task": record.task,
        "model": record.model,
        axis: [series[axis][i] for i in kept],
        **_at(kept, columns),
    }


def _numbers(record: Record, table: str, column: str) -> np.ndarray:
    return np.asarray(record.series[table][column], dtype=float)


def _at(kept: np.ndarray, columns: dict[str, np.ndarray]) -> dict[str, list[float | None]]:
    return {name: [rounded(value) for value in column[kept].tolist()] for name, column in columns.items()}


def _peaks(lines: np.ndarray) -> np.ndarray:
    """Of each of `MAX_POINTS` bins the index where some line is largest: an impulse must survive."""
    heights = np.abs(np.nan_to_num(lines)).max(axis=0)
    bins = np.array_split(np.arange(len(heights)), min(len(heights), MAX_POINTS))
    return np.array([part[heights[part].argmax()] for part in bins], dtype=int)
