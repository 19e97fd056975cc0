import math
from itertools import product

import numpy as np
import pytest

from recollect.report.intervals import interval_over_seeds
from recollect.report.results import OVER_SEEDS, OVER_TEST_SEQUENCES, results


def test_the_learning_rate_is_chosen_by_validation_and_never_by_the_test_error(make_record):
    records = [
        make_record(rate=1e-2, validation_nmse=0.2, nmse=0.9),
        make_record(rate=1e-3, validation_nmse=0.3, nmse=0.1),
    ]
    (result,) = results(records)
    assert result.learning_rate == 1e-2
    assert result.value == 0.9
    assert result.num_rates == 2


def test_the_rate_is_chosen_by_the_median_over_seeds_and_not_by_a_lucky_one(make_record):
    lucky = [
        make_record(seed=seed, rate=1e-2, validation_nmse=error)
        for seed, error in enumerate((0.01, 0.8, 0.9))
    ]
    steady = [make_record(seed=seed, rate=1e-3, validation_nmse=0.3) for seed in range(3)]
    (result,) = results(lucky + steady)
    assert result.learning_rate == 1e-3


def test_a_rate_without_a_validation_error_loses_and_equal_rates_go_to_the_smaller(make_record):
    records = [
        make_record(rate=rate, validation_nmse=error)
        for rate, error in ((1e-1, None), (1e-2, 0.4), (1e-3, 0.4))
    ]
    assert results(records)[0].learning_rate == 1e-3


def test_one_seed_has_an_interval_over_test_sequences(make_record):
    (result,) = results([make_record(nmse=0.5, nmse_se=0.1)])
    assert (result.interval_kind, result.num_seeds) == (OVER_TEST_SEQUENCES, 1)
    assert (result.low, result.high) == pytest.approx((0.5 - 0.196, 0.5 + 0.196), abs=1e-12)


def test_an_error_is_never_negative(make_record):
    assert results([make_record(nmse=0.01, nmse_se=0.1)])[0].low == 0


def test_several_seeds_have_the_median_and_an_interval_over_seeds(make_record):
    errors = (0.4, 0.1, 0.3, 0.2)
    (result,) = results([make_record(seed=seed, nmse=error) for seed, error in enumerate(errors)])
    assert result.interval_kind == OVER_SEEDS
    assert (result.value, result.low, result.high) == pytest.approx((0.25, 0.1, 0.4))
    assert result.coverage == 1 - 2 / 2**4


@pytest.mark.parametrize("count", range(2, 12))
def test_the_stated_coverage_is_the_share_of_sign_patterns_that_enclose_the_median(count):
    # Each of `count` values lies below the median or above, with equal probability: enumerate all cases.
    values = np.arange(count, dtype=float)
    low, high, coverage = interval_over_seeds(values.tolist())
    enclosed = [low < below - 0.5 < high for below in map(sum, product((0, 1), repeat=count))]
    assert coverage == pytest.approx(np.mean(enclosed), abs=1e-12)


@pytest.mark.parametrize(("count", "rank"), [(5, 1), (6, 1), (8, 1), (9, 2), (11, 2), (12, 3)])
def test_the_interval_is_the_narrowest_that_covers_95_percent(count, rank):
    low, high, coverage = interval_over_seeds(list(range(1, count + 1)))
    assert (low, high) == (rank, count + 1 - rank)
    assert (coverage >= 0.95) == (count >= 6)


def test_the_coverage_holds_for_skewed_errors():
    draws = np.random.default_rng(0).lognormal(size=(4000, 7))
    held = [low <= 1 <= high for low, high, _ in (interval_over_seeds(row.tolist()) for row in draws)]
    assert np.mean(held) == pytest.approx(interval_over_seeds([0.0] * 7)[2], abs=0.01)


def test_the_best_is_the_lowest_of_its_task_and_ties_overlap_its_interval(make_record):
    errors = {"A": (0.10, 0.02), "B": (0.13, 0.02), "C": (0.30, 0.02), "D": (0.90, 0.50)}
    records = [make_record(model, nmse=nmse, nmse_se=se) for model, (nmse, se) in errors.items()]
    records.append(make_record("C", "airy", 4.0, nmse=0.7))
    found = {(result.model, result.family): result for result in results(records)}
    assert [key for key, result in found.items() if result.best] == [("A", "impulse"), ("C", "airy")]
    assert {key for key, result in found.items() if result.tied} == {("B", "impulse"), ("D", "impulse")}


def test_diverged_runs_count_with_their_last_good_error(make_record):
    records = [make_record(seed=seed, nmse=error) for seed, error in ((0, 0.1), (1, 0.2))]
    records.append(make_record(seed=2, status="diverged", nmse=0.6))
    (result,) = results(records)
    assert (result.num_diverged, result.num_seeds, result.value, result.high) == (1, 3, 0.2, 0.6)


def test_diverged_runs_without_an_error_are_infinitely_bad(make_record):
    records = [make_record(seed=0, nmse=0.1)]
    records += [make_record(seed=seed, status="diverged", nmse=None) for seed in (1, 2)]
    (result,) = results(records)
    assert math.isinf(result.value)
    assert not result.best


