"""The estimator: its conventions, its errors, what it recovers."""

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from recollect.core import ConfigError
from recollect.probing.estimation import PRIORS, MemoryEstimator
from recollect.probing.estimation.records import read_records

LAGS = 12


def two_inputs(n=700, noise=0.3):
    rng = np.random.default_rng(11)
    table = pd.DataFrame(
        {"flow": rng.normal(size=n), "heat": lfilter([1.0], [1.0, -0.7], rng.normal(size=n))}
    )
    memory = np.stack([2 * 0.6 ** np.arange(LAGS), np.where(np.arange(LAGS) == 3, -1.0, 0.0)], axis=1)
    parts = [lfilter(memory[:, i], [1.0], table.iloc[:, i]) for i in range(2)]
    target = pd.Series(sum(parts) + 5 + noise * rng.normal(size=n), name="level")
    return table, target, memory


@pytest.fixture(scope="module")
def fitted():
    table, target, memory = two_inputs()
    return MemoryEstimator(LAGS).fit(table, target), table, target, memory


def test_memories_of_two_inputs_are_recovered_with_their_intercept_and_noise(fitted):
    estimate, _, target, memory = fitted
    assert estimate.memory_.shape == (LAGS, 2)
    assert np.linalg.norm(estimate.memory_ - memory) < 0.05 * np.linalg.norm(memory)
    assert np.mean((estimate.lower_ <= memory) & (memory <= estimate.upper_)) > 0.85
    assert estimate.intercept_ == pytest.approx(5, abs=0.1)
    assert estimate.noise_variance_ == pytest.approx(0.09, rel=0.15)
    assert estimate.noise_nmse_ == pytest.approx(0.09 / target.var(), rel=0.15)
    assert estimate.linear_share_ == pytest.approx(1 - estimate.noise_nmse_, abs=0.02)
    low, high = estimate.linear_share_interval_
    assert low < estimate.linear_share_ < high <= 1
    assert list(estimate.feature_names_in_) == ["flow", "heat"]
    assert list(estimate.delay_) == [0, 3]
    assert (estimate.n_features_in_, estimate.n_samples_, estimate.n_segments_) == (2, 700 - LAGS + 1, 1)
    assert estimate.remainder_.p_value > 0.01
    assert estimate.warnings_ == []


def test_predictions_are_the_convolution_and_missing_where_the_past_is_not_known(fitted):
    estimate, table, target, _ = fitted
    groups = np.repeat(["a", "b"], [300, 400])
    predicted = estimate.predict(table, groups=groups)
    for t in (299, 320, 699):
        past = table.to_numpy()[t - LAGS + 1 : t + 1][::-1]
        assert predicted[t] == pytest.approx(estimate.intercept_ + (past * estimate.memory_).sum(), abs=1e-10)
    missing = np.flatnonzero(np.isnan(predicted))
    np.testing.assert_array_equal(missing, [*range(LAGS - 1), *range(300, 300 + LAGS - 1)])
    known = ~np.isnan(predicted)
    left = target[known] - predicted[known]
    share = 1 - np.square(left).sum() / np.square(target[known] - target[known].mean()).sum()
    assert estimate.score(table, target, groups=groups) == pytest.approx(share, abs=1e-12)


def test_draws_are_a_cloud_about_the_memory_that_a_seed_repeats(fitted):
    estimate, *_ = fitted
    draws = estimate.draws(3000, seed=3)
    assert draws.shape == (3000, LAGS, 2)
    np.testing.assert_array_equal(draws, estimate.draws(3000, seed=3))
    np.testing.assert_allclose(draws.std(0), estimate.standard_errors_, rtol=0.2)


def test_input_covariance_is_that_of_later_and_earlier_rows(fitted):
    estimate, table, _, _ = fitted
    centred = table.to_numpy() - table.to_numpy().mean(0)
    for lag in (0, 1, 4):
        expected = centred[lag:].T @ centred[: len(centred) - lag] / len(centred)
        np.testing.assert_allclose(estimate.input_covariance_[lag], expected, atol=1e-10)


def test_results_do_not_depend_on_units_or_on_added_constants():
    table, target, _ = two_inputs(n=300)
    plain = MemoryEstimator(LAGS, prior="dc").fit(table, target)
    scaled = MemoryEstimator(LAGS, prior="dc").fit(table * [100.0, 0.01] + [3.0, -7.0], 1e3 * target + 1e4)
    # The search for hyperparameters ends at a tolerance, and rounding may end it one step later.
    assert np.all(np.abs(scaled.memory_ * [0.1, 1e-5] - plain.memory_) < 0.1 * plain.standard_errors_)
    np.testing.assert_allclose(scaled.standard_errors_ * [0.1, 1e-5], plain.standard_errors_, rtol=0.1)


def test_groups_and_gaps_are_never_bridged():
    table, target, _ = two_inputs(n=300)
    times = np.arange(300.0)
    times[140:] += 5
    broken = table.copy()
    by_time = MemoryEstimator(LAGS, prior="dc").fit(broken, target, times=times)
    by_group = MemoryEstimator(LAGS, prior="dc").fit(broken, target, groups=np.arange(300) >= 140)
    np.testing.assert_array_equal(by_time.memory_, by_group.memory_)
    assert by_time.n_segments_ == 2
    assert by_time.n_samples_ == 300 - 2 * (LAGS - 1)


def test_dates_of_months_are_even_and_a_missing_month_is_a_gap():
    months = pd.date_range("2000-01-01", periods=40, freq="MS")
    assert read_records(np.arange(40.0), times=months).spans == ((0, 40),)
    assert read_records(np.arange(39.0), times=months.delete(20)).spans == ((0, 20), (20, 39))


