"""Which runs a search asks for, against models whose errors are known beforehand."""

import math

import numpy as np
import pytest

from recollect.core import ConfigError
from recollect.studies import Study
from recollect.studies.boundary import (
    BoundaryConfig,
    Point,
    bracket,
    estimate,
    most_runs,
    pairs_of,
    search,
    series_of,
)

H95S = [2, 3, 4, 6, 8, 11, 15, 20, 27, 36]
SEEDS = 3


def grid(h95=H95S, seeds=SEEDS, models=({"mixer": "gru"},), **task):
    return Study.parse(
        {
            "name": "grid",
            "tasks": [{"memory": {"family": "impulse", "h95": list(h95)}, "length": 40} | task],
            "models": list(models),
            "training": {"steps": 2},
            "seeds": seeds,
        }
    )


@pytest.fixture(scope="module")
def pair():
    return pairs_of(grid().runs())[0]


def finish(pair, config, error_of):
    """All rounds of a search: places asked, round after round."""
    place = {
        run_id: (h95, seed)
        for h95, ids in zip(H95S, pair.ids, strict=True)
        for seed, run_id in enumerate(ids)
    }
    errors, rounds = {}, []
    while missing := search([pair], config, errors).missing:
        rounds.append([place[run.id] for run in missing])
        errors |= {run.id: error_of(*place[run.id]) for run in missing}
    return rounds


@pytest.mark.parametrize("boundary", [2.5, 3.5, 7, 9, 14, 30])
def test_bisection_ends_at_neighbours_on_the_grid_whose_seeds_are_then_completed(pair, boundary):
    rounds = finish(pair, BoundaryConfig(budget=11), lambda h95, seed: 0.01 if h95 < boundary else 0.5)
    assert rounds[0] == [(2, 0), (8, 0), (36, 0)]
    asked = [place for places in rounds for place in places]
    below = max(h95 for h95 in H95S if h95 < boundary)
    above = min(h95 for h95 in H95S if h95 > boundary)
    assert {(h95, seed) for h95 in (below, above) for seed in range(SEEDS)} <= set(asked)
    assert len(asked) == len(set(asked)) <= 11


def test_what_is_left_of_the_budget_goes_to_the_nearest_strengths(pair):
    rounds = finish(pair, BoundaryConfig(budget=15), lambda h95, seed: 0.01 if h95 < 9 else 0.5)
    asked = [place for places in rounds for place in places]
    assert len(asked) == 15
    assert {(h95, seed) for h95 in (6, 8, 11, 15) for seed in range(SEEDS)} <= set(asked)


@pytest.mark.parametrize("budget", [3, 4, 5, 7, 11, 30])
def test_the_budget_is_never_exceeded(pair, budget):
    rounds = finish(pair, BoundaryConfig(budget=budget), lambda h95, seed: 0.01 * h95)
    assert sum(map(len, rounds)) == budget == most_runs([pair], BoundaryConfig(budget=budget))


@pytest.mark.parametrize(("error", "end"), [(0.01, 36), (0.7, 2), (math.inf, 2)])
def test_without_a_crossing_the_seeds_make_sure_of_one_end(pair, error, end):
    rounds = finish(pair, BoundaryConfig(), lambda h95, seed: error)
    assert rounds[1:] == [[(end, 1), (end, 2)]]


def test_seeds_that_disagree_with_the_first_move_the_bracket(pair):
    """With its first seed the model fails nowhere, with the others at the end: the search goes on."""
    rounds = finish(pair, BoundaryConfig(), lambda h95, seed: 0.5 if seed and h95 > 20 else 0.01)
    assert rounds[1] == [(36, 1), (36, 2)]
    assert [place for places in rounds[2:] for place in places if place[1] == 0]


def test_errors_that_are_not_monotone_end_the_search_at_the_weakest_strength_found_to_fail(pair):
    rounds = finish(pair, BoundaryConfig(), lambda h95, seed: 0.5 if h95 in (8, 11, 36) else 0.01)
    asked = [place for places in rounds for place in places]
    assert {(6, 0), (6, 1), (6, 2), (8, 0), (8, 1), (8, 2)} <= set(asked)
    assert bracket({0: 0.5, 3: 0.01}, 0.1) == (None, 0)
    assert bracket({0: 0.01, 3: 0.01}, 0.1) == (3, None)


