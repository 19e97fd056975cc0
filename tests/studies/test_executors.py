import os
import signal

import psutil
import pytest

from recollect.core import ConfigError
from recollect.studies import LocalExecutor, SerialExecutor, Store, plan, run_study

LEARNED = {"positions": "learned", "max_length": 4}
LEARNED = {"positions": "learned", "max_length": 4}
MIXERS = """
import os, signal
from pathlib import Path
import torch

class Plain(torch.nn.Linear):
    def __init__(self, dim):
        super().__init__(dim, dim)

class Nan(Plain):
    def forward(self, x):
        return super().forward(x) * (float("nan") if x.shape[1] == 8 else 1.0)

class Raises(Plain):
    def forward(self, x):
        if x.shape[1] == 8:
            raise RuntimeError("this mixer cannot")
        return super().forward(x)

class DiesOnce(Plain):
    def forward(self, x):
        mark = Path(os.environ["MARK"])
        if x.shape[1] == 8 and not mark.exists():
            mark.write_text("died")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)

class AlwaysDies(Plain):
    def forward(self, x):
        if x.shape[1] == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)
"""


@pytest.fixture
def mixers(tmp_path, monkeypatch):
    (tmp_path / "odd_mixers.py").write_text(MIXERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    return lambda *names: [{"mixer": f"odd_mixers:{name}", "dim": 3} for name in names]


@pytest.fixture
def store():
    with Store("sqlite://") as opened:
        yield opened


def comparable(record):
    """What a run decides: everything but its time and place."""
    timed = {"train_seconds", "seconds_to_solve"}
    metrics = {name: value for name, value in record.metrics.items() if name not in timed}
    curve = {name: column for name, column in record.series["curve"].items() if name != "seconds"}
    return record.id, record.status, metrics, record.series | {"curve": curve}


def test_local_and_serial_executors_give_bitwise_equal_records(study, store):
    local = run_study(study, store, LocalExecutor(workers=2))
    with Store("sqlite://") as other:
        serial = run_study(study, other, SerialExecutor())
    assert [comparable(record) for record in local] == [comparable(record) for record in serial]
    assert {record.status for record in local} == {"done"}


def test_a_finished_run_is_never_repeated(study, store):
    executed = []

    class Recording:
        def run(self, runs, on_activity):
            executed.append(len(runs))
            yield from SerialExecutor().run(runs, on_activity)

    stopped = Recording().run(study.runs(), lambda activities: None)
    store.save_study(study, [run.id for run in study.runs()])
    store.add(next(stopped))
    stopped.close()
    executed.clear()
    run_study(study, store, Recording())
    run_study(study, store, Recording())
    assert executed == [3, 0]


def test_nan_and_exceptions_are_recorded_while_others_go_on(define, mixers, store):
    study = define(models=mixers("Plain", "Nan", "Raises"))
    records = run_study(study, store, LocalExecutor(workers=2))
    by_model = {record.model: record for record in records}
    assert len(records) == 6
    assert by_model["Plain"].status == "done"
    assert by_model["Nan"].status == "diverged"
    assert by_model["Nan"].metrics["validation_error"] is None
    assert by_model["Raises"].status == "failed"
    assert "RuntimeError: this mixer cannot" in by_model["Raises"].error


def test_failed_runs_are_run_again_only_when_asked(define, mixers, store):
    study = define(models=mixers("Raises"))
    run_study(study, store, SerialExecutor())
    assert len(plan(study, store).pending) == 0
    assert len(plan(study, store, retry_failed=True).pending) == 2


def test_a_killed_worker_is_replaced_and_its_run_tried_again(define, mixers, store):
    records = run_study(define(models=mixers("DiesOnce", "Plain")), store, LocalExecutor(workers=2))
    assert [record.status for record in records] == ["done"] * 4


def test_a_run_that_kills_its_workers_is_given_up_and_recorded(define, mixers, store):
    records = run_study(
        define(models=mixers("AlwaysDies", "Plain")), store, LocalExecutor(workers=2, attempts=2)
    )
    by_model = {record.model: record for record in records}
    assert by_model["AlwaysDies"].status == "failed"
    assert "died 2 times" in by_model["AlwaysDies"].error
    assert "-9" in by_model["AlwaysDies"].error
    assert by_model["Plain"].status == "done"


def test_closing_the_iterator_stops_all_workers(define):
    study = define(training={"steps": 100_000, "evaluate_every": 10})
    records = LocalExecutor(workers=2).run(study.runs(), _raise_once_all_work)
    with pytest.raises(KeyboardInterrupt):
        next(records)
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def _raise_once_all_work(activities):
    if len(activities) == 2 and all(activity.step > 0 for activity in activities):
        raise KeyboardInterrupt


def test_progress_names_the_run_and_its_step(study):
    seen = []
    list(SerialExecutor().run(study.runs()[:1], lambda activities: seen.extend(activities)))
    assert [activity.step for activity in seen] == [0, 2, 4]
    assert seen[0].run.id == study.runs()[0].id


def test_workers_ignore_ctrl_c_so_that_the_driver_alone_answers(define, store):
    """SIGINT reaches the whole process group; a worker that took it would record a failed run."""

    def interrupt(activities):
        for child in psutil.Process().children():
            if activities and activities[0].step > 0 and "spawn_main" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGINT)

    study = define(training={"steps": 300, "evaluate_every": 10})
    records = list(LocalExecutor(workers=1).run(study.runs()[:1], interrupt))
    assert [record.status for record in records] == ["done"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"models": [{"mixer": "attention", "dim": 5}]}, "divisible"),
        ({"models": [{"mixer": "attention", "dim": 8, "options": LEARNED}]}, "max_length=4"),
        ({"training": {"precision": "bfloat16", "device": "cpu"}}, "needs a GPU"),
    ],
)
def test_what_cannot_work_is_refused_before_any_run(define, store, fields, message):
    with pytest.raises(ConfigError, match=message):
        run_study(define(**fields), store, SerialExecutor())
    assert store.records() == []
