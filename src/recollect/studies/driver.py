"""Running a study: what is stored already is not run again, what ends is stored at once."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from recollect.core import ConfigError, RecollectError
from recollect.studies.execute import untrained_layer
from recollect.studies.executor import Activity, Executor
from recollect.studies.record import Record
from recollect.studies.run import Run
from recollect.studies.store import Store
from recollect.studies.study import Study
from recollect.tasks import SPLITS, UntrainedTask
from recollect.training import resolve_device


@dataclass(frozen=True)
class Plan:
    """The runs of a study, and those that still lack a finished record."""

    runs: Sequence[Run]
    pending: Sequence[Run]


@dataclass(frozen=True)
class Watcher:
    """Callbacks of a driver: what workers do, and each record as it is stored."""

    on_activity: Callable[[Sequence[Activity]], None] = lambda activities: None
    on_record: Callable[[Run, Record], None] = lambda run, record: None


def plan(study: Study, store: Store, *, retry_failed: bool = False) -> Plan:
    """Compare a study with the store. Failed runs count as finished unless `retry_failed`."""
    runs = study.runs()
    statuses = store.statuses(run.id for run in runs)
    unfinished = {None, "failed"} if retry_failed else {None}
    return Plan(runs, [run for run in runs if statuses.get(run.id) in unfinished])


def check(runs: Sequence[Run]) -> None:
    """Build every model and draw from every task once, so that a mistake shows before hours of training do.

    Raises:
        ConfigError: names the run and what is wrong with it.
    """
    distinct = {(run.task.digest(), run.model.digest(), _device(run)): run for run in runs}
    for run in distinct.values():
        try:
            _try(run)
        except Exception as error:
            reason = str(error) if isinstance(error, RecollectError) else f"{type(error).__name__}: {error}"
            raise ConfigError(f"{run.model.title} on {run.task.label}: {reason}") from error


def _device(run: Run) -> tuple[str, str]:
    return ("", "") if run.training is None else (run.training.device, run.training.precision)


def _try(run: Run) -> None:
    task = run.task
    if isinstance(task, UntrainedTask):
        untrained_layer(run, task)
        return
    assert run.training is not None
    resolve_device(run.training)
    model = run.model.build(task.input_size, task.output_size, seed=0, is_tokens=task.is_tokens)
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
    watcher = watcher or Watcher()
    planned = plan(study, store, retry_failed=retry_failed)
    check(planned.pending)
    by_id = {run.id: run for run in planned.runs}
    store.save_study(study, list(by_id))
    with closing(executor.run(planned.pending, watcher.on_activity)) as records:
        for record in records:
            store.add(record)
            watcher.on_record(by_id[record.id], record)
    return store.records_of(list(by_id))
