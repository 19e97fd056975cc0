"""Scores as tables show them: parts in one unit, means, numbers and headings."""

import math
from collections.abc import Sequence
from statistics import fmean

from recollect.report.results import Result
from recollect.tasks.criteria import CRITERIA

_LONG_TITLES = {
    "nmse": "Normalised test error (NMSE); lower is better, 1 is no better than zero",
    "accuracy": "Accuracy over the asked positions; higher is better",
}


def by_criterion(found: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of each criterion: numbers in one unit, that can stand in one table."""
    parts: dict[str, list[Result]] = {}
    for result in found:
        parts.setdefault(result.criterion, []).append(result)
    return parts


def mean_scores(found: Sequence[Result]) -> dict[str, float | None]:
    """Mean accuracy of each model over the tasks of `found`; None for a model that lacks one of them.

    Empty unless all results are accuracies and there are several tasks: means over other units say little.
    """
    tasks = {result.task for result in found}
    if len(tasks) < 2 or any(result.criterion != "accuracy" for result in found):
        return {}
    values: dict[str, list[float]] = {}
    for result in found:
        scores = values.setdefault(result.model, [])
        if result.value is not None and result.has_value:
            scores.append(result.value)
    return {model: fmean(scores) if len(scores) == len(tasks) else None for model, scores in values.items()}


def mean_title(found: Sequence[Result]) -> str:
    """What the mean of these results is called."""
    return "MAD score" if all(result.facts.get("benchmark") == "mad" for result in found) else "mean"


def format_score(value: float | None, criterion: str) -> str:
    """Two or three significant digits, as short as possible; accuracies always with three.

    Example:
        >>> [format_score(value, "nmse") for value in (0.0004, 0.1234, -0.2, None)]
        ['4e-4', '0.123', '-0.200', '-']
        >>> format_score(0.0004, "accuracy")
        '0.000'
    """
    if value is None or not math.isfinite(value):
        return "-"
    if criterion == "accuracy" or 0.01 <= abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:.3g}" if abs(value) >= 10 or value == 0 else f"{value:.0e}".replace("e-0", "e-")


def format_value(result: Result) -> str:
    """The result's number, or why there is none."""
    if not result.has_value:
        return _lost_because(result)
    return ("≥" if result.at_least else "") + format_score(result.value, result.criterion)


def _lost_because(result: Result) -> str:
    if result.num_diverged:
        return "diverged"
    return "failed" if result.num_failed else "none"


def title_of(criterion: str) -> str:
    """Of an axis or a column."""
    return CRITERIA[criterion].title


def heading(criterion: str) -> str:
    """Of a table: what the numbers are, and which way is better."""
    better = "lower" if CRITERIA[criterion].lower_is_better else "higher"
    title = title_of(criterion)
    return _LONG_TITLES.get(criterion, f"{title[0].upper()}{title[1:]}; {better} is better")


def guesses(found: Sequence[Result]) -> dict[str, float | None]:
    """By task what guessing scores; empty where that is known of no task."""
    known = {result.task: result.guess for result in found}
    return known if any(guess is not None for guess in known.values()) else {}
