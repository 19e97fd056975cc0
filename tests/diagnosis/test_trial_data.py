from dataclasses import replace

import numpy as np
import pytest
import torch

from recollect.diagnosis.trial_data import TrialData

LAGS, SCALES = 16, (1.0, 10.0)


@pytest.fixture(scope="module")
def memory():
    lags = np.arange(LAGS)
    return np.stack([0.6**lags, 0.05 * (lags == 4)], axis=1)


@pytest.fixture(scope="module")
def series(simulated, memory):
    return simulated(memory, rows=916, decibels=15, scales=SCALES)


@pytest.fixture(scope="module")
def estimator(least_squares, series):
    return least_squares(series, LAGS)


def test_the_memory_of_the_training_part_is_in_the_units_of_the_task(series, memory, estimator, tmp_path):
    data = TrialData.of(series, estimator, 0.05, tmp_path)
    assert data.memory is not None
    train = slice(0, int(0.6 * 900))
    scale = series.inputs[train].std(0, ddof=1) / series.target[train].std(ddof=1)
    lags = len(data.memory.values)
    # The standard error of a tap is below 0.01 in these units.
    expected = torch.tensor(memory[:lags] * scale)
    torch.testing.assert_close(data.memory.values, expected, rtol=0, atol=0.04)
    assert lags == LAGS
    variances = data.memory.autocovariance[0].diagonal()
    torch.testing.assert_close(variances, torch.ones(2, dtype=torch.float64), rtol=0.01, atol=0)


def test_what_training_starts_from_has_not_seen_the_later_parts(series, estimator, tmp_path):
    changed = series.target.copy()
    changed[int(0.6 * 900) :] *= -1
    found = []
    for one in (series, replace(series, target=changed)):
        data = TrialData.of(one, estimator, 0.05, tmp_path)
        assert data.memory is not None
        # The warm-up is in shares of the whole series' variance, and so are the lags that are kept.
        found.append(data.memory.values[:8])
    assert torch.equal(*found)


def test_the_noise_is_what_the_estimate_leaves_on_the_test_part(series, estimator, tmp_path):
    data = TrialData.of(series, estimator, 0.05, tmp_path)
    left = (series.target - estimator.predict(series.inputs))[int(0.8 * 900) :]
    assert data.noise.value == pytest.approx(np.square(left).mean() / series.target.var(), rel=1e-9)
    assert data.noise.value == pytest.approx(10**-1.5 / (1 + 10**-1.5), rel=0.3)
    assert data.noise.count == 180
    there = data.error_there(0.5)
    assert there == pytest.approx(0.5 - estimator.noise_nmse_ + data.noise.value, rel=1e-12)


@pytest.mark.parametrize("target", [1.0, 0.01])
def test_what_lies_before_a_window_adds_at_most_a_twentieth_of_the_error_asked_for(
    series, estimator, tmp_path, target
):
    energy = (estimator.memory_**2 * series.inputs.var(0)).sum(1) / series.target.var()
    warmup = TrialData.of(series, estimator, target, tmp_path).task.warmup
    assert energy[warmup:].sum() <= 0.05 * target
    assert warmup == 8 or energy[warmup - 1 :].sum() > 0.05 * target


def test_a_short_series_keeps_its_windows_short_and_has_no_memory_to_start_from(series, estimator, tmp_path):
    short = replace(
        series, inputs=series.inputs[:60], target=series.target[:60], segments=series.segments[:60]
    )
    data = TrialData.of(short, estimator, 1e-3, tmp_path)
    assert data.memory is None
    assert data.task.warmup == 60 // 8
