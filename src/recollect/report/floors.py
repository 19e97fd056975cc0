"""In words: is an error the architecture's, or the training's?

An error is compared with two numbers of the model's class at its size: the proven floor, which no model of
the class can beat, and the error of an explicit model of the class, which one can reach. `NEAR` says what
counts as equal, and a result is called above only where its interval says so too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from recollect.report.labels import distinguishing, in_order
from recollect.report.result import Result
from recollect.report.scores import format_score
from recollect.studies.record import Record

NEAR = 0.1
"""An error at most this share above another is as good."""

NEGLIGIBLE = 1e-4
"""A difference of this share of the target's power makes none: a floor below it is as good as none."""

Standing = Literal["below", "floor", "negligible", "explicit", "above", "open"]

STANDINGS: dict[Standing, str] = {
    "below": "below its floor, a defect",
    "floor": "on its floor",
    "negligible": f"error below {2 * NEGLIGIBLE:g}, as is its floor",
    "explicit": "as good as the best explicit model",
    "above": "above by optimisation",
    "open": "undecided",
}
"""In words, from what nothing can better to what is not known."""

RULE = (
    f"On its floor: within {100 * NEAR:g} % of the least error that its class can have at this size, as "
    f"proven, or within {NEGLIGIBLE:g} of it. A floor below {NEGLIGIBLE:g} is as good as none: an error "
    f"within {NEGLIGIBLE:g} of such a floor is only called small. As good as the best explicit model: not "
    "that low, but as near to a model of the class that was constructed, or below it. Above by "
    "optimisation: even the interval's low end is above what that model reaches: the architecture can do "
    "better, by the factor given. Undecided: the interval reaches down to that model, or none was "
    "constructed. The error is the expected one where that is known exactly, as of linear models, else that "
    "on the test sequences."
)

_MOST_NAMED = 3
_LARGEST_FACTOR = 1000


@dataclass(frozen=True)
class FamilyStandings:
    """The tasks of one family of memory functions.

    Attributes:
        family: its name.
        lines: by standing, the models of which some result has it, and on which tasks.
    """

    family: str
    lines: dict[Standing, str]


def standing(result: Result) -> Standing | None:
    """Where a result stands between its floor and an explicit model; None where no theorem binds.

    Example:
        >>> bound = {"floor": 0.5, "floor_attained": 0.6, "floor_binds": True}
        >>> for excess in (0.01, 0.12, 0.3):
        ...     print(standing(Result("task", {}, "S4D", "nmse", 1, 0, excess=excess, **bound)))
        floor
        explicit
        above
    """
    if not result.floor_binds or result.floor is None or result.excess is None:
        return None
    if result.below_floor:
        return "below"
    error = result.floor + result.excess
    if _reaches(error, result.floor):
        return "floor" if is_bounded(result) else "negligible"
    if result.floor_attained is None:
        return "open"
    if _reaches(error, result.floor_attained):
        return "explicit"
    low = error if result.excess_low is None else result.floor + result.excess_low
    return "open" if _reaches(low, result.floor_attained) else "above"


def is_bounded(result: Result) -> bool:
    """Whether a floor binds that makes a difference."""
    return bool(result.floor_binds) and result.floor is not None and result.floor >= NEGLIGIBLE


def compared_error(result: Result) -> float | None:
    """The error that is held against the floor, and the sum of floor and excess.

    The expected error where it is known exactly, else that on the test sequences.

    Example:
        >>> compared_error(Result("task", {}, "S4D", "nmse", 1, 0, value=0.5, floor=0.25, excess=0.125))
        0.375
    """
    if result.floor is not None and result.excess is not None:
        return result.floor + result.excess
    return result.value if result.nmse_exact is None else result.nmse_exact


def any_floor(found: Iterable[Result]) -> bool:
    """Whether some result has an excess: a floor that binds, and an error to hold against it."""
    return any(result.excess is not None for result in found)


def family_standings(found: Sequence[Result]) -> list[FamilyStandings]:
    """What the numbers say of each family, in the order of the results; only families with a floor."""
    families = dict.fromkeys(result.family for result in found if result.family)
    stood = [
        FamilyStandings(family, _lines([result for result in found if result.family == family]))
        for family in families
    ]
    return [family for family in stood if family.lines]


