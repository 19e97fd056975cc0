"""Running a study: what is stored already is not run again, what ends is stored at once.

A study runs in rounds: an ordinary one asks for all its runs in the first, one that seeks boundaries asks for
a few, reads their records, and asks again.
"""

from collections.abc import Callable, Sequence, Set
from contextlib import closing
from dataclasses import dataclass

from recollect.core import ConfigError, RecollectError
from recollect.studies.boundary import most_runs, pairs_of, search, search_error
from recollect.studies.excess import start_from_construction
from recollect.studies.execute import untrained_layer
from recollect.studies.executor import Activity, Executor
from recollect.studies.record import Record
from recollect.studies.run import Run
from recollect.studies.store import Store
from recollect.studies.study import Study
from recollect.tasks import SPLITS, UntrainedTask
from recollect.training import check_objective, resolve_device


@dataclass(frozen=True)
class Plan:
    """One round of a study.

    Attributes:
        runs: all that have been asked for so far.
        pending: those of them that still lack a finished record.
        most_runs: how many the study can have asked for at its end.
    """

    runs: Sequence[Run]
    pending: Sequence[Run]
    most_runs: int

    @property
    def is_last(self) -> bool:
        """Whether no round can follow."""
        return len(self.runs) == self.most_runs


@dataclass(frozen=True)
class Watcher:
    """Callbacks of a driver: each round before it runs, what workers do, and each record as it is stored."""

    on_round: Callable[[Plan], None] = lambda plan: None
    on_activity: Callable[[Sequence[Activity]], None] = lambda activities: None
    on_record: Callable[[Run, Record], None] = lambda run, record: None


def plan(study: Study, store: Store, *, retry_failed: bool = False) -> Plan:
    """The present round of a study. Failed runs count as finished unless `retry_failed`."""
    return _Rounds(study).plan(store, retry_failed=retry_failed)


class _Rounds:
    """What a study asks for, round by round. Its runs are listed once: there may be thousands."""

    def __init__(self, study: Study) -> None:
        self.runs = {run.id: run for run in study.runs()}
        self.boundary = study.boundary
        self.pairs = [] if study.boundary is None else pairs_of(list(self.runs.values()))

    def plan(self, store: Store, *, retry_failed: bool, tried: Set[str] = frozenset[str]()) -> Plan:
        """The present round. Failed runs count as finished unless `retry_failed`; those `tried` always."""
        finished = [
            run_id
            for run_id, status in store.statuses(self.runs).items()
            if status != "failed" or not retry_failed or run_id in tried
        ]
        if self.boundary is None:
            known = set(finished)
            pending = [run for run_id, run in self.runs.items() if run_id not in known]
            return Plan(list(self.runs.values()), pending, len(self.runs))
        records = store.records_of(finished)
        errors = {record.id: search_error(record, self.boundary) for record in records}
        asked = search(self.pairs, self.boundary, errors)
        return Plan(asked.runs, asked.missing, most_runs(self.pairs, self.boundary))


def check(runs: Sequence[Run]) -> None:
    """Build every model and draw from every task once, so that a mistake shows before hours of training do.

    Raises:
        ConfigError: names the run and what is wrong with it.
    """
    distinct = {(run.task.digest(), run.model.digest(), _conditions(run)): run for run in runs}
    for run in distinct.values():
        try:
            _try(run)
        except Exception as error:
            reason = str(error) if isinstance(error, RecollectError) else f"{type(error).__name__}: {error}"
            raise ConfigError(f"{run.model.title} on {run.task.label}: {reason}") from error


def _conditions(run: Run) -> tuple[str, ...]:
    """What of the training may not fit the model, the task or the machine."""
    training = run.training
    return () if training is None else (training.device, training.precision, training.loss, training.start)


def _try(run: Run) -> None:
    task = run.task
    if isinstance(task, UntrainedTask):
        untrained_layer(run, task)
        return
    assert run.training is not None
    resolve_device(run.training)
    model = run.model.build(task.input_size, task.output_size, seed=0, is_tokens=task.is_tokens)
    check_objective(model, task, run.training)
    if run.training.start == "construction":
        start_from_construction(task, model, run.model.title)
    for setting in task.test_tasks():
        examples = [setting.batch(0, split, 0, 2) for split in SPLITS]
        if not run.source:  # A user's mixer may do anything: it is run in a worker only.
            model(examples[0].inputs)


def run_study(
    study: Study,
    store: Store,
    executor: Executor,
    watcher: Watcher | None = None,
    *,
    retry_failed: bool = False,
) -> list[Record]:
    """Run what is missing, store each record as it comes, and return all records in the study's order.

    Interrupting loses at most the runs in flight; calling again goes on from there.

    Example:
        >>> study = Study.parse({"name": "demo", "models": [{"mixer": "gru", "dim": 4}],
        ...     "tasks": [{"memory": {"family": "impulse", "alpha": 1}, "length": 8}],
        ...     "training": {"steps": 2, "test_examples": 64}})
        >>> from recollect.studies.executor import SerialExecutor
        >>> [record.status for record in run_study(study, Store("sqlite://"), SerialExecutor())]
        ['done']
    """
    watcher, rounds = watcher or Watcher(), _Rounds(study)
    tried = set[str]()
    while True:
        planned = rounds.plan(store, retry_failed=retry_failed, tried=tried)
        check(planned.pending)
        by_id = {run.id: run for run in planned.runs}
        store.save_study(study, list(by_id))
        watcher.on_round(planned)
        with closing(executor.run(planned.pending, watcher.on_activity)) as records:
            for record in records:
                store.add(record)
                watcher.on_record(by_id[record.id], record)
        asked = {run.id for run in planned.pending}
        if asked <= tried or planned.is_last:
            return store.records_of(list(by_id))
        tried |= asked
