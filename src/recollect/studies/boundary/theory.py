"""Where theory puts the boundary of a class of models: from both sides, whatever training finds."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from recollect.core import ConfigError
from recollect.floors import floor_of
from recollect.models import ModelConfig
from recollect.studies.boundary.config import BoundaryConfig
from recollect.studies.boundary.series import Pair
from recollect.studies.record import Record
from recollect.tasks import FunctionalTask


@dataclass(frozen=True)
class Theory:
    """Strengths on the grid, as H95.

    Attributes:
        binds: whether a theorem bounds the model at all.
        constructs: whether an explicit model of the class is known.
        certain: the weakest memory whose proven floor is above the threshold: from here on every model of
            the class fails. None: no such strength on the grid, or no theorem.
        possible: the weakest memory at which the explicit construction is above the threshold: below it
            the class holds models that do not fail. None: no such strength on the grid, or no construction.
        how: the theorem, or why there is none.
    """

    binds: bool
    constructs: bool
    certain: int | None
    possible: int | None
    how: str


@dataclass(frozen=True)
class _Bounds:
    """What a floor says of one strength."""

    lower: float
    attained: float | None
    binds: bool
    how: str


def theory_of(pair: Pair, config: BoundaryConfig, records: Iterable[Record]) -> Theory:
    """Theory beside a pair's boundary.

    Floors grow with the memory, so of those that no record holds only few are computed, by bisection. An
    excess over the floor has no theory: it says what training did not find.
    """
    if config.of == "excess":
        return _none("the excess over the floor is what is searched")
    h95s, last = pair.series.h95s, len(pair.series.h95s) - 1
    stored = {h95s.index(record.facts["h95"]): bounds for record in records if (bounds := _stored(record))}

    def at(strength: int) -> _Bounds:
        return stored.get(strength) or _computed(
            pair.series.tasks[strength].canonical_json(), pair.runs[0][0].model.canonical_json()
        )

    try:
        strongest = at(last)
    except ConfigError as error:
        return _none(str(error))
    if not strongest.binds:
        return _none(strongest.how)
    certain = _first(last + 1, stored, lambda strength: at(strength).lower > config.threshold)
    possible = _first(last + 1, stored, lambda strength: (at(strength).attained or 0.0) > config.threshold)
    return Theory(
        binds=True,
        constructs=strongest.attained is not None,
        certain=h95s[certain] if certain <= last else None,
        possible=h95s[possible] if possible <= last else None,
        how=strongest.how,
    )


def _none(reason: str) -> Theory:
    return Theory(binds=False, constructs=False, certain=None, possible=None, how=reason)


def _first(count: int, cheap: Mapping[int, Any], passes: Callable[[int], bool]) -> int:
    """The first of `count` strengths that passes, `count` if none does; the cheap ones are asked first."""
    low, high = 0, count
    for strength in sorted(cheap):
        if passes(strength):
            high = strength
            break
        low = strength + 1
    return low + bisect_left(range(low, high), True, key=passes)


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
