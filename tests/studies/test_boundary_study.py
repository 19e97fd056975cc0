"""Boundary studies from end to end: rounds, resuming, and the table, with errors known beforehand."""

import dataclasses
import math

import pytest

from recollect.core import ConfigError
from recollect.studies import Plan, SerialExecutor, Store, Study, Watcher, find_study, plan, run_study
from recollect.studies.boundary import BoundaryConfig, search_error, series_of
from recollect.studies.execute import make_record

BOUNDARY = {
    "name": "fails",
    "tasks": [
        {"memory": {"family": "impulse", "h95": {"low": 2, "high": 32, "count": 9}}, "length": 40},
        {"memory": {"family": "exponential", "h95": {"low": 2, "high": 32, "count": 9}}, "length": 40},
    ],
    "models": [
        {"mixer": "gru", "dim": 3, "label": "gru"},
        {"mixer": "tcn", "options": {"num_levels": 3}, "dim": 2, "label": "tcn"},
    ],
    "training": {
        "steps": 2,
        "batch_size": 2,
        "evaluate_every": 2,
        "validation_examples": 8,
        "test_examples": 64,
    },
    "seeds": 2,
    "boundary": {"budget": 8, "draws": 50},
}
FAILS_FROM = {"gru": 12, "tcn": 9}


@pytest.fixture
def store():
    with Store("sqlite://") as opened:
        yield opened


@pytest.fixture
def study():
    return Study.parse(BOUNDARY)


def known_error(run):
    """An error that passes 0.1 at the model's strength, with a little of each seed."""
    h95 = run.task.facts()["h95"]
    return 0.1 * (h95 / FAILS_FROM[run.model.mixer]) ** 2 * (1 + 0.01 * run.seed)


class KnownErrors:
    """An executor that trains nothing: it knows the error of each run."""

    def __init__(self, error_of=known_error, stop_after=math.inf):
        self.error_of, self.stop_after, self.executed = error_of, stop_after, []

    def run(self, runs, on_activity):
        for run in runs:
            if len(self.executed) >= self.stop_after:
                raise KeyboardInterrupt
            self.executed.append(run.id)
            error = self.error_of(run)
            if isinstance(error, str):
                yield make_record(run, error, {}, {}, "the run broke", 0.0)
            else:
                yield make_record(run, "done", {"nmse": error, "nmse_se": 0.0}, {}, None, 0.0)


def test_rounds_end_within_the_budget_and_a_finished_study_answers_at_once(study, store):
    records = run_study(study, store, KnownErrors())
    assert len(records) <= 4 * 8 < len(study.runs()) == 2 * 2 * 9 * 2
    assert [record.id for record in store.records("fails")] == [record.id for record in records]
    again = KnownErrors()
    assert run_study(study, store, again) == records
    assert again.executed == []


@pytest.mark.parametrize("stop_after", [5, 12, 20])
def test_an_interrupted_study_ends_with_the_runs_of_an_uninterrupted_one(study, store, stop_after):
    with pytest.raises(KeyboardInterrupt):
        run_study(study, store, KnownErrors(stop_after=stop_after))
    assert len(store.records()) == stop_after
    first = {record.id for record in store.records()}
    rest = KnownErrors()
    resumed = run_study(study, store, rest)
    assert not first & set(rest.executed)
    with Store("sqlite://") as other:
        straight = run_study(study, other, KnownErrors())
    assert [record.id for record in resumed] == [record.id for record in straight]


def test_a_watcher_hears_of_every_round_and_of_how_many_runs_there_can_be(study, store):
    rounds: list[Plan] = []
    records = run_study(study, store, KnownErrors(), Watcher(on_round=rounds.append))
    assert [len(planned.pending) for planned in rounds[:2]] == [4 * 3, 4]
    assert {planned.most_runs for planned in rounds} == {4 * 8} == {study.most_runs}
    totals = [len(planned.runs) for planned in rounds]
    assert totals == sorted(totals)
    assert totals[-1] == len(records)
    assert plan(study, store) == dataclasses.replace(rounds[-1], pending=[])


def test_an_ordinary_study_is_one_round(store):
    ordinary = Study.parse({name: value for name, value in BOUNDARY.items() if name != "boundary"})
    rounds: list[Plan] = []
    records = run_study(ordinary, store, KnownErrors(), Watcher(on_round=rounds.append))
    assert len(rounds) == 1
    assert rounds[0].is_last
    assert len(records) == len(ordinary.runs()) == rounds[0].most_runs == ordinary.most_runs


def test_runs_that_fail_count_as_failures_of_the_model_and_end_the_search(study, store):
    broken = KnownErrors(lambda run: "failed" if run.model.mixer == "gru" else known_error(run))
    records = run_study(study, store, broken)
    gru = [record for record in records if record.model == "gru"]
    assert {record.status for record in gru} == {"failed"}
    assert len(gru) == 2 * 4  # both ends, the middle, and the weakest with its other seed
    assert run_study(study, store, broken) == records


def test_failed_runs_are_tried_again_once_and_the_search_takes_its_proper_way(study, store):
    run_study(study, store, KnownErrors(lambda run: "failed"))
    still = KnownErrors(lambda run: "failed")
    run_study(study, store, still, retry_failed=True)
    assert len(still.executed) == len(set(still.executed)) == 2 * 2 * 4
    mended = run_study(study, store, KnownErrors(), retry_failed=True)
    with Store("sqlite://") as other:
        straight = run_study(study, other, KnownErrors())
    assert [record.id for record in mended] == [record.id for record in straight]


def test_a_real_study_trains_what_its_search_asks_for(store):
    tiny = {"family": "impulse", "h95": [2, 3, 4, 6]}
    tasks = [{"memory": tiny, "length": 8}]
    study = Study.parse(BOUNDARY | {"tasks": tasks, "models": BOUNDARY["models"][:1], "seeds": 1})
    records = run_study(study, store, SerialExecutor())
    assert {record.status for record in records} == {"done"}
    assert len(records) >= 3


def test_the_error_that_is_searched_is_exact_where_it_is_known_and_infinite_where_a_run_diverged(study):
    record = make_record(
        study.runs()[0], "done", {"nmse": 0.3, "nmse_exact": 0.2, "excess": 0.05}, {}, None, 0.0
    )
    excess = BoundaryConfig(of="excess")
    assert search_error(record, BoundaryConfig()) == 0.2
    assert search_error(record, excess) == 0.05
    unbound = record.model_copy(update={"metrics": {"nmse": 0.3}})
    assert search_error(unbound, excess) == search_error(unbound, BoundaryConfig()) == 0.3
    assert search_error(record.model_copy(update={"status": "diverged"}), BoundaryConfig()) == math.inf
    assert search_error(record.model_copy(update={"metrics": {"nmse": None}}), BoundaryConfig()) == math.inf


def test_the_store_gives_back_the_definition_of_a_study(study, store):
    assert store.definition("fails") is None
    run_study(study, store, KnownErrors())
    assert store.definition("fails") == study


def test_boundary_quick_searches_four_families_with_models_of_different_kinds():
    study = find_study("boundary-quick")
    assert study.boundary is not None
    assert {task.memory.family for task in study.tasks} == {"exponential", "polynomial", "impulse", "airy"}
    assert study.seeds == 3
    assert len(study.models) == 6
    assert len(series_of(study.tasks)) == 4
    with pytest.raises(ConfigError, match="exclude each other"):
        Study.parse(study.model_dump() | {"learning_rates": [0.1]})
