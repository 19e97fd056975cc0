"""Live progress of a study: one bar for all of it, one for each worker, on standard error."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from recollect.cli.console import err
from recollect.studies import Activity, Record, Run, Watcher


@contextmanager
def watching(runs: Sequence[Run], pending: Sequence[Run]) -> Iterator[Watcher]:
    """A watcher that draws bars on a terminal, or prints a line a run where there is none."""
    if not err.is_terminal:
        yield Watcher(on_record=_LinePrinter(len(runs), len(runs) - len(pending)))
        return
    bars = _Bars(runs, pending)
    with Live(bars.view, console=err, refresh_per_second=5, transient=True):
        yield Watcher(on_activity=bars.on_activity, on_record=bars.on_record)


def outcome(record: Record) -> str:
    """One run in a few words, for progress lines."""
    criterion = record.facts["criterion"]
    score = record.metrics.get(criterion)
    result = f"{_spoken(criterion)} {score:.3g}" if score is not None else "no score measured"
    return f"{record.model} on {record.task}, seed {record.seed}: {record.status}, {result}"


def _spoken(criterion: str) -> str:
    return "NMSE" if criterion == "nmse" else criterion.replace("_", " ")


class _LinePrinter:
    def __init__(self, total: int, done: int) -> None:
        self.total, self.done = total, done

    def __call__(self, run: Run, record: Record) -> None:
        self.done += 1
        seconds = f"{record.wall_seconds:.1f} s"
        line = f"[{self.done}/{self.total}] {outcome(record)}, {seconds}"
        err.print(line, markup=False, highlight=False, soft_wrap=True)


class _Bars:
    """Overall progress is weighted by the runs' cost, so that its time left means something."""

    def __init__(self, runs: Sequence[Run], pending: Sequence[Run]) -> None:
        self.finished = sum(run.cost for run in runs) - sum(run.cost for run in pending)
        self.num_finished, self.num_runs = len(runs) - len(pending), len(runs)
        self.overall = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=err,
        )
        self.workers = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TextColumn("{task.fields[error]}"),
            TimeRemainingColumn(),
            console=err,
        )
        self.total = self.overall.add_task(self._count(), total=sum(run.cost for run in runs))
        self.rows: dict[int, tuple[TaskID, str]] = {}
        self.view = Group(self.overall, self.workers)
        # Stored runs took no time now: only what comes from here on tells the speed.
        self.overall.update(self.total, completed=self.finished)

    def on_activity(self, activities: Sequence[Activity]) -> None:
        for activity in activities:
            self._show(activity)
        idle = set(self.rows) - {activity.worker for activity in activities}
        for worker in idle:
            self.workers.remove_task(self.rows.pop(worker)[0])
        flying = sum(a.run.cost * a.step / a.run.num_steps for a in activities)
        self.overall.update(self.total, completed=self.finished + flying)

    def on_record(self, run: Run, record: Record) -> None:
        self.finished += run.cost
        self.num_finished += 1
        self.overall.update(self.total, description=self._count(), completed=self.finished)
        if record.status != "done":
            err.print(outcome(record), markup=False, highlight=False, soft_wrap=True)

    def _show(self, activity: Activity) -> None:
        row = self.rows.get(activity.worker)
        if row is None or row[1] != activity.run.id:
            if row is not None:
                self.workers.remove_task(row[0])
            title = f"{activity.run.model.title} on {activity.run.task.label}, seed {activity.run.seed}"
            task = self.workers.add_task(title, total=activity.run.num_steps, error="")
            row = self.rows[activity.worker] = (task, activity.run.id)
        error = f"error {activity.error:.3g}" if math.isfinite(activity.error) else ""
        self.workers.update(row[0], completed=activity.step, error=error)

    def _count(self) -> str:
        return f"{self.num_finished}/{self.num_runs} runs"
