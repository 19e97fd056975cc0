import numpy as np
import pytest

from recollect.report.datasets import MAX_POINTS, SMALLEST_ERROR, SMALLEST_MISS, datasets, rounded
from recollect.report.results import results


@pytest.fixture(name="data")
def data_fixture(records):
    return datasets(records, results(records))


def test_one_run_is_shown_per_model_and_task(data, records):
    pairs = [(row["task"], row["model"]) for row in data["learned"]]
    ended = {(record.task, record.model) for record in records if record.status != "failed"}
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == ended


def test_the_run_shown_is_the_lowest_seed_at_the_chosen_rate(make_record):
    records = [
        make_record(seed=seed, rate=rate, validation_nmse=rate) for rate in (1e-2, 1e-3) for seed in (2, 1)
    ]
    shown = datasets(records, results(records))["curve"][0]
    expected = make_record(seed=1, rate=1e-3).series["curve"]["train_nmse"]
    np.testing.assert_allclose(shown["train_loss"], expected, rtol=1e-3)


def test_the_shares_of_power_add_up_to_one(data):
    for row in data["truth"]:
        assert sum(row["share"]) == pytest.approx(1, abs=1e-3)


def test_missed_shares_lie_under_what_there_is_to_lose(data):
    # The fake models respond too little at every lag, so they can miss at most all of it.
    share = {row["task"]: np.array(row["share"]) for row in data["truth"]}
    for row in data["learned"]:
        assert (np.array(row["missed"]) <= share[row["task"]] * 1.001 + 1e-9).all()


def test_a_thinned_impulse_keeps_its_peak(make_record):
    record = make_record()
    lags, peak = 1000, 733
    lag = {name: [0.0] * lags for name in ("true", "learned", "learned_se", "missed")}
    lag |= {"lag": list(range(lags)), "true": [float(s == peak) for s in range(lags)]}
    lag["learned"] = [0.5 * (s == 401) for s in range(lags)]
    record = record.model_copy(update={"series": {"lag": lag}})
    data = datasets([record], results([record]))
    assert len(data["truth"][0]["lag"]) == MAX_POINTS
    assert {peak, 401} <= set(data["truth"][0]["lag"])
    assert max(data["truth"][0]["true"]) == 1


def test_logarithmic_axes_get_no_zero(make_record):
    record = make_record(nmse=0.0, nmse_se=0.0)
    row = datasets([record], results([record]))["summary"][0]
    assert row["value"] == 0
    assert row["shown_low"] == SMALLEST_ERROR


def test_scores_of_which_more_is_better_are_drawn_as_they_are(make_scored_record):
    record = make_scored_record(accuracy=0.0, accuracy_se=0.0)
    row = datasets([record], results([record]))["summary"][0]
    assert (row["value"], row["shown_value"]) == (0, 0)


def test_a_curve_reads_alike_under_its_old_and_its_new_names(make_record):
    old = make_record()
    columns = {
        "step": old.series["curve"]["step"],
        "train_loss": old.series["curve"]["train_nmse"],
        "validation_error": old.series["curve"]["validation_nmse"],
    }
    new = old.model_copy(update={"series": old.series | {"curve": columns}})
    shown = [datasets([record], results([record]))["curve"] for record in (old, new)]
    assert shown[0] == shown[1] != []


def test_an_accuracy_of_one_stays_on_the_logarithmic_axis_of_the_curves(make_scored_record):
    record = make_scored_record()
    row = datasets([record], results([record]))["curve"][0]
    assert row["train_loss"] == [None, 2.0, 0.1]
    assert row["validation_error"] == [1.0, 0.5, SMALLEST_MISS]


def test_positions_without_errors_of_their_own_are_left_out(make_scored_record):
    record = make_scored_record("capacity")
    tracked = record.model_copy(update={"series": {"position": {"position": [0], "error": [0.1]}}})
    assert datasets([tracked], results([tracked]))["position"] == []


def test_what_is_not_finite_is_null():
    assert [rounded(value) for value in (None, float("inf"), float("nan"), 0.123456)] == [
        None,
        None,
        None,
        0.1235,
    ]
