"""What each model reaches on each task, and how sure that is.

A score is whatever the task's criterion names: an error, an accuracy, a capacity, in its own unit. The
learning rate is chosen on validation data, never on the test score that is then reported. Over several
seeds the reported value is the median, with the interval of `intervals`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import Any

from recollect.report.intervals import COVERAGE, interval_over_seeds
from recollect.report.result import OVER_SEEDS, OVER_TEST_SEQUENCES, SOLVED_ABOVE, Result
from recollect.studies.record import Record
from recollect.tasks.criteria import CRITERIA

_FAMILIES = ("exponential", "polynomial", "impulse", "airy")
_STANDARD_ERRORS = 1.96
_MEDIANS = (
    "steps_to_solve",
    "seconds_to_solve",
    "steps_to_half",
    "nmse_exact",
    "num_parameters",
    "state_bytes",
)


def results(records: Iterable[Record]) -> list[Result]:
    """By criterion and task, in a task from the best score to the worst.

    Memory functions go by family, in a family from short to long memory; all other tasks in the order in
    which they first appear.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.model), []).append(record)
    tasks = {task: place for place, task in enumerate(dict.fromkeys(task for task, _ in groups))}
    found = [_result(group) for group in groups.values()]
    return _compared(sorted(found, key=lambda result: _place(result, tasks[result.task])))


def criterion_of(record: Record) -> str:
    """What the run is scored by; the first records knew normalised errors only."""
    return record.facts.get("criterion", "nmse")


def learning_rate(record: Record) -> float | None:
    """The rate a run was trained with, None where nothing was trained."""
    training = record.config["training"]
    return None if training is None else training["learning_rate"]


def validation_error(record: Record) -> float | None:
    """Error of the best checkpoint on validation data; lower is better whatever the criterion."""
    return record.metrics.get("validation_error", record.metrics.get("validation_nmse"))


def _result(group: Sequence[Record]) -> Result:
    first = group[0]
    ended = [record for record in group if record.status != "failed"]
    result = Result(
        task=first.task,
        facts=first.facts,
        model=first.model,
        criterion=criterion_of(first),
        num_rates=len({rate for record in group if (rate := learning_rate(record)) is not None}),
        num_failed=len(group) - len(ended),
    )
    if not ended:
        return result
    rate = _chosen_rate(ended)
    chosen = [record for record in ended if learning_rate(record) == rate]
    return replace(
        result,
        learning_rate=rate,
        num_seeds=len(chosen),
        **_estimate(chosen, result.criterion),
        value_long=_median(chosen, f"{result.criterion}_long"),
        success=_success(chosen, result.criterion),
        **{name: _median(chosen, name) for name in _MEDIANS},
        num_diverged=sum(record.status == "diverged" for record in chosen),
        still_improving=any(record.metrics.get("still_improving") for record in chosen),
        at_least=_is_bound(chosen),
        **_floor(chosen),
        below_floor=any(record.metrics.get("below_floor") for record in ended),
    )


def _chosen_rate(ended: Sequence[Record]) -> float | None:
    """Lowest median validation error; of equal ones the smallest rate, the safer of the two."""
    errors: dict[float, list[float]] = {}
    for record in ended:
        rate, error = learning_rate(record), validation_error(record)
        if rate is not None:
            errors.setdefault(rate, []).append(math.inf if error is None or math.isnan(error) else error)
    return min(sorted(errors), key=lambda rate: median(errors[rate]), default=None)


def _estimate(chosen: Sequence[Record], criterion: str) -> dict[str, Any]:
    """Value and interval, as fields of a result."""
    scores = [_score(record, criterion) for record in chosen]
    if len(scores) > 1:
        low, high, coverage = interval_over_seeds(scores)
        return _fields(median(scores), low, high, OVER_SEEDS, coverage)
    standard_error = chosen[0].metrics.get(f"{criterion}_se")
    if standard_error is None or not math.isfinite(scores[0]):
        return _fields(scores[0], None, None, None, None)
    spread = _STANDARD_ERRORS * standard_error
    low, high = max(scores[0] - spread, 0.0), scores[0] + spread
    high = min(high, 1.0) if criterion == "accuracy" else high
    return _fields(scores[0], low, high, OVER_TEST_SEQUENCES, COVERAGE)