def test_decisions_depend_on_the_runs_of_the_search_alone(pair):
    """A store may hold further runs of the grid, from another study or from another threshold."""

    def error_of(h95, seed):
        return 0.01 if h95 < 9 + seed else 0.5

    config = BoundaryConfig(budget=10)
    everything = {
        run_id: error_of(h95, seed)
        for h95, ids in zip(H95S, pair.ids, strict=True)
        for seed, run_id in enumerate(ids)
    }
    alone = [place for places in finish(pair, config, error_of) for place in places]
    known = search([pair], config, everything)
    assert known.missing == []
    assert len(known.runs) == len(alone)
    assert {(run.task.facts()["h95"], run.seed) for run in known.runs} == set(alone)


def test_part_of_a_round_changes_nothing_about_the_next(pair):
    config, error_of = BoundaryConfig(), lambda h95, seed: 0.01 if h95 < 9 else 0.5
    errors, asked = {}, []
    while missing := search([pair], config, errors).missing:
        run = missing[-1]  # one run of a round at a time, the last first
        errors[run.id] = error_of(run.task.facts()["h95"], run.seed)
        asked.append((run.task.facts()["h95"], run.seed))
    assert set(asked) == {place for places in finish(pair, config, error_of) for place in places}


def test_estimates_from_the_runs_that_a_search_chose_cover_the_boundary_as_often_as_they_say(pair):
    rng, hits = np.random.default_rng(0), 0
    for _ in range(100):
        crossing = 12 * math.exp(rng.uniform(-0.5, 0.5))
        noise = rng.normal(size=(max(H95S) + 1, SEEDS))
        log_error = lambda h95, seed: (  # noqa: E731
            math.log(0.1) + 2 * math.tanh(2 * math.log(h95 / crossing)) + 0.5 * noise[h95, seed]  # noqa: B023
        )
        rounds = finish(pair, BoundaryConfig(), lambda h95, seed: math.exp(log_error(h95, seed)))  # noqa: B023
        points = [Point(h95, log_error(h95, seed), seed) for places in rounds for h95, seed in places]
        found = estimate(points, 0.1, H95S[0], H95S[-1], draws=200)
        hits += (found.low or 0) <= crossing <= (found.high or math.inf)
    assert hits >= 90


def test_all_pairs_advance_in_the_same_round():
    pairs = pairs_of(grid(models=[{"mixer": "gru"}, {"mixer": "lstm"}]).runs())
    assert [pair.model for pair in pairs] == ["gru", "lstm"]
    assert len(search(pairs, BoundaryConfig(), {}).missing) == 6


def test_a_series_is_sorted_by_growing_memory_whatever_alpha_does():
    fading = {"memory": {"family": "exponential", "alpha": [0.05, 1.6, 0.2, 0.5]}, "length": 64}
    (series,) = series_of(Study.parse({"name": "s", "tasks": [fading], "models": [{"mixer": "gru"}]}).tasks)
    assert series.alphas == (1.6, 0.5, 0.2, 0.05)
    assert list(series.h95s) == sorted(series.h95s)


def test_tasks_that_differ_in_more_than_strength_are_series_of_their_own():
    tasks = [
        {"memory": {"family": "airy", "width": width, "h95": [12, 16, 20, 24]}, "length": length}
        for width, length in [(1.0, 48), (2.0, 48), (2.0, 64)]
    ]
    study = Study.parse({"name": "s", "tasks": tasks, "models": [{"mixer": "gru"}]})
    assert [series.title for series in series_of(study.tasks)] == [
        "airy(width=1), length=48",
        "airy(width=2), length=48",
        "airy(width=2)",
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"tasks": [{"memory": {"family": "impulse", "h95": [2, 4, 8]}, "length": 16}]},
            "at least 4 strengths",
        ),
        (
            {"tasks": [{"memory": {"family": "exponential", "alpha": [3.0, 2.9, 0.5, 0.1]}, "length": 16}]},
            "same H95 = 1",
        ),
        ({"tasks": [{"kind": "mqar", "length": 16, "num_pairs": 2, "vocabulary": 8}]}, "has none"),
        ({"learning_rates": [0.1, 0.01]}, "exclude each other"),
        ({"boundary": {"threshold": 1.5}}, "boundary.threshold"),
        ({"boundary": {"budget": 2}}, "boundary.budget"),
        ({"boundary": {"treshold": 0.5}}, "did you mean 'threshold'"),
    ],
)
def test_a_boundary_that_makes_no_sense_is_refused(fields, message):
    study = {
        "name": "s",
        "tasks": [{"memory": {"family": "impulse", "h95": [2, 4, 8, 12]}, "length": 16}],
        "models": [{"mixer": "gru"}],
        "boundary": {},
    }
    with pytest.raises(ConfigError, match=message):
        Study.parse(study | fields)
