"""The statistics of a boundary: known curves, with and without noise."""

import math

import numpy as np
import pytest

from recollect.studies.boundary import Boundary, Point, estimate

STRENGTHS = [2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48]
THRESHOLD = 0.1


def logistic(centre, width, floor=-4.0, rise=3.5):
    """Log error against strength, and the strength at which it passes the threshold."""
    share = (math.log(THRESHOLD) - floor) / rise
    crossing = centre * (share / (1 - share)) ** width
    return lambda strength: floor + rise / (1 + (centre / strength) ** (1 / width)), crossing


def sampled(curve, rng, noise=0.0, num_seeds=lambda strength: 1, strengths=STRENGTHS):
    return [
        Point(strength, curve(strength) + noise * rng.normal(), seed)
        for strength in strengths
        for seed in range(num_seeds(strength))
    ]


def found(points, **options):
    return estimate(points, THRESHOLD, STRENGTHS[0], STRENGTHS[-1], **options)


@pytest.mark.parametrize("centre", [5.0, 9.7, 21.0])
@pytest.mark.parametrize("width", [0.15, 0.4, 0.8])
def test_a_logistic_without_noise_is_found(centre, width):
    curve, crossing = logistic(centre, width)
    boundary = found(sampled(curve, np.random.default_rng(0)))
    assert boundary.kind == "crosses"
    assert boundary.strength == pytest.approx(crossing, rel=1e-4)
    assert boundary.low < crossing < boundary.high


@pytest.mark.parametrize("num_seeds", [1, 3])
@pytest.mark.parametrize(("width", "noise"), [(0.1, 0.3), (0.3, 0.9)])
def test_the_interval_covers_the_true_boundary_as_often_as_it_says(num_seeds, width, noise):
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        curve, crossing = logistic(13 * math.exp(rng.uniform(-0.3, 0.3)), width)
        near = lambda strength, at=crossing: num_seeds if 0.7 < strength / at < 1.4 else 1  # noqa: E731
        boundary = found(sampled(curve, rng, noise, near), draws=200)
        hits += (boundary.low or 0) <= crossing <= (boundary.high or math.inf)
    assert hits >= 0.9 * 200


def test_more_noise_and_fewer_seeds_widen_the_interval():
    curve, _ = logistic(13, 0.5)

    def width(noise, seeds):
        boundaries = [
            found(sampled(curve, np.random.default_rng(i), noise, lambda strength: seeds)) for i in range(10)
        ]
        return np.mean([math.log((found.high or 48) / (found.low or 2)) for found in boundaries])

    assert width(0.2, 3) < width(0.8, 3) < width(0.8, 1)


def test_the_fitted_curve_never_falls_so_errors_that_fall_have_no_crossing():
    falling = [Point(strength, -1.0 - 0.1 * i, 0) for i, strength in enumerate(STRENGTHS)]
    assert found(falling).kind == "fails_everywhere"
    falling_below = [Point(strength, -3.0 - 0.1 * i, 0) for i, strength in enumerate(STRENGTHS)]
    assert found(falling_below).kind == "never_fails"


def test_errors_on_one_side_say_never_and_everywhere_with_the_open_side_unbounded():
    below = [Point(strength, math.log(0.01), 0) for strength in STRENGTHS]
    above = [Point(strength, math.log(0.5), 0) for strength in STRENGTHS]
    assert found(below) == Boundary("never_fails", None, 48.0, None)
    assert found(above) == Boundary("fails_everywhere", None, None, 2.0)


def test_nothing_is_said_of_an_end_that_was_not_measured():
    assert found([]).kind == "undecided"
    assert found([Point(8, -5.0, 0), Point(8, -5.0, 1)]).kind == "undecided"
    assert found([Point(2, -5.0, 0), Point(8, -5.0, 0)]).kind == "undecided"
    assert found([Point(8, -0.5, 0), Point(48, -0.5, 0)]).kind == "undecided"


def test_with_one_seed_the_interval_is_no_narrower_than_the_gap_in_which_the_data_change_sides():
    jump = [Point(strength, -6.0 if strength <= 11 else -0.5, 0) for strength in STRENGTHS]
    boundary = found(jump)
    assert 11 < boundary.strength < 15
    assert boundary.low <= 11
    assert boundary.high >= 15


def test_the_gap_of_errors_that_are_not_monotone_ends_at_the_first_failure():
    errors = dict(zip(STRENGTHS, [0.01, 0.01, 0.02, 0.3, 0.02, 0.4, 0.6, 0.6, 0.7, 0.7, 0.8], strict=True))
    boundary = found([Point(strength, math.log(error), 0) for strength, error in errors.items()])
    assert boundary.low <= 4
    assert boundary.kind == "crosses"


def test_runs_that_diverged_count_as_failures_and_no_more():
    curve, _ = logistic(13, 0.2)
    points = sampled(curve, np.random.default_rng(0))
    diverged = [p if p.strength < 27 else Point(p.strength, math.inf, p.seed) for p in points]
    one = [p if p.strength < 27 else Point(p.strength, 0.0, p.seed) for p in points]
    assert found(diverged) == found(one)


def test_how_far_beyond_the_threshold_an_error_lies_does_not_move_the_boundary():
    errors = [1e-9, 1e-7, 1e-5, 1e-5, 1e-4, 0.03, 0.2, 0.4, 0.5, 0.6, 0.6]
    tame = [max(error, THRESHOLD / 100) for error in errors]
    wild_points, tame_points = (
        [Point(strength, math.log(error), 0) for strength, error in zip(STRENGTHS, column, strict=True)]
        for column in (errors, tame)
    )
    assert found(wild_points) == found(tame_points)


def test_the_same_points_in_any_order_give_the_same_boundary():
    curve, _ = logistic(13, 0.3)
    points = sampled(curve, np.random.default_rng(5), 0.4, lambda strength: 2)
    assert found(points) == found(points[::-1]) == found(points)


def test_strengths_can_be_in_any_unit():
    curve, _ = logistic(13, 0.3)
    points = sampled(curve, np.random.default_rng(5), 0.4, lambda strength: 2)
    here = found(points)
    scaled = [Point(p.strength * 7, p.log_error, p.seed) for p in points]
    there = estimate(scaled, THRESHOLD, 14, 336)
    assert [there.strength, there.low, there.high] == pytest.approx(
        [7 * here.strength, 7 * here.low, 7 * here.high]
    )


@pytest.mark.parametrize(
    ("low", "high", "threshold", "message"),
    [
        (8, 4, 0.1, "low < high"),
        (0, 4, 0.1, "low < high"),
        (2, 4, 1.5, r"in \(0, 1\)"),
        (9, 99, 0.1, "outside"),
    ],
)
def test_a_range_or_threshold_that_makes_no_sense_is_refused(low, high, threshold, message):
    with pytest.raises(ValueError, match=message):
        estimate([Point(8, -1.0, 0)], threshold, low, high)
