"""Shares and contrasts on data whose answer is known."""

import math

import numpy as np
import pytest

from recollect.report.factors import FACTORS, Row, contrasts, shares

STATES, LENGTHS, PAIRS = (8, 16, 32), (64, 128, 256, 512), (4, 8)


def grid(accuracy, seeds=(0, 1, 2), keep=lambda *_: True):
    rng = np.random.default_rng(0)
    return [
        Row(accuracy(state, length, pairs, rng), state, length, pairs, seed)
        for state in STATES
        for length in LENGTHS
        for pairs in PAIRS
        for seed in seeds
        if keep(state, length, pairs)
    ]


def values(found):
    return np.array([found.by_factor[factor].value for factor in FACTORS])


def lines(a, b, c, noise=0.0):
    def accuracy(state, length, pairs, rng):
        logs = a * math.log2(state) + b * math.log2(length) + c * math.log2(pairs)
        return 0.5 + logs + noise * rng.standard_normal()

    return accuracy


def test_a_factor_that_alone_decides_has_all_of_the_variance():
    for place, factor in enumerate(FACTORS):
        slopes = [0.0, 0.0, 0.0]
        slopes[place] = -0.1
        found = shares(grid(lines(*slopes)))
        np.testing.assert_allclose(values(found), np.eye(3)[place], atol=1e-12)
        assert found.by_factor[factor].low > 0.8


def test_shares_of_a_full_grid_are_those_of_independent_variances():
    slopes = np.array([0.05, -0.02, -0.1])
    variance = np.array([np.var(np.log2(levels)) for levels in (STATES, LENGTHS, PAIRS)])
    expected = slopes**2 * variance
    found = shares(grid(lines(*slopes)))
    np.testing.assert_allclose(values(found), expected / expected.sum(), atol=1e-12)
    assert found.explained.value == pytest.approx(1, abs=1e-12)


def test_shares_of_two_correlated_factors_have_the_closed_form():
    # Without the third factor the Shapley value is the mean of entering first and entering last.
    rows = grid(
        lines(0.0, -0.04, -0.1, noise=0.05), keep=lambda _s, length, pairs: not (length < 200 and pairs > 4)
    )
    x = np.log2([[row.length, row.num_pairs] for row in rows])
    y = np.array([row.accuracy for row in rows])
    state = np.log2([row.state for row in rows])

    def r_squared(*columns):
        design = np.column_stack([np.ones(len(y)), *columns])
        residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        return 1 - residual.var() / y.var()

    found = shares(rows)
    total = r_squared(x[:, 0], x[:, 1], state)
    assert found.explained.value == pytest.approx(total, abs=1e-12)
    # The states are balanced against both, so theirs is the same in every order.
    assert found.by_factor["state"].value == pytest.approx(r_squared(state), abs=1e-12)
    both, first, last = r_squared(*x.T), r_squared(x[:, 0]), r_squared(x[:, 1])
    assert found.by_factor["length"].value == pytest.approx((first + both - last) / 2, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_shares_add_up_to_r_squared_and_are_never_negative(seed):
    rng = np.random.default_rng(seed)
    rows = [
        Row(rng.random(), 2 ** rng.integers(1, 5), 2 ** rng.integers(4, 9), 2 ** rng.integers(1, 4), 0)
        for _ in range(25)
    ]
    found = shares(rows, draws=50)
    assert values(found).sum() == pytest.approx(found.explained.value, abs=1e-12)
    assert (values(found) >= -1e-12).all()
    assert 0 <= found.explained.value <= 1


def test_a_logit_is_explained_on_its_own_scale():
    def accuracy(state, _length, pairs, _rng):
        return 1 / (1 + (pairs / state) ** 2)

    rows = grid(accuracy)
    assert shares(rows, outcome="logit").explained.value == pytest.approx(1, abs=1e-9)
    assert shares(rows).explained.value < 0.95


def test_a_factor_with_one_value_explains_nothing():
    rows = grid(lines(0.1, 0.1, -0.1), keep=lambda _s, length, _p: length == 64)
    found = shares(rows)
    assert found.by_factor["length"].value == pytest.approx(0, abs=1e-12)
    assert found.explained.value == pytest.approx(1, abs=1e-12)


def test_without_variance_there_is_nothing_to_share():
    found = shares(grid(lambda *_: 1.0))
    assert math.isnan(found.explained.value)
    assert all(math.isnan(found.by_factor[factor].value) for factor in FACTORS)


def test_intervals_of_shares_hold_the_truth_and_shrink_with_noise():
    widths = []
    for noise in (0.02, 0.2):
        found = shares(grid(lines(0.05, -0.02, -0.1, noise=noise))).by_factor["num_pairs"]
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    assert widths[0] < widths[1]


def test_intervals_come_from_cells_too_where_every_cell_has_one_seed():
    rows = grid(lines(0.05, -0.02, -0.1, noise=0.05), seeds=(0,))
    share, change = shares(rows).by_factor["num_pairs"], contrasts(rows).length
    assert share.high - share.low > 0.05
    assert change.high - change.low > 0.01


def test_intervals_are_the_same_for_the_same_seed_only():
    rows = grid(lines(0.05, -0.02, -0.1, noise=0.05))
    assert shares(rows, seed=1) == shares(rows, seed=1)
    assert shares(rows, seed=1) != shares(rows, seed=2)
    assert contrasts(rows, seed=1) == contrasts(rows, seed=1)
    assert contrasts(rows, seed=1) != contrasts(rows, seed=2)


def test_contrasts_are_the_slopes_of_a_line():
    found = contrasts(grid(lines(0.05, -0.02, -0.1)))
    assert found.state.value == pytest.approx(0.05)
    assert found.length.value == pytest.approx(-0.02)
    assert found.num_pairs.value == pytest.approx(-0.1)
    assert found.difference.value == pytest.approx(0.08)
    assert found.difference.low == pytest.approx(0.08)


def test_contrasts_start_from_cells_that_have_both_neighbours():
    # 3 states, 3 lengths that have a longer one, 1 number of pairs that has a larger one.
    found = contrasts(grid(lines(0.05, -0.02, -0.1)))
    assert found.length.count == found.num_pairs.count == found.difference.count == 9
    assert found.state.count == 2 * len(LENGTHS) * len(PAIRS)


def test_levels_further_apart_than_two_count_per_doubling():
    rows = [Row(1 - 0.1 * math.log2(pairs), 8, length, pairs, 0) for length in (64, 512) for pairs in (2, 32)]
    assert contrasts(rows).num_pairs.value == pytest.approx(-0.1)
    assert contrasts(rows).length.value == pytest.approx(0)


def test_a_grid_without_both_neighbours_has_no_contrast():
    found = contrasts([Row(0.5, 8, length, 4, 0) for length in (64, 128)])
    assert found.length.count == 0
    assert math.isnan(found.length.value)
    assert math.isnan(found.difference.low)


def test_intervals_of_contrasts_cover_the_truth_at_their_rate():
    covered = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)

        def accuracy(state, length, pairs, _rng, rng=rng):
            return lines(0.05, -0.02, -0.1)(state, length, pairs, _rng) + 0.05 * rng.standard_normal()

        found = contrasts(grid(accuracy, seeds=range(6)), draws=200).length
        covered += found.low <= -0.02 <= found.high
    assert 85 <= covered <= 100


@pytest.mark.parametrize("function", [shares, contrasts])
def test_bad_rows_are_refused(function):
    with pytest.raises(ValueError, match="got none"):
        function([])
    with pytest.raises(ValueError, match="positive"):
        function([Row(0.5, 0, 64, 4, 0)])
