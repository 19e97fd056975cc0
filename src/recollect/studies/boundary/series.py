"""Series: tasks that differ in the strength of their memory alone, and the runs of a model along one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from recollect.core import ConfigError
from recollect.studies.run import Run
from recollect.tasks import AnyTask, FunctionalTask

FEWEST_STRENGTHS = 4
"""With three, both ends and the middle are all there is: nothing is left to search."""


@dataclass(frozen=True, eq=False)
class Series:
    """Tasks from short to long memory.

    Attributes:
        family: of the memory functions.
        title: the family, and what else tells the series from others of its family.
        tasks: by growing H95, no two with the same.
        h95s: of the tasks.
        alphas: of the tasks.
    """

    family: str
    title: str
    tasks: tuple[FunctionalTask, ...]
    h95s: tuple[int, ...]
    alphas: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Pair:
    """One model along one series: the runs that a search chooses from.

    Attributes:
        model: its title.
        series: what it is trained on.
        runs: by strength, then by seed.
        ids: of the runs.
    """

    model: str
    series: Series
    runs: tuple[tuple[Run, ...], ...]
    ids: tuple[tuple[str, ...], ...]


def series_of(tasks: Iterable[AnyTask]) -> list[Series]:
    """The series among the tasks of a study, in the order of their first tasks.

    Raises:
        ConfigError: a task without a strength, a series of too few strengths, or two of the same H95.

    Example:
        >>> alphas = [16, 2, 8, 4]
        >>> tasks = [{"memory": {"family": "impulse", "alpha": alpha}, "length": 32} for alpha in alphas]
        >>> series_of(FunctionalTask.parse(task) for task in tasks)[0].h95s
        (3, 5, 9, 17)
    """
    groups: dict[str, list[FunctionalTask]] = {}
    for task in tasks:
        if not isinstance(task, FunctionalTask) or getattr(task.memory, "alpha", None) is None:
            raise ConfigError(
                f"a boundary is sought along the strength of a memory, and {task.label} has none: give "
                f"functional tasks whose memory has an `alpha` or `h95`."
            )
        groups.setdefault(_apart_from_strength(task), []).append(task)
    families = [group[0].memory.family for group in groups.values()]
    return [_series(group, is_alone=families.count(group[0].memory.family) == 1) for group in groups.values()]


def pairs_of(runs: Sequence[Run]) -> list[Pair]:
    """Every model along every series of a study's runs, which have one learning rate each.

    Raises:
        ConfigError: as `series_of`.
    """
    tasks = {run.task.digest(): run.task for run in runs}
    models = {run.model.digest(): run.model for run in runs}
    by_place: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        by_place.setdefault((run.model.digest(), run.task.digest()), []).append(run)
    return [
        _pair(model.title, series, [by_place[digest, task.digest()] for task in series.tasks])
        for series in series_of(tasks.values())
        for digest, model in models.items()
    ]


def _pair(model: str, series: Series, runs: Sequence[Sequence[Run]]) -> Pair:
    ordered = tuple(tuple(sorted(at, key=lambda run: run.seed)) for at in runs)
    return Pair(model, series, ordered, tuple(tuple(run.id for run in at) for at in ordered))


def _apart_from_strength(task: FunctionalTask) -> str:
    """One string for all tasks of a series."""
    unit = task.memory.model_copy(update={"alpha": 1.0})
    return task.model_copy(update={"memory": unit}).canonical_json()


def _series(tasks: Sequence[FunctionalTask], *, is_alone: bool) -> Series:
    ordered = sorted(((task.facts()["h95"], task) for task in tasks), key=lambda pair: pair[0])
    h95s = tuple(h95 for h95, _ in ordered)
    first = tasks[0]
    if len(tasks) < FEWEST_STRENGTHS:
        raise ConfigError(
            f"a boundary needs at least {FEWEST_STRENGTHS} strengths of one memory, got {len(tasks)} of "
            f"{first.label}: give `h95` or `alpha` a list, or `{{low: 2, high: 60, count: 20}}`."
        )
    for (h95, task), (next_h95, following) in pairwise(ordered):
        if h95 == next_h95:
            raise ConfigError(
                f"{task.label} and {following.label} have the same H95 = {h95}: along a boundary every "
                f"strength needs its own. Sweep `h95` in place of `alpha`, or leave one out."
            )
    return Series(
        family=first.memory.family,
        title=first.memory.family if is_alone else _title(first),
        tasks=tuple(task for _, task in ordered),
        h95s=h95s,
        alphas=tuple(float(getattr(task.memory, "alpha", 0.0)) for _, task in ordered),
    )


def _title(task: FunctionalTask) -> str:
    """The task's label without the strength."""
    strength = f"alpha={getattr(task.memory, 'alpha', 0.0):g}"
    return task.label.replace(f"({strength})", "", 1).replace(f"{strength}, ", "", 1)
