"""Live progress of a study: one bar for all of it, one for each worker, on standard error."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from recollect.cli.console import err
from recollect.studies import Activity, Plan, Record, Run, Watcher


@contextmanager
def watching() -> Iterator[Watcher]:
    """A watcher that draws bars on a terminal, or prints a line a run where there is none."""
    if not err.is_terminal:
        lines = _LinePrinter()
        yield Watcher(on_round=lines.on_round, on_record=lines.on_record)
        return
    bars = _Bars()
    with Live(bars.view, console=err, refresh_per_second=5, transient=True):
        yield Watcher(on_round=bars.on_round, on_activity=bars.on_activity, on_record=bars.on_record)


def outcome(record: Record) -> str:
    """One run in a few words, for progress lines."""
    criterion = record.facts["criterion"]
    score = record.metrics.get(criterion)
    result = f"{_spoken(criterion)} {score:.3g}" if score is not None else "no score measured"
    return f"{record.model} on {record.task}, seed {record.seed}: {record.status}, {result}"


def _spoken(criterion: str) -> str:
    return "NMSE" if criterion == "nmse" else criterion.replace("_", " ")


class _Count:
    """How many runs have ended, of those asked for so far."""

    def __init__(self) -> None:
        self.done, self.total, self.most = 0, 0, 0

    def begin(self, plan: Plan) -> None:
        self.done, self.total = len(plan.runs) - len(plan.pending), len(plan.runs)
        self.most = plan.most_runs

    def __str__(self) -> str:
        more = f", at most {self.most}" if self.most > self.total else ""
        return f"{self.done}/{self.total}{more}"


class _LinePrinter:
    def __init__(self) -> None:
        self.count = _Count()

    def on_round(self, plan: Plan) -> None:
        self.count.begin(plan)

    def on_record(self, run: Run, record: Record) -> None:
        self.count.done += 1
        seconds = f"{record.wall_seconds:.1f} s"
        line = f"[{self.count}] {outcome(record)}, {seconds}"
        err.print(line, markup=False, highlight=False, soft_wrap=True)


class _Bars:
    """Overall progress is weighted by the runs' cost, so that its time left means something.

    It is that of the runs asked for so far: how many more a search will ask for is not known.
    """

    def __init__(self) -> None:
        self.finished, self.count = 0.0, _Count()
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
        self.total: TaskID | None = None
        self.rows: dict[int, tuple[TaskID, str]] = {}
        self.view = Group(self.overall, self.workers)

    def on_round(self, plan: Plan) -> None:
        self.count.begin(plan)
        whole = sum(run.cost for run in plan.runs)
        self.finished = whole - sum(run.cost for run in plan.pending)
        if self.total is None:
            self.total = self.overall.add_task("", total=whole)
        # Stored runs took no time now: only what comes from here on tells the speed.
        self._update(description=f"{self.count} runs", total=whole, completed=self.finished)

    def on_activity(self, activities: Sequence[Activity]) -> None:
        for activity in activities:
            self._show(activity)
        idle = set(self.rows) - {activity.worker for activity in activities}
        for worker in idle:
            self.workers.remove_task(self.rows.pop(worker)[0])
        flying = sum(a.run.cost * a.step / a.run.num_steps for a in activities)
        self._update(completed=self.finished + flying)

    def on_record(self, run: Run, record: Record) -> None:
        self.finished += run.cost
        self.count.done += 1
        self._update(description=f"{self.count} runs", completed=self.finished)
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

    def _update(self, **changes: Any) -> None:
        assert self.total is not None, "a round begins before anything in it"
        self.overall.update(self.total, **changes)