@pytest.mark.parametrize("prior", list(PRIORS))
def test_every_prior_can_be_asked_for(prior):
    table, target, memory = two_inputs(n=250)
    estimate = MemoryEstimator(LAGS, prior=prior, noise="white", delay=(0, 3)).fit(table, target)
    names = {prior, f"delayed {prior}"}
    assert set(estimate.prior_.split(", ")) <= names
    assert set(estimate.evidence_) <= names
    assert np.linalg.norm(estimate.memory_ - memory) < 0.2 * np.linalg.norm(memory)
    assert set(estimate.hyperparameters_) == {"flow", "heat"}


def test_coloured_noise_is_found_and_filtered_out():
    rng = np.random.default_rng(12)
    x = rng.normal(size=1500)
    memory = 0.8 ** np.arange(20)
    noise = lfilter([1.0], [1.0, -0.9], rng.normal(size=1500))
    y = lfilter(memory, [1.0], x) + noise
    auto = MemoryEstimator(20, prior="ridge", delay=0).fit(x, y)
    white = MemoryEstimator(20, prior="ridge", delay=0, noise="white").fit(x, y)
    errors = [np.linalg.norm(one.memory_[:, 0] - memory) for one in (auto, white)]
    assert errors[0] < 0.7 * errors[1]
    assert auto.noise_variance_ == pytest.approx(noise.var(), rel=0.2)
    assert auto.noise_autocorrelation_[1] == pytest.approx(0.9, abs=0.05)
    assert auto.standard_errors_.mean() < 0.85 * white.standard_errors_.mean()


def test_memory_beyond_the_lags_is_said_and_does_not_look_like_noise():
    rng = np.random.default_rng(13)
    x = rng.normal(size=2000)
    memory = (1 + np.arange(400.0)) ** -0.7
    y = lfilter(memory, [1.0], x) + 0.05 * rng.normal(size=2000)
    estimate = MemoryEstimator(24).fit(x, y)
    assert any("goes on beyond the 24 lags" in sentence for sentence in estimate.warnings_)
    left = y - lfilter(memory[:24], [1.0], x)
    assert estimate.noise_variance_ == pytest.approx(left[24:].var(), rel=0.1)
    least_squares = np.sqrt(24 * left[24:].var() / 2000)
    assert np.linalg.norm(estimate.memory_[:, 0] - memory[:24]) < least_squares


@pytest.mark.parametrize(("decay", "least", "most"), [(0.4, 8, 16), (0.85, 32, 64)])
def test_as_many_lags_as_the_data_ask_for(decay, least, most):
    rng = np.random.default_rng(14)
    x = rng.normal(size=900)
    y = lfilter([1.0], [1.0, -decay], x) + 0.3 * rng.normal(size=900)
    assert least <= MemoryEstimator().fit(x, y).lags_ <= most


def test_conventions_of_scikit_learn():
    base = pytest.importorskip("sklearn.base")
    estimate = MemoryEstimator(5, prior="tc", confidence=0.9)
    twin = base.clone(estimate)
    assert twin is not estimate
    assert twin.get_params() == estimate.get_params()
    assert estimate.set_params(lags=7) is estimate
    assert repr(estimate) == "MemoryEstimator(lags=7, prior='tc', confidence=0.9)"
    with pytest.raises(ConfigError, match="did you mean 'lags'"):
        estimate.set_params(lag=3)
    with pytest.raises(ConfigError, match="call `fit` first"):
        estimate.predict(np.zeros(9))


def bad(column="a", row=7, value=np.nan):
    table = pd.DataFrame({"a": np.arange(50.0) % 7, "b": np.arange(50.0) ** 1.5}).astype(object)
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "arguments", "options", "message"),
    [
        (bad(), {}, {}, "row 7 of column `a` is nan"),
        (bad("b", 9, "wet"), {}, {}, "row 9, column `b`, got 'wet'"),
        (bad(value=1.0).assign(a=4.0), {}, {}, "column `a` is constant"),
        (bad(value=1.0), {"times": [*range(20), *range(19, 49)]}, {}, "row 20 is 19, after 19"),
        (bad(value=1.0), {"groups": [1, 2]}, {}, "expected 50 rows of `groups`"),
        (bad(value=1.0), {}, {"lags": 45}, "give at least 5 rows more"),
        (bad(value=1.0).iloc[:20], {}, {}, "expected at least 30 rows without a gap, got 20"),
        (bad(value=1.0), {}, {"lags": 0}, "at least 1 lag"),
        (bad(value=1.0), {}, {"prior": "dcc"}, "did you mean 'dc'"),
        (bad(value=1.0), {}, {"noise": "pink"}, "Possible: auto, white, ar"),
        (bad(value=1.0), {}, {"confidence": 95.0}, "0 < confidence < 1"),
        (bad(value=1.0), {}, {"delay": (1, 2, 3)}, "one delay or 2"),
        (bad(value=1.0), {}, {"lags": 4, "delay": 4}, "delays from 0 to 3"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_its_place(table, arguments, options, message):
    target = np.random.default_rng(15).normal(size=len(table))
    with pytest.raises(ConfigError, match=message):
        MemoryEstimator(**options).fit(table, target, **arguments)


def test_scikit_learn_cross_validates_it():
    model_selection = pytest.importorskip("sklearn.model_selection")
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 1))
    y = np.convolve(x[:, 0], [1.0, 0.5, 0.25])[:300] + 0.1 * rng.normal(size=300)
    scores = model_selection.cross_val_score(MemoryEstimator(lags=4, prior="tc", delay=0), x, y, cv=2)
    assert scores.min() > 0.97
