"""The data of floors: of each result, and of the run that the page looks into."""

from collections.abc import Sequence
from typing import Any

from recollect.report.datasets import SMALLEST_ERROR, Datasets, rounded
from recollect.report.floors import STANDINGS, any_floor, compared_error, standing
from recollect.report.over_seeds import chosen_runs
from recollect.report.results import Result
from recollect.studies.record import Record

_SHARES = {
    "linear": "linear_error",
    "nonlinear": "nonlinear_remainder",
    "bias": "bias",
    "excess": "excess",
}
"""Columns of the audit by the metric they show."""

_EXACT, _SAMPLED = "expected, exact", "on the test sequences"


def floor_datasets(records: Sequence[Record], found: Sequence[Result]) -> Datasets:
    """`floors` has a row per model and task that says whether it has a floor, if any floor binds.

    `audit` has a row per model and task of a memory function: the shares of the target's power that the
    run of the lowest seed loses, at the chosen learning rate. Both hold the expected error where it is known
    exactly, so that floor and excess add up to it.
    """
    binds = any_floor(found)
    by_task = {(result.task, result.model): result for result in found}
    shown = [runs[0] for runs in chosen_runs(records, found)]
    return {
        "floors": [_floor(result) for result in found if binds and result.floor_binds is not None],
        "audit": [
            _audit(record, by_task[record.task, record.model])
            for record in shown
            if record.metrics.get("linear_error") is not None
        ],
    }


def _floor(result: Result) -> dict[str, Any]:
    """Numbers only where a theorem binds; `shown_*` fit a logarithmic axis."""
    same = {name: getattr(result, name) for name in ("task", "model", "criterion")}
    numbers = {
        name: rounded(getattr(result, name)) if result.floor_binds else None
        for name in ("floor", "floor_attained", "excess", "excess_low", "excess_high")
    }
    shown = {
        f"shown_{name}": None if (value := numbers[name]) is None else max(value, SMALLEST_ERROR)
        for name in ("floor", "excess")
    }
    exact = result.nmse_exact is not None
    error = {"error": rounded(compared_error(result)), "measured": _EXACT if exact else _SAMPLED}
    return same | error | numbers | shown | _words(result)


def _audit(record: Record, result: Result) -> dict[str, Any]:
    shares = {name: rounded(record.metrics.get(metric)) for name, metric in _SHARES.items()}
    levels = ("floor", "floor_attained")
    exact = record.metrics.get("nmse_exact")
    return {
        "task": record.task,
        "model": record.model,
        "error": rounded(record.metrics.get("nmse") if exact is None else exact),
        **shares,
        **{name: rounded(getattr(result, name)) if result.floor_binds else None for name in levels},
        **_words(result),
    }


def _words(result: Result) -> dict[str, str | None]:
    stands = standing(result)
    words = None if stands is None else STANDINGS[stands]
    return {"standing": "no floor" if result.floor_binds is False else words, "how": result.floor_how}