def overall_standings(found: Sequence[Result]) -> dict[Standing, str]:
    """For each standing its models, with the number of their results that have it; all families together."""
    stood = _by_standing(found)
    totals = _counts(result.model for results in stood.values() for result in results)
    return {
        name: ", ".join(f"{model} {count} of {totals[model]}" for model, count in _counts(models).items())
        for name, results in stood.items()
        for models in [[result.model for result in results]]
    }


def with_negligible_floor(found: Sequence[Result]) -> list[str]:
    """The models of which every result has a floor, and none a floor that makes a difference."""
    small = {(result.task, result.model) for result in found if result.floor_binds and not is_bounded(result)}
    others = {result.model for result in found if (result.task, result.model) not in small}
    return in_order(model for _, model in small if model not in others)


def without_floor(found: Iterable[Result]) -> dict[str, list[str]]:
    """By reason, the models of which no floor is claimed."""
    reasons: dict[str, list[str]] = {}
    for result in found:
        if result.floor_binds is False:
            reasons.setdefault(result.floor_how or "no theorem is known", []).append(result.model)
    return {reason: in_order(models) for reason, models in reasons.items()}


def defects(records: Iterable[Record]) -> list[str]:
    """A sentence for each run whose error lies below its floor by more than four standard errors."""
    return [
        f"{record.model} on {record.task}, seed {record.seed} ({record.id[:10]}): error "
        f"{format_score(_error(record), 'nmse')} is below the proven floor "
        f"{format_score(record.metrics.get('floor'), 'nmse')}."
        for record in records
        if record.metrics.get("below_floor")
    ]


DEFECT = (
    "This cannot be: either the floor does not hold or the run saw what it was tested on. It is a defect of "
    "this package, not a discovery: please report it."
)


def _error(record: Record) -> float | None:
    exact = record.metrics.get("nmse_exact")
    return record.metrics.get("nmse") if exact is None else exact


def _reaches(error: float, level: float) -> bool:
    return error <= level + max(NEAR * level, NEGLIGIBLE)


def _by_standing(found: Sequence[Result]) -> dict[Standing, list[Result]]:
    """The results that have one, in the order of `STANDINGS`."""
    stood: dict[Standing, list[Result]] = {name: [] for name in STANDINGS}
    for result in found:
        if (name := standing(result)) is not None:
            stood[name].append(result)
    return {name: results for name, results in stood.items() if results}


def _lines(found: Sequence[Result]) -> dict[Standing, str]:
    short = distinguishing(list(dict.fromkeys(result.task for result in found)))
    names = {task: name.removeprefix("alpha=") for task, name in short.items()}
    stood = _by_standing(found)
    totals = _counts(result.model for results in stood.values() for result in results)
    return {
        name: "; ".join(
            f"{model} ({_tasks(name, own, names, totals[model])})"
            for model in in_order(result.model for result in results)
            for own in [[result for result in results if result.model == model]]
        )
        for name, results in stood.items()
    }


def _tasks(name: Standing, own: Sequence[Result], names: Mapping[str, str], total: int) -> str:
    """The tasks of one model: by name while they are few; of what could be better, how many times better."""
    if name != "above":
        return _few([names[result.task] for result in own], total)
    groups: dict[str, list[str]] = {}
    for result in own:
        groups.setdefault(_times(result), []).append(names[result.task])
    return "; ".join(f"{_few(tasks, total)}: {times}" for times, tasks in groups.items())


def _few(names: Sequence[str], total: int) -> str:
    if 1 < len(names) == total:
        return f"all {total}"
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} of {total}"


def _times(result: Result) -> str:
    """The error over that of the explicit model."""
    error, attained = compared_error(result) or 0.0, result.floor_attained or 0.0
    if error < _LARGEST_FACTOR * attained:
        return f"{format_factor(error / attained)}×"
    return f"over {_LARGEST_FACTOR}×"


def format_factor(factor: float) -> str:
    """Two digits, or all before the point.

    Example:
        >>> [format_factor(factor) for factor in (1.234, 12.34, 123.4)]
        ['1.2', '12', '123']
    """
    return f"{factor:.1f}" if factor < 9.95 else f"{factor:.0f}"


def _counts(models: Iterable[str]) -> dict[str, int]:
    listed = list(models)
    return {model: listed.count(model) for model in in_order(listed)}