def _fields(
    value: float, low: float | None, high: float | None, kind: str | None, coverage: float | None
) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "interval_kind": kind, "coverage": coverage}


def _score(record: Record, criterion: str) -> float:
    """The run's score; a run without one counts as infinitely bad, so that it cannot help its model."""
    score = record.metrics.get(criterion)
    if score is None or math.isnan(score):
        return math.inf if CRITERIA[criterion].lower_is_better else -math.inf
    return score


def _floor(chosen: Sequence[Record]) -> dict[str, Any]:
    """Floor, excess and its interval, as fields of a result; none for records that say nothing of floors."""
    known = [record for record in chosen if "floor_binds" in record.metrics]
    if not known:
        return {}
    first = known[0].metrics
    return {
        "floor": _median(known, "floor"),
        "floor_attained": _median(known, "floor_attained"),
        "floor_binds": first["floor_binds"],
        "floor_how": first.get("floor_how"),
        **_excess(known),
    }


def _excess(known: Sequence[Record]) -> dict[str, float]:
    """Over the seeds; of one seed the interval is that of its test error, unless the error is exact."""
    values = [excess for record in known if (excess := record.metrics.get("excess")) is not None]
    if not values or not all(map(math.isfinite, values)):
        return {}
    found = {"excess": median(values)}
    if len(values) > 1:
        low, high, _ = interval_over_seeds(values)
        return found | {"excess_low": low, "excess_high": high}
    standard_error = known[0].metrics.get("nmse_se")
    if standard_error is None or known[0].metrics.get("nmse_exact") is not None:
        return found
    spread = _STANDARD_ERRORS * standard_error
    return found | {"excess_low": values[0] - spread, "excess_high": values[0] + spread}


def _success(chosen: Sequence[Record], criterion: str) -> float | None:
    if criterion != "accuracy":
        return None
    return fmean(_score(record, criterion) > SOLVED_ABOVE for record in chosen)


def _median(chosen: Sequence[Record], metric: str) -> float | None:
    """Over the runs that have the metric."""
    values = [value for record in chosen if (value := record.metrics.get(metric)) is not None]
    return median(values) if values else None


def _is_bound(chosen: Sequence[Record]) -> bool:
    """Whether the median run had not reached its limit; those that had not stand above all others."""
    censored = sum(bool(record.metrics.get("capacity_censored")) for record in chosen)
    return 2 * censored >= len(chosen)


def _compared(found: Sequence[Result]) -> list[Result]:
    """With `best` and `tied`; `found` goes by task, the best score first."""
    winners: dict[str, Result] = {}
    for result in found:
        if result.has_value:
            winners.setdefault(result.task, result)
    return [
        replace(result, best=best, tied=not best and _overlaps(result, winner))
        for result in found
        for winner in [winners.get(result.task)]
        for best in [winner is not None and result.value == winner.value]
    ]


def _overlaps(result: Result, winner: Result | None) -> bool:
    if (
        winner is None
        or result.low is None
        or result.high is None
        or winner.low is None
        or winner.high is None
    ):
        return False
    return result.low <= winner.high and winner.low <= result.high


def _place(result: Result, appearance: int) -> tuple[object, ...]:
    """Criteria in their order; the paper's four families first, others by name; growing memory; the score."""
    known = result.family in _FAMILIES
    return (
        list(CRITERIA).index(result.criterion),
        _FAMILIES.index(result.family) if known and result.family else len(_FAMILIES),
        result.family or "",
        math.inf if result.h95 is None else result.h95,
        math.inf if result.alpha is None else result.alpha,
        appearance,
        _badness(result),
        result.model,
    )


def _badness(result: Result) -> float:
    if result.value is None:
        return math.inf
    return result.value if CRITERIA[result.criterion].lower_is_better else -result.value
