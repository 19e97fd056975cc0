"""Runs in processes of this machine: one torch thread each, largest runs first."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from ctypes import Array, c_double
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from typing import Any

import torch
from pebble import ProcessExpired, ProcessPool

from recollect.studies.execute import execute, make_record
from recollect.studies.executor import Activity, OnActivity
from recollect.studies.record import Record
from recollect.studies.run import Run

_POLL_SECONDS = 0.2


def _available_cores() -> int:
    """Cores that this process may use: a cluster's scheduler often grants fewer than there are."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass(frozen=True)
class _Attempt:
    run: Run
    slot: int
    number: int
    started: float


class LocalExecutor:
    """A pool of worker processes.

    A worker that dies (killed, out of memory) is replaced and its run tried again, `attempts` times in
    all; then the run is recorded as failed. Closing the iterator, or Ctrl-C, stops the workers at once.
    """

    def __init__(self, workers: int | None = None, attempts: int = 3) -> None:
        self.workers = workers or _available_cores()
        self.attempts = attempts

    def run(self, runs: Sequence[Run], on_activity: OnActivity) -> Generator[Record]:
        """Yield each record as its run ends."""
        waiting = deque((run, 1) for run in sorted(runs, key=lambda run: run.cost, reverse=True))
        workers = min(self.workers, len(waiting))
        if not workers:
            return
        # pebble declares its own protocol of a context, which the standard library's does not quite meet.
        context: Any = get_context("spawn")
        # Progress goes through plain shared memory: a killed worker cannot leave it locked.
        board = context.RawArray("d", 2 * workers)
        pool = ProcessPool(
            max_workers=workers, context=context, initializer=_start_worker, initargs=(board, os.getpid())
        )
        # The first process that is spawned would start it, and starting it lifts the mask below.
        resource_tracker.ensure_running()
        with _interrupts_blocked():
            # Asking starts the pool: its threads, and all workers they will ever start, inherit the mask.
            _ = pool.active
        flying: dict[Future[Record], _Attempt] = {}
        free = list(range(workers))[::-1]
        try:
            while waiting or flying:
                while waiting and free:
                    run, number = waiting.popleft()
                    attempt = _Attempt(run, free.pop(), number, time.perf_counter())
                    board[2 * attempt.slot : 2 * attempt.slot + 2] = [0.0, float("nan")]
                    flying[pool.schedule(_work, args=(run, attempt.slot))] = attempt
                done, _ = wait(flying, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    attempt = flying.pop(future)
                    free.append(attempt.slot)
                    try:
                        yield future.result()
                    except ProcessExpired as death:
                        if attempt.number < self.attempts:
                            waiting.appendleft((attempt.run, attempt.number + 1))
                        else:
                            yield _death_record(attempt, death)
                on_activity([_activity(board, attempt) for attempt in flying.values()])
            pool.close()
        finally:
            pool.stop()
            pool.join()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Ctrl-C reaches every process of the terminal, workers that are still starting up included.

    Blocked in the thread that starts them, it reaches none of them: the driver alone answers it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _activity(board: "Array[c_double]", attempt: _Attempt) -> Activity:
    step, error = board[2 * attempt.slot : 2 * attempt.slot + 2]
    return Activity(attempt.slot, attempt.run, int(step), error)


def _death_record(attempt: _Attempt, death: ProcessExpired) -> Record:
    message = (
        f"The worker process died {attempt.number} times in a row (exit code {death.exitcode}). "
        f"A negative code is a signal; -9 often means that memory ran out: use fewer workers."
    )
    return make_record(attempt.run, "failed", {}, {}, message, time.perf_counter() - attempt.started)


def _start_worker(board: "Array[c_double]", driver: int) -> None:
    """Once in each worker: one thread is all a run may use."""
    torch.set_num_threads(1)
    _Worker.board, _Worker.driver = board, driver


class _Worker:
    """What a worker process knows besides its run."""

    board: "Array[c_double]"
    driver: int


def _work(run: Run, slot: int) -> Record:
    def on_progress(step: int, error: float) -> None:
        if os.getppid() != _Worker.driver:
            os._exit(1)  # The driver was killed: nobody will store this run.
        _Worker.board[2 * slot : 2 * slot + 2] = [float(step), error]

    return execute(run, on_progress)
