"""What an executor is, and the simplest one."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from recollect.studies.execute import execute
from recollect.studies.record import Record
from recollect.studies.run import Run


@dataclass(frozen=True)
class Activity:
    """What one worker is doing: `error` is the best validation error so far."""

    worker: int
    run: Run
    step: int
    error: float


OnActivity = Callable[[Sequence[Activity]], None]


class Executor(Protocol):
    """Turns runs into records, in any order, one record a run."""

    def run(self, runs: Sequence[Run], on_activity: OnActivity) -> Generator[Record]:
        """Yield each record as its run ends; call `on_activity` now and then. Closing stops all work."""
        ...


class SerialExecutor:
    """One run after the other in this process: for notebooks, debuggers and tests."""

    def run(self, runs: Sequence[Run], on_activity: OnActivity) -> Generator[Record]:
        """Yield each record as its run ends."""
        for run in runs:

            def on_progress(step: int, error: float, run: Run = run) -> None:
                on_activity([Activity(0, run, step, error)])

            yield execute(run, on_progress)