def test_the_best_accuracy_is_the_highest_and_its_interval_stays_within_bounds(make_scored_record):
    accuracies = {"A": 0.5, "B": 0.997, "C": 0.995}
    found = results([make_scored_record(model=model, accuracy=value) for model, value in accuracies.items()])
    assert [result.model for result in found] == ["B", "C", "A"]
    assert [result.best for result in found] == [True, False, False]
    assert [result.tied for result in found] == [False, True, False]
    assert found[0].high == 1
    assert found[1].low == pytest.approx(0.995 - 1.96 * 0.002, abs=1e-12)


def test_the_rate_of_an_accuracy_is_chosen_by_its_validation_error(make_scored_record):
    records = [
        make_scored_record(rate=1e-2, validation_error=0.2, accuracy=0.1),
        make_scored_record(rate=1e-3, validation_error=0.3, accuracy=0.9),
    ]
    (result,) = results(records)
    assert (result.learning_rate, result.value) == (1e-2, 0.1)


def test_seeds_that_diverged_without_an_accuracy_are_the_worst_of_all(make_scored_record):
    records = [make_scored_record(seed=0, accuracy=0.4)]
    records += [make_scored_record(seed=seed, status="diverged", accuracy=None) for seed in (1, 2)]
    other = make_scored_record(model="attention", accuracy=0.0)
    found = results([*records, other])
    assert [(result.model, result.value, result.best) for result in found] == [
        ("attention", 0.0, True),
        ("rls", -math.inf, False),
    ]
    assert not found[1].has_value


def test_success_is_the_share_of_seeds_above_99_percent(make_scored_record):
    accuracies = (0.2, 0.991, 1.0)
    steps = (None, 300, 200)
    records = [
        make_scored_record(seed=seed, accuracy=accuracy, steps_to_solve=at)
        for seed, (accuracy, at) in enumerate(zip(accuracies, steps, strict=True))
    ]
    (result,) = results(records)
    assert result.success == pytest.approx(2 / 3)
    assert result.solved == "2/3"
    assert result.steps_to_solve == 250
    assert (result.num_parameters, result.state_bytes, result.guess) == (9000, 1024, 0.25)
    (alone,) = results(records[:1])
    assert (alone.success, alone.solved) == (0, None)


def test_scores_that_nothing_solves_have_no_success(make_record, make_scored_record):
    for result in results([make_record(), make_scored_record("text"), make_scored_record("capacity")]):
        assert (result.success, result.solved) == (None, None)


def test_untrained_layers_have_no_learning_rate_and_count_every_seed(make_scored_record):
    records = [
        make_scored_record("capacity", seed=seed, capacity=value) for seed, value in enumerate((1, 2, 4))
    ]
    (result,) = results(records)
    assert (result.learning_rate, result.num_rates, result.num_seeds) == (None, 0, 3)
    assert (result.value, result.low, result.high) == (2, 1, 4)
    assert not result.is_trained
    assert not result.still_improving


def test_a_score_without_a_standard_error_has_no_interval(make_scored_record):
    (result,) = results([make_scored_record("capacity")])
    assert (result.low, result.high, result.interval_kind, result.coverage) == (None, None, None, None)


@pytest.mark.parametrize(("censored", "bound"), [((0, 0, 1), False), ((0, 1, 1), True), ((0, 1), True)])
def test_a_median_capacity_beyond_the_largest_load_is_a_lower_bound(make_scored_record, censored, bound):
    records = [
        make_scored_record(
            "capacity", seed=seed, capacity=4.0 if is_censored else 2.0, capacity_censored=is_censored
        )
        for seed, is_censored in enumerate(map(bool, censored))
    ]
    assert results(records)[0].at_least is bound


def test_equal_scores_are_best_together(make_scored_record):
    found = results([make_scored_record("capacity", model, capacity=4.0) for model in ("A", "B")])
    assert [(result.best, result.tied) for result in found] == [(True, False)] * 2


def test_criteria_stand_together_and_their_tasks_go_as_they_come(make_record, make_scored_record):
    records = [
        make_scored_record("capacity"),
        make_scored_record(setting=16),
        make_record(),
        make_scored_record(setting=4),
    ]
    assert [(result.criterion, result.facts.get("num_pairs")) for result in results(records)] == [
        ("nmse", None),
        ("accuracy", 16),
        ("accuracy", 4),
        ("capacity", None),
    ]


def test_failed_runs_are_counted_and_left_out(make_record):
    (result,) = results([make_record(seed=0, nmse=0.3), make_record(seed=1, status="failed")])
    assert (result.num_failed, result.num_seeds, result.value) == (1, 1, 0.3)
    (lost,) = results([make_record(status="failed")])
    assert (lost.value, lost.learning_rate, lost.best, lost.tied) == (None, None, False, False)


def test_the_longer_test_is_missing_where_it_is_not_defined(make_record):
    found = {
        result.model: result
        for result in results([make_record("Transformer"), make_record("S4D", nmse_long=0.4)])
    }
    assert found["Transformer"].value_long is None
    assert found["S4D"].value_long == 0.4


def test_tasks_go_from_short_to_long_memory_within_their_family(records):
    tasks = list(dict.fromkeys(result.task for result in results(reversed(records))))
    assert [task for task in tasks if task.startswith("exp")] == [
        f"exponential(alpha={alpha})" for alpha in (0.5, 0.1, 0.05)
    ]
    families = list(dict.fromkeys(task.partition("(")[0] for task in tasks))
    assert families == ["exponential", "polynomial", "impulse", "airy"]
