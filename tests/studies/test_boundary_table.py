"""The table of boundaries: measured, and beside it what is proven and what is constructed."""

import math

import pytest

from recollect.core import ConfigError
from recollect.studies import Study, boundaries
from recollect.studies.execute import make_record

FIELD = 8
"""Inputs that the convolution sees: three levels of two taps."""

STUDY = {
    "name": "fails",
    "tasks": [{"memory": {"family": "impulse", "h95": [2, 4, 6, 8, 10, 14, 20]}, "length": 32}],
    "models": [
        {"mixer": "tcn", "options": {"num_levels": 3}, "dim": 2, "label": "tcn"},
        {"mixer": "gru", "dim": 3, "label": "gru"},
    ],
    "training": {"steps": 2},
    "seeds": 2,
    "boundary": {"threshold": 0.1, "draws": 50},
}
FAILS_FROM = 11.0


@pytest.fixture
def study():
    return Study.parse(STUDY)


def records_of(study, status="done", **metrics):
    """Errors that pass the threshold at H95 = 11 whatever the model."""
    return [
        make_record(
            run, status, {"nmse": 0.1 * (run.task.facts()["h95"] / FAILS_FROM) ** 3} | metrics, {}, None, 0.0
        )
        for run in study.runs()
    ]


def test_the_measured_boundary_is_given_as_horizon_and_as_alpha(study):
    for found in boundaries(study, records_of(study)):
        assert found.verdict == f"fails from H95 = {found.boundary.strength:.3g}"
        assert found.boundary.strength == pytest.approx(FAILS_FROM, rel=0.02)
        assert found.alpha == pytest.approx(FAILS_FROM - 1, rel=0.03)  # an impulse at lag 10 has H95 = 11
        assert found.alpha_low <= found.alpha <= found.alpha_high
        assert (found.boundary.low, found.boundary.high) == (10, 14)
        assert (found.h95_low, found.h95_high) == (2, 20)
        assert (found.num_runs, found.num_diverged, found.num_failed) == (14, 0, 0)
        assert len(found.points) == 14


def test_theory_says_from_where_on_failure_is_certain(study):
    tcn, gru = boundaries(study, [])
    assert tcn.theory.binds
    assert tcn.certain == min(h95 for h95 in (2, 4, 6, 8, 10, 14, 20) if h95 > FIELD)
    assert not gru.theory.binds
    assert gru.certain is gru.possible is None
    assert gru.theory.how


def test_a_linear_recurrence_may_fail_where_the_construction_does_and_must_where_the_floor_does():
    linear = {"mixer": "rnn", "options": {"activation": "linear"}, "dim": 4}
    (found,) = boundaries(Study.parse(STUDY | {"models": [linear]}), [])
    assert found.theory.constructs
    assert found.possible <= found.certain
    # Four states and the feed-through: NMSE >= 1 - 4 / min(L, T - L), L = H95 - 1, reached at L = 4.
    assert found.certain == 6


def test_floors_that_records_hold_are_not_computed_again(study, monkeypatch):
    def refuse(task, model):
        raise AssertionError("computed again")

    monkeypatch.setattr("recollect.studies.boundary.theory.floor_of", refuse)
    stored = {"floor": 0.0, "floor_attained": 0.05, "floor_binds": True, "floor_how": "known"}
    records = records_of(study, **stored)
    high = {"floor": 0.3, "floor_attained": 0.4}
    records = [
        record.model_copy(update={"metrics": record.metrics | (high if record.facts["h95"] >= 10 else {})})
        for record in records
    ]
    assert [(found.certain, found.possible) for found in boundaries(study, records)] == [(10, 10)] * 2


def test_diverged_runs_count_and_runs_that_ended_with_an_error_do_not(study):
    done = records_of(study)
    diverged = [r.model_copy(update={"status": "diverged"}) if r.facts["h95"] > 5 else r for r in done]
    assert all(4 < found.boundary.strength < 6 for found in boundaries(study, diverged))
    failed = [r.model_copy(update={"status": "failed"}) if r.facts["h95"] > 5 else r for r in done]
    for found in boundaries(study, failed):
        assert (found.boundary.kind, found.num_runs, found.num_failed) == ("undecided", 4, 10)
        assert found.verdict == "too few runs to say"


def test_a_boundary_of_the_excess_reads_the_excess_and_has_no_theory(study):
    of_excess = Study.parse(STUDY | {"boundary": {"of": "excess", "draws": 50}})
    tcn, _ = boundaries(of_excess, records_of(of_excess, excess=-1e-9))
    assert tcn.boundary.kind == "never_fails"
    assert tcn.verdict == "never fails up to H95 = 20"
    assert not tcn.theory.binds
    assert all(math.isfinite(point.log_error) for point in tcn.points)


def test_a_study_without_boundary_is_refused(define):
    with pytest.raises(ConfigError, match="has no `boundary`"):
        boundaries(define(), [])
