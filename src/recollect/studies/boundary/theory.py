"""Where theory puts the boundary of a class of models: from both sides, whatever training finds.

Floors need not grow with the memory: a recurrence is bounded by what the sequence shows of its past, and of
a lag near the sequence's end that is little. So nothing is inferred from one strength about another.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from recollect.core import ConfigError
from recollect.floors import floor_of
from recollect.floors.finite_memory import FiniteMemory
from recollect.floors.linear_recurrence import LinearRecurrence
from recollect.floors.of_model import memberships
from recollect.models import ModelConfig
from recollect.studies.boundary.config import BoundaryConfig
from recollect.studies.boundary.series import Pair
from recollect.studies.record import Record
from recollect.tasks import FunctionalTask


@dataclass(frozen=True)
class Theory:
    """Strengths on the grid, as H95. Of what lies between them nothing is said.

    Attributes:
        binds: whether a theorem bounds the model at all.
        constructs: whether at every strength below `possible`, or at all of them where that is None, a model
            of the class and size is known that passes.
        certain: the weakest memory from which on every model of the class is proven to fail, at all strengths
            up to the strongest. None: the floor of the strongest is not above the threshold, or no theorem.
        possible: the weakest memory at which the explicit construction is above the threshold. None: no such
            strength, or at a weaker one no construction is known.
        how: the theorem at `certain`, else at the first strength proven to fail, else at the strongest; or
            why there is none.
        proven: where every model of the class is proven to fail: first and last strength of each stretch of
            the grid.
    """

    binds: bool
    constructs: bool
    certain: int | None
    possible: int | None
    how: str
    proven: tuple[tuple[int, int], ...]

    def must_fail(self, h95: int) -> bool:
        """Whether every model of the class is proven to fail at a strength of the grid."""
        return any(first <= h95 <= last for first, last in self.proven)


@dataclass(frozen=True)
class _Bounds:
    """What a floor says of one strength."""

    lower: float
    attained: float | None
    binds: bool
    how: str


def theory_of(pair: Pair, config: BoundaryConfig, records: Iterable[Record]) -> Theory:
    """Theory beside a pair's boundary.

    The floors of all strengths are asked for; those that no record holds are computed, once in a process. An
    excess over the floor has no theory: it says what training did not find.
    """
    if config.of == "excess":
        return _none("the excess over the floor is what is searched")
    try:
        bounds = _bounds(pair, records)
    except ConfigError as error:
        return _none(str(error))
    if not any(bound.binds for bound in bounds):
        return _none(bounds[-1].how)
    h95s, fails = pair.series.h95s, [bound.lower > config.threshold for bound in bounds]
    proven = _stretches(h95s, fails)
    certain = proven[-1][0] if fails[-1] else None
    constructs, possible = _constructed(pair, bounds, config.threshold)
    shown = certain if certain is not None else proven[0][0] if proven else h95s[-1]
    return Theory(
        binds=True,
        constructs=constructs,
        certain=certain,
        possible=possible,
        how=bounds[h95s.index(shown)].how,
        proven=proven,
    )


def _none(reason: str) -> Theory:
    return Theory(binds=False, constructs=False, certain=None, possible=None, how=reason, proven=())


def _stretches(h95s: Sequence[int], fails: Sequence[bool]) -> tuple[tuple[int, int], ...]:
    """First and last strength of each stretch of neighbours that fail."""
    groups = groupby(zip(h95s, fails, strict=True), key=lambda place: place[1])
    runs = [[h95 for h95, _ in group] for failing, group in groups if failing]
    return tuple((run[0], run[-1]) for run in runs)


def _constructed(pair: Pair, bounds: Sequence[_Bounds], threshold: float) -> tuple[bool, int | None]:
    """Whether models that pass are known up to some strength, and that strength if it is on the grid.

    The claim stops where no construction is known: unknown is no success.
    """
    for h95, task, bound in zip(pair.series.h95s, pair.series.tasks, bounds, strict=True):
        # No construction passes below a floor, known or not.
        if bound.lower > threshold or (bound.attained is not None and bound.attained > threshold):
            return True, h95
        if bound.attained is None and not _is_attained(bound, task, _model_json(pair)):
            return False, None
    return True, None


def _is_attained(bound: _Bounds, task: FunctionalTask, model_json: str) -> bool:
    """Whether the class holds the target itself, so that there was nothing to construct."""
    return bound.binds and bound.lower == 0 and _holds_all(task.canonical_json(), model_json)


def _model_json(pair: Pair) -> str:
    return pair.runs[0][0].model.canonical_json()


def _bounds(pair: Pair, records: Iterable[Record]) -> list[_Bounds]:
    """Of every strength: those that records hold, and the others computed."""
    stored = {record.facts["h95"]: bound for record in records if (bound := _stored(record))}
    model = _model_json(pair)
    return [
        stored.get(h95) or _computed(task.canonical_json(), model)
        for h95, task in zip(pair.series.h95s, pair.series.tasks, strict=True)
    ]


def _stored(record: Record) -> _Bounds | None:
    """The floor that a run was stored with; runs of earlier versions have none."""
    metrics = record.metrics
    if metrics.get("floor") is None:
        return None
    return _Bounds(
        metrics["floor"], metrics.get("floor_attained"), metrics["floor_binds"], metrics["floor_how"]
    )


@lru_cache(maxsize=4096)
def _computed(task_json: str, model_json: str) -> _Bounds:
    """By keys that can be hashed: a report asks for the same floors again."""
    task = FunctionalTask.model_validate_json(task_json)
    model = ModelConfig.model_validate_json(model_json)
    floor = floor_of(task, model.build(task.input_size, task.output_size, seed=0))
    return _Bounds(floor.lower, floor.attained, floor.binding, floor.how)


@lru_cache(maxsize=4096)
def _holds_all(task_json: str, model_json: str) -> bool:
    """Whether a floor of 0 is attained in the model's class by the target itself.

    A convolution with that floor sees all of the target's taps. And n distinct poles, stable ones too, pass
    through any n taps, for their Vandermonde matrix is invertible; the feed-through sets one more. This is
    of one channel: several need as many states each.
    """
    task = FunctionalTask.model_validate_json(task_json)
    model = ModelConfig.model_validate_json(model_json).build(task.input_size, task.output_size, seed=0)
    members, is_single = memberships(task, model), (task.input_size, task.output_size) == (1, 1)
    return bool(members) and all(
        isinstance(member.model_class, FiniteMemory)
        or (isinstance(member.model_class, LinearRecurrence) and is_single and member.size >= task.length - 1)
        for member in members
    )
