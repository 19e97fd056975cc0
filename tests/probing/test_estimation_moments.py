"""Sums of lagged products against the explicit matrix of lagged inputs."""

import itertools

import numpy as np
import pytest

from recollect.probing.estimation.memory_beyond import earlier_inputs
from recollect.probing.estimation.moments import lagged_moments, lagged_products

SPANS = ((0, 19), (19, 22), (22, 57))
LAGS = 5


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    return rng.normal(size=(57, 3)) + 0.5, rng.normal(size=57) - 2.0, rng.normal(size=(57, 2))


def explicit(inputs, spans, lags):
    rows = [t for start, stop in spans for t in range(start + lags - 1, stop)]
    return rows, np.array(
        [[inputs[t - s, i] for i in range(inputs.shape[1]) for s in range(lags)] for t in rows]
    )


@pytest.mark.parametrize("spans", [((0, 57),), SPANS, ((3, 11), (20, 57))])
@pytest.mark.parametrize("lags", [1, 2, LAGS])
def test_sums_are_those_of_the_explicit_matrix_and_no_sequence_reads_another(data, spans, lags):
    inputs, target, free = data
    rows, matrix = explicit(inputs, spans, lags)
    partners = np.column_stack([target, np.ones(57), free])[rows]
    found = lagged_moments(inputs, target, spans, lags, free)
    np.testing.assert_allclose(found.gram, matrix.T @ matrix, atol=1e-10)
    np.testing.assert_allclose(found.cross, matrix.T @ partners, atol=1e-10)
    np.testing.assert_allclose(found.inner, partners.T @ partners, atol=1e-10)
    assert found.count == len(rows)
    np.testing.assert_allclose(lagged_products(inputs, free, spans, lags), matrix.T @ free[rows], atol=1e-10)


def test_a_shift_of_time_by_one_is_exact_over_many_lags_and_rows():
    rng = np.random.default_rng(2)
    inputs, lags = rng.normal(size=(3000, 2)).cumsum(0) / 50, 64
    _, matrix = explicit(inputs, ((0, 3000),), lags)
    found = lagged_moments(inputs, inputs[:, 0], ((0, 3000),), lags).gram
    np.testing.assert_allclose(found, matrix.T @ matrix, rtol=1e-10)


def test_centring_projects_out_the_intercept_and_the_free_regressors(data):
    inputs, target, free = data
    rows, matrix = explicit(inputs, SPANS, LAGS)
    beside = np.column_stack([np.ones(len(rows)), free[rows]])
    away = np.eye(len(rows)) - beside @ np.linalg.pinv(beside)
    equations = lagged_moments(inputs, target, SPANS, LAGS, free).centred()
    np.testing.assert_allclose(equations.gram, matrix.T @ away @ matrix, atol=1e-10)
    np.testing.assert_allclose(equations.cross, matrix.T @ away @ target[rows], atol=1e-10)
    assert equations.energy == pytest.approx(target[rows] @ away @ target[rows], abs=1e-10)
    assert equations.degrees == len(rows) - 3


def test_sums_of_a_part_can_be_taken_off(data):
    inputs, target, _ = data
    whole = lagged_moments(inputs, target, SPANS, LAGS)
    rest = whole - lagged_moments(inputs, target, ((22, 57),), LAGS)
    other = lagged_moments(inputs, target, SPANS[:2], LAGS)
    np.testing.assert_allclose(rest.gram, other.gram, atol=1e-10)
    np.testing.assert_allclose(rest.inner, other.inner, atol=1e-10)
    assert rest.count == other.count


def test_earlier_inputs_are_means_over_blocks_of_lags_beyond_those_estimated():
    inputs = np.random.default_rng(3).normal(size=(90, 2))
    spans, lags = ((0, 30), (30, 90)), 3
    columns = earlier_inputs(inputs, spans, lags)
    reach = min(8 * lags, 60 // 3)
    edges = np.unique(np.geomspace(lags, reach, 9).round().astype(int))
    assert columns.shape == (90, 2 * (len(edges) - 1))
    for t, start in ((29, 0), (33, 30), (80, 30)):
        past = [inputs[t - s] if t - s >= start else np.zeros(2) for s in range(reach)]
        blocks = [np.mean(past[near:far], axis=0) for near, far in itertools.pairwise(edges)]
        np.testing.assert_allclose(columns[t], np.stack(blocks, axis=1).ravel(), atol=1e-12)
