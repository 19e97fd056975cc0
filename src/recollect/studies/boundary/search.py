"""Which runs a boundary needs next: a pure function of the errors that are known.

Both ends of the grid of strengths and its middle come first, with one seed. Then the bracket is bisected:
from the weakest strength that fails down to the nearest weaker one that was tried, which by its choice
passes. Once these are neighbours on the grid, the other seeds follow at both, then at the strengths around
them, the nearest first, until the budget is spent. A strength fails where the median over its runs does, so
more seeds can move the bracket, and the search goes on in the new one. Where all strengths pass, seeds make
sure of the strongest; where the weakest fails, of that.

A search is replayed from its beginning each time it is asked: its decisions depend on the runs it asked for
itself, in rounds, and on nothing else that a store may hold. So an interrupted study ends with the same runs
as one that was not.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from recollect.studies.boundary.config import BoundaryConfig
from recollect.studies.boundary.series import Pair
from recollect.studies.record import Record
from recollect.studies.run import Run

Place = tuple[int, int]
"""Strength and seed, as indices into the runs of a pair."""


@dataclass(frozen=True)
class Asked:
    """What a search has asked for so far.

    Attributes:
        runs: all of them, those that are still missing included.
        missing: the runs of the present round whose errors are not known.
    """

    runs: list[Run]
    missing: list[Run]


def search(pairs: Iterable[Pair], config: BoundaryConfig, errors: Mapping[str, float]) -> Asked:
    """The runs of all pairs so far. All pairs advance in the same round, so that workers stay busy.

    Args:
        pairs: models along series.
        config: threshold and budget.
        errors: by id of a run; infinite where it failed. Others may be among them, and are not read.
    """
    rounds = [_replay(pair, config, errors) for pair in pairs]
    runs = [run for asked in rounds for run in asked.runs]
    return Asked(runs, [run for asked in rounds for run in asked.missing])


def most_runs(pairs: Iterable[Pair], config: BoundaryConfig) -> int:
    """Runs that a search can ask for at most."""
    return sum(min(config.budget, sum(len(at) for at in pair.runs)) for pair in pairs)


def search_error(record: Record, config: BoundaryConfig) -> float:
    """What is compared with the threshold; infinite for a run that diverged or ended with an error.

    An error is exact where the model is linear and it is known, else that of the test split.
    """
    if record.status != "done":
        return math.inf
    metrics = record.metrics
    error = metrics.get("nmse_exact")
    error = metrics.get("nmse") if error is None else error
    if config.of == "excess" and metrics.get("excess") is not None:
        error = metrics["excess"]
    return math.inf if error is None or math.isnan(error) else error


def _replay(pair: Pair, config: BoundaryConfig, errors: Mapping[str, float]) -> Asked:
    """Rounds from the first on, up to the one that is not complete."""
    asked: list[Place] = []
    while True:
        known = _errors_by_strength(pair, asked, errors)
        places = _next_places(pair, known, config.threshold)[: config.budget - len(asked)]
        asked += places
        missing = [place for place in places if pair.ids[place[0]][place[1]] not in errors]
        if missing or not places:
            return Asked([_run(pair, place) for place in sorted(asked)], [_run(pair, p) for p in missing])


def _run(pair: Pair, place: Place) -> Run:
    strength, seed = place
    return pair.runs[strength][seed]


def _errors_by_strength(
    pair: Pair, asked: Sequence[Place], errors: Mapping[str, float]
) -> dict[int, list[float]]:
    """Errors at each strength, seed after seed: seeds are asked in order, so their number says which."""
    found: dict[int, list[float]] = {}
    for strength, seed in sorted(asked):
        found.setdefault(strength, []).append(errors[pair.ids[strength][seed]])
    return found


def _next_places(pair: Pair, known: Mapping[int, Sequence[float]], threshold: float) -> list[Place]:
    last = len(pair.runs) - 1
    if not known:
        return [(strength, 0) for strength in (0, last // 2, last)]
    below, above = bracket({strength: median(errors) for strength, errors in known.items()}, threshold)
    if below is not None and above is not None and above - below > 1:
        return [((below + above) // 2, 0)]
    return _more_seeds(pair, known, _worth_repeating(below, above, last))


def bracket(errors: Mapping[int, float], threshold: float) -> tuple[int | None, int | None]:
    """The weakest strength that fails, after the nearest weaker one that was tried; None where there is none.

    Errors need not grow with the strength: whatever lies beyond the first failure does not count.

    Example:
        >>> bracket({0: 0.01, 4: 0.5, 6: 0.05, 9: 0.9}, threshold=0.1)
        (0, 4)
    """
    above = min((strength for strength, error in errors.items() if error > threshold), default=None)
    passing = (strength for strength in errors if above is None or strength < above)
    return max(passing, default=None), above


def _worth_repeating(below: int | None, above: int | None, last: int) -> list[list[int]]:
    """Strengths whose remaining seeds are worth a run, in groups, the most informative group first."""
    if below is None or above is None:
        return [[last if above is None else 0]]
    rings = [[below - step, above + step] for step in range(last + 1)]
    return [[strength for strength in ring if 0 <= strength <= last] for ring in rings]


def _more_seeds(pair: Pair, known: Mapping[int, Sequence[float]], groups: list[list[int]]) -> list[Place]:
    """The seeds that the first incomplete group still lacks, one of each strength in turn."""
    for group in groups:
        lacking = [
            [(strength, seed) for seed in range(len(known.get(strength, ())), len(pair.runs[strength]))]
            for strength in group
        ]
        if any(lacking):
            return sorted(chain.from_iterable(lacking), key=lambda place: place[1])
    return []
