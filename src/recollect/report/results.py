r"""What each model reaches on each task, and how sure that is.

The learning rate is chosen on validation data, never on the test error that is then reported. Over n
seeds the reported value is the median, and its interval lies between two order statistics,

$$P\big(x_{(r)} \le \mathrm{median} \le x_{(n+1-r)}\big) = 1 - 2^{1-n} \sum_{i<r} \binom{n}{i} ,$$

for the largest r that keeps this coverage at 95 %. It assumes nothing about the distribution of the
errors, which has two humps where some seeds find the solution and others do not. Below six seeds no
interval reaches 95 %: it is then the whole range, and `coverage` says what that is worth.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from recollect.studies.record import Record

OVER_SEEDS = "over seeds"
OVER_TEST_SEQUENCES = "over test sequences"

_FAMILIES = ("exponential", "polynomial", "impulse", "airy")
_COVERAGE = 0.95
_STANDARD_ERRORS = 1.96


@dataclass(frozen=True)
class Result:
    """One model on one task, at the learning rate with the lowest median validation error.

    Attributes:
        task, family, alpha, h95: the task.
        model: its label.
        learning_rate: the chosen one of `num_rates`; None where every run failed.
        num_seeds: runs at that rate that ended, those that diverged included.
        nmse, low, high: median test error over these seeds and its interval. Infinite where the median
            run has no error (it diverged before its first evaluation), None where every run failed.
        interval_kind: `over test sequences` (one seed: 1.96 standard errors) or `over seeds`.
        coverage: probability with which the interval encloses what it is for.
        nmse_long: median error at the longer test length; None where it is not defined.
        num_diverged: runs at that rate that diverged.
        num_failed: runs that ended with an error, at any rate.
        still_improving: whether some run at that rate had not converged at its last step.
        best: the lowest error of its task.
        tied: not the best, but the interval overlaps that of the best: the runs cannot tell them apart.
    """

    task: str
    family: str | None
    alpha: float | None
    h95: float | None
    model: str
    num_rates: int
    num_failed: int
    learning_rate: float | None = None
    num_seeds: int = 0
    nmse: float | None = None
    low: float | None = None
    high: float | None = None
    interval_kind: str | None = None
    coverage: float | None = None
    nmse_long: float | None = None
    num_diverged: int = 0
    still_improving: bool = False
    best: bool = False
    tied: bool = False

    @property
    def has_error(self) -> bool:
        """Whether there is a number to show."""
        return self.nmse is not None and math.isfinite(self.nmse)

    @property
    def note(self) -> str:
        """What a reader must know before trusting the number, in words."""
        notes = ["not converged"] if self.still_improving else []
        notes += [f"{self.num_diverged} of {self.num_seeds} diverged"] if self.num_diverged else []
        notes += [f"{self.num_failed} failed"] if self.num_failed else []
        return ", ".join(notes)


def results(records: Iterable[Record]) -> list[Result]:
    """By family, in a family from short to long memory, in a task from the lowest error to the highest."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.model), []).append(record)
    return _compared(sorted((_result(group) for group in groups.values()), key=_place))


def interval_over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Two order statistics around the median, and the probability with which they enclose it.

    Example:
        >>> interval_over_seeds([0.3, 0.1, 0.2])
        (0.1, 0.3, 0.75)
    """
    ordered = sorted(values)
    count = len(ordered)
    enough = [rank for rank in range(1, count // 2 + 1) if _coverage(rank, count) >= _COVERAGE]
    rank = max(enough, default=1)
    return ordered[rank - 1], ordered[count - rank], _coverage(rank, count)


def _coverage(rank: int, count: int) -> float:
    return 1 - 2 * sum(math.comb(count, i) for i in range(rank)) / 2**count


def learning_rate(record: Record) -> float:
    """The rate a run was trained with."""
    return record.config["training"]["learning_rate"]


def _result(group: Sequence[Record]) -> Result:
    first = group[0]
    ended = [record for record in group if record.status != "failed"]
    result = Result(
        task=first.task,
        family=first.facts.get("family"),
        alpha=first.facts.get("alpha"),
        h95=first.facts.get("h95"),
        model=first.model,
        num_rates=len({learning_rate(record) for record in group}),
        num_failed=len(group) - len(ended),
    )
    if not ended:
        return result
    rate = _chosen_rate(ended)
    chosen = [record for record in ended if learning_rate(record) == rate]
    long = [error for record in chosen if (error := record.metrics.get("nmse_long")) is not None]
    nmse, low, high, kind, coverage = _estimate(chosen)
    return replace(
        result,
        learning_rate=rate,
        num_seeds=len(chosen),
        nmse=nmse,
        low=low,
        high=high,
        interval_kind=kind,
        coverage=coverage,
        nmse_long=median(long) if long else None,
        num_diverged=sum(record.status == "diverged" for record in chosen),
        still_improving=any(record.metrics.get("still_improving") for record in chosen),
    )


def _chosen_rate(ended: Sequence[Record]) -> float:
    """Lowest median validation error; of equal ones the smallest rate, the safer of the two."""
    errors: dict[float, list[float]] = {}
    for record in ended:
        errors.setdefault(learning_rate(record), []).append(_error(record, "validation_nmse"))
    return min(sorted(errors), key=lambda rate: median(errors[rate]))


def _estimate(chosen: Sequence[Record]) -> tuple[float, float, float, str, float]:
    errors = [_error(record, "nmse") for record in chosen]
    if len(errors) > 1:
        low, high, coverage = interval_over_seeds(errors)
        return median(errors), low, high, OVER_SEEDS, coverage
    spread = _STANDARD_ERRORS * (chosen[0].metrics.get("nmse_se") or 0.0)
    return errors[0], max(errors[0] - spread, 0.0), errors[0] + spread, OVER_TEST_SEQUENCES, _COVERAGE


def _error(record: Record, metric: str) -> float:
    """The metric; a run without one counts as infinitely bad, so that it cannot help its model."""
    error = record.metrics.get(metric)
    return math.inf if error is None or math.isnan(error) else error


def _compared(found: Sequence[Result]) -> list[Result]:
    """With `best` and `tied`; `found` goes by task, the lowest error first."""
    winners: dict[str, Result] = {}
    for result in found:
        if result.has_error:
            winners.setdefault(result.task, result)
    return [
        replace(result, best=result is winner, tied=result is not winner and _overlaps(result, winner))
        for result in found
        for winner in [winners.get(result.task)]
    ]


def _overlaps(result: Result, winner: Result | None) -> bool:
    if winner is None or result.low is None or winner.high is None:
        return False
    return result.low <= winner.high


def _place(result: Result) -> tuple[object, ...]:
    """The four families of the paper first, others by name; then growing memory; then the error."""
    known = result.family in _FAMILIES
    return (
        _FAMILIES.index(result.family) if known and result.family else len(_FAMILIES),
        result.family or "",
        math.inf if result.h95 is None else result.h95,
        math.inf if result.alpha is None else result.alpha,
        result.task,
        math.inf if result.nmse is None else result.nmse,
        result.model,
    )
