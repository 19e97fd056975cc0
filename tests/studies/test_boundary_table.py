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
    assert found.theory.proven == ((found.certain, 20),)
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


def theory_from(study, facts):
    """What is said where records hold (floor, attained) for each H95 of the first model."""
    model = study.runs()[0].model
    stored = [
        record.model_copy(
            update={
                "metrics": record.metrics
                | {
                    "floor": facts[record.facts["h95"]][0],
                    "floor_attained": facts[record.facts["h95"]][1],
                    "floor_binds": True,
                    "floor_how": f"theorem at {record.facts['h95']}",
                }
            }
        )
        for record, run in zip(records_of(study), study.runs(), strict=True)
        if run.model == model
    ]
    return boundaries(study, stored)[0].theory


GRID = (2, 4, 6, 8, 10, 14, 20)


@pytest.mark.parametrize(
    ("floors", "certain", "proven", "how"),
    [
        ((0.0, 0.0, 0.3, 0.5, 0.6, 0.7, 0.8), 6, ((6, 20),), 6),
        ((0.0, 0.0, 0.3, 0.5, 0.6, 0.7, 0.0), None, ((6, 14),), 6),
        ((0.0, 0.2, 0.0, 0.0, 0.2, 0.2, 0.2), 10, ((4, 4), (10, 20)), 10),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2), 20, ((20, 20),), 20),
        ((0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1), None, (), 20),
    ],
)
def test_failure_is_certain_only_from_where_all_stronger_floors_are_above_the_threshold(
    study, floors, certain, proven, how
):
    theory = theory_from(study, {h95: (floor, floor) for h95, floor in zip(GRID, floors, strict=True)})
    assert (theory.certain, theory.proven, theory.how) == (certain, proven, f"theorem at {how}")
    for h95, floor in zip(GRID, floors, strict=True):
        assert theory.must_fail(h95) == (floor > 0.1)


def test_floors_of_a_delay_fall_again_when_it_nears_the_length():
    task = {"memory": {"family": "impulse", "h95": [2, 6, 10, 20, 26, 31]}, "length": 32}
    linear = {"mixer": "rnn", "options": {"activation": "linear"}, "dim": 4}
    (found,) = boundaries(Study.parse(STUDY | {"tasks": [task], "models": [linear]}), [])
    # 1 - 4 / min(L, 32 - L), L = H95 - 1: 0, .2, .56, .69, .43, 0.
    assert found.theory.proven == ((6, 26),)
    assert found.certain is None
    assert found.possible == 6
    assert found.theory.how == "closed form for a delay: 1 - m/5"


@pytest.mark.parametrize(
    ("at_8", "constructs", "possible"),
    [
        ((0.01, 0.05), True, 10),
        ((0.01, 0.2), True, 8),
        ((0.2, None), True, 8),  # below a floor nothing passes, constructed or not
        ((0.01, None), False, None),  # between the floor and an unknown construction: no claim
    ],
)
def test_what_was_not_constructed_is_no_success(study, at_8, constructs, possible):
    facts = dict.fromkeys(GRID, (0.01, 0.05)) | {8: at_8, 10: (0.05, 0.3), 14: (0.05, None)}
    theory = theory_from(study, facts)
    assert (theory.constructs, theory.possible) == (constructs, possible)


@pytest.mark.parametrize(
    ("model", "constructs"),
    [
        ({"mixer": "tcn", "options": {"num_levels": 5}, "dim": 2}, True),  # sees all 32 inputs
        ({"mixer": "rnn", "options": {"activation": "linear"}, "dim": 31}, True),  # 31 poles and the lag 0
        ({"mixer": "rnn", "options": {"activation": "linear"}, "dim": 30}, False),
        ({"mixer": "attention", "options": {"num_heads": 2, "positions": "none"}, "dim": 2}, False),
    ],
)
def test_a_floor_of_0_without_construction_counts_where_the_class_holds_every_kernel(model, constructs):
    study = Study.parse(STUDY | {"models": [model]})
    theory = theory_from(study, dict.fromkeys(GRID, (0.0, None)))
    assert theory.binds
    assert (theory.constructs, theory.possible, theory.certain) == (constructs, None, None)


def test_several_channels_need_as_many_states_each():
    linear = {"mixer": "rnn", "options": {"activation": "linear"}, "dim": 31}
    tasks = [STUDY["tasks"][0] | {"channels": 2}]
    study = Study.parse(STUDY | {"tasks": tasks, "models": [linear]})
    assert not theory_from(study, dict.fromkeys(GRID, (0.0, None))).constructs


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
