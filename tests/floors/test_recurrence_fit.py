"""Constructed linear recurrences: as good as the best known, exact where they can be, not worse with m."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from recollect.core import ConfigError
from recollect.floors import Problem
from recollect.floors import variable_projection as vp
from recollect.floors.recurrence_fit import RecurrenceFit, fit_recurrences
from recollect.floors.starting_poles import near_register_poles
from recollect.memory import Airy, ExponentialSum, Impulse, Polynomial

SIZES = [1, 2, 4, 8]
HORIZON = 256
# Best fits known at horizon 256 with equal lag weights, to the figures given.
KNOWN = {
    "polynomial 1.1": (Polynomial(alpha=1.1), [5.95e-2, 6.4e-3, 3.2e-5, 6.7e-11]),
    "polynomial 0.6": (Polynomial(alpha=0.6), [2.15e-1, 1.54e-2, 4.1e-5, 5.9e-11]),
    "impulse": (Impulse(alpha=32), [0.989, 0.969, 0.921, 0.812]),
    "airy 32": (Airy(alpha=32), [0.854, 0.493, 8.75e-3, 1.12e-10]),
    "airy 96": (Airy(alpha=96), [0.984, 0.803, 0.669, 0.429]),
}


def errors(problem, fits):
    return [problem.nmse(fit.taps(problem.length)) for fit in fits]


def random_sum(seed, num_real, num_pairs):
    rng = np.random.default_rng(seed)
    moduli, angles = rng.uniform(0.5, 0.98, num_pairs), rng.uniform(0.3, 2.8, num_pairs)
    real = rng.uniform(0.2, 0.97, num_real) * rng.choice([-1, 1], num_real)
    poles = np.concatenate([real, moduli * np.exp(1j * angles)])
    residues = rng.standard_normal(len(poles)) + 1j * rng.standard_normal(len(poles)) * (poles.imag != 0)
    return ExponentialSum(torch.from_numpy(poles), torch.from_numpy(residues))


@pytest.mark.parametrize("kernel", KNOWN)
def test_fits_are_as_good_as_the_best_known(kernel):
    rho, best = KNOWN[kernel]
    problem = Problem(rho.values(HORIZON))
    for found, known in zip(errors(problem, fit_recurrences(problem, SIZES)), best, strict=True):
        assert found <= known


@pytest.mark.parametrize("weighting", ["uniform", "window"])
@pytest.mark.parametrize(("num_real", "num_pairs"), [(1, 0), (0, 1), (3, 0), (1, 2), (2, 2)])
def test_a_sum_of_as_many_exponentials_is_found_to_rounding(num_real, num_pairs, weighting):
    total = random_sum(num_real + 7 * num_pairs, num_real, num_pairs)
    problem = Problem(total.values(60), weighting)
    [fit] = fit_recurrences(problem, [total.num_states])
    assert problem.nmse(fit.taps(60)) <= 1e-20


def test_so_it_is_beside_a_feed_through():
    total = random_sum(2, 1, 1)
    taps = total.values(50)
    taps[0] += 2.5
    problem = Problem(taps)
    [fit] = fit_recurrences(problem, [3], feed_through=True)
    assert problem.nmse(fit.taps(50)) <= 1e-20
    assert fit.feed_through == pytest.approx(2.5, abs=1e-8)


def test_a_growing_mode_is_found_on_a_finite_horizon():
    problem = Problem(2.0 ** torch.arange(90, dtype=torch.float64))
    [fit] = fit_recurrences(problem, [1])
    assert problem.nmse(fit.taps(90)) <= 1e-20


@pytest.mark.parametrize("feed_through", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_errors_do_not_rise_with_the_size_and_sizes_are_kept(seed, feed_through):
    rho = torch.randn(20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    problem = Problem(rho, "window" if seed % 2 else "uniform")
    sizes = [1, 2, 5, 9, 20]
    fits = fit_recurrences(problem, sizes, feed_through=feed_through)
    found = errors(problem, fits)
    assert all(later <= before for before, later in pairwise(found))
    assert all(fit.num_states <= size for fit, size in zip(fits, sizes, strict=True))
    assert found[-1] == 0


def test_fits_come_in_the_order_asked_for():
    problem = Problem(Polynomial(alpha=0.8).values(32))
    two, four = fit_recurrences(problem, [2, 4])
    again = fit_recurrences(problem, [4, 2, 4])
    assert [fit.num_states for fit in again] == [four.num_states, two.num_states, four.num_states]


@pytest.mark.parametrize(("feed_through", "states"), [(False, 8), (True, 7)])
def test_a_shift_register_holds_a_delay_exactly(feed_through, states):
    problem = Problem(Impulse(alpha=7).values(40))
    few, enough = fit_recurrences(problem, [states - 1, states], feed_through=feed_through)
    assert problem.nmse(few.taps(40)) > 0.01
    assert problem.nmse(enough.taps(40)) == 0
    assert enough.num_states == states


def test_a_register_is_the_recurrence_of_a_nilpotent_matrix():
    taps = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    none = torch.empty(0, dtype=torch.complex128)
    shift, first = torch.diag(torch.ones(2, dtype=torch.float64), -1), torch.eye(3, dtype=torch.float64)[0]
    expected = [taps @ torch.linalg.matrix_power(shift, lag) @ first for lag in range(5)]
    fit = RecurrenceFit(ExponentialSum(none, none), 0.0, taps)
    torch.testing.assert_close(fit.taps(5), torch.stack(expected))
    torch.testing.assert_close(fit.taps(2), taps[:2])
    beside = RecurrenceFit(ExponentialSum(none, none), 9.0, taps, 1)
    assert beside.taps(5).tolist() == [9.0, 0.5, -1.0, 2.0, 0.0]
    assert beside.taps(2).tolist() == [9.0, 0.5]


def test_poles_stay_real_where_they_must():
    problem = Problem(Airy(alpha=20).values(40))
    restricted = fit_recurrences(problem, [2, 3], poles="real")
    assert not any(bool(fit.sum.poles.imag.any()) for fit in restricted)
    free = fit_recurrences(problem, [2, 3])
    for real, best in zip(errors(problem, restricted), errors(problem, free), strict=True):
        assert real > 1.2 * best


def test_the_weighting_of_lags_is_what_is_minimised():
    rho = Polynomial(alpha=0.6).values(128)
    uniform, window = Problem(rho), Problem(rho, "window")
    for_uniform, for_window = (fit_recurrences(problem, [3])[0].taps(128) for problem in (uniform, window))
    assert uniform.nmse(for_uniform) < 0.9 * uniform.nmse(for_window)
    assert window.nmse(for_window) < 0.9 * window.nmse(for_uniform)


def test_a_limit_on_moduli_is_kept():
    problem = Problem(torch.linspace(0.1, 1.0, 48, dtype=torch.float64))
    free, limited = (fit_recurrences(problem, [3], max_modulus=most)[0] for most in (None, 0.95))
    assert float(free.sum.poles.abs().max()) > 0.95
    assert float(limited.sum.poles.abs().max()) <= 0.95 + 1e-12
    assert problem.nmse(limited.taps(48)) > problem.nmse(free.taps(48))


@pytest.mark.parametrize("feed_through", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_the_shortest_horizons_are_fitted(length, feed_through):
    problem = Problem(torch.tensor([1.0, -0.5, 2.0, 0.3], dtype=torch.float64)[:length])
    fits = fit_recurrences(problem, [1, 2, 5], feed_through=feed_through)
    assert problem.nmse(fits[-1].taps(length)) <= 1e-28


def test_what_a_feed_through_holds_alone_needs_no_state():
    problem = Problem(Impulse(alpha=0).values(16))
    [fit] = fit_recurrences(problem, [2], feed_through=True)
    assert problem.nmse(fit.taps(16)) == 0


@pytest.mark.parametrize("sizes", [[0], [3, -1]])
def test_a_recurrence_without_states_is_refused(sizes):
    with pytest.raises(ConfigError, match="at least 1 state"):
        fit_recurrences(Problem(torch.ones(8, dtype=torch.float64)), sizes)


def test_a_limit_that_leaves_no_pole_is_refused():
    with pytest.raises(ConfigError, match="max_modulus > 0"):
        fit_recurrences(Problem(torch.ones(8, dtype=torch.float64)), [1], max_modulus=0.0)


POLES = np.array([0.5 + 0.3j, 0.9, 0.2, -0.4])


def test_columns_are_means_and_differences_of_powers_also_of_slow_and_equal_poles():
    lags = np.arange(700)
    pairs = vp.PolePairs.of(np.array([0.7 + 0.2j, 0.9996, 0.998, 0.6, 0.6]), real=False)
    p, q, _ = pairs.columns(len(lags))
    first, second, third = (0.7 + 0.2j) ** lags, 0.998**lags, 0.9996**lags
    np.testing.assert_allclose(p[0], first.real, atol=1e-12)
    np.testing.assert_allclose(q[0], first.imag / 0.2, atol=1e-12)
    double = lags * 0.6 ** (lags - 1.0)
    np.testing.assert_allclose(q[1], double, rtol=1e-10)
    np.testing.assert_allclose(p[2], (second + third) / 2, rtol=1e-12)
    np.testing.assert_allclose(q[2], (third - second) / 0.0016, rtol=1e-10)


def test_poles_survive_their_pairing():
    for real in (False, True):
        given = POLES[POLES.imag == 0] if real else POLES
        found = vp.PolePairs.of(given, real=real).poles()
        np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(given), atol=1e-15)


@pytest.mark.parametrize("real", [False, True])
def test_the_derivative_of_the_projection_is_exact(real):
    rng = np.random.default_rng(0)
    weights = np.sqrt(1 - np.arange(40) / 40)
    target = rng.standard_normal(40) * weights
    pairs = vp.PolePairs.of(POLES[POLES.imag == 0] if real else POLES, real=real)
    matrix, right = vp._linearised(vp.project(target, weights, pairs), weights)
    gradient = -2 * matrix.T @ right
    for place, step in enumerate(1e-6 * np.eye(pairs.num_states)):
        ahead, behind = (vp.project(target, weights, pairs.moved(x, 2.0)).cost for x in (step, -step))
        assert (ahead - behind) / 2e-6 == pytest.approx(gradient[place], rel=1e-6)


def test_real_poles_hold_a_delay_of_fewer_lags_than_states():
    # No two real poles are far apart here: without poles near 0 nothing better than 0.6 is found.
    problem = Problem(Impulse(alpha=8).values(32))
    found = errors(problem, fit_recurrences(problem, [8, 9, 10], poles="real", diagonal=True))
    assert found[0] > 0.1
    assert found[1] < 0.05
    assert found[2] < 0.005


def test_conjugate_poles_near_a_register_hold_a_delay():
    problem = Problem(Impulse(alpha=6).values(64))
    [fit] = fit_recurrences(problem, [8], diagonal=True)
    assert len(fit.register) == 0
    assert problem.nmse(fit.taps(64)) < 1e-12


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("num_states", [1, 2, 5, 8])
def test_poles_near_a_register_are_distinct_and_none_is_zero(num_states, real):
    pole = near_register_poles(num_states, 1e-6, real=real)
    both = np.unique(np.round(np.concatenate([pole, np.conj(pole)]), 12))
    assert len(both) == num_states
    assert 0 < abs(both).min() <= abs(both).max() < 1
    if not real:
        # Roots of plus or minus 1e-6.
        np.testing.assert_allclose(abs(both) ** num_states, 1e-6, rtol=1e-6)


@pytest.mark.parametrize("lag", [1, 6])
def test_residues_that_cancel_are_no_better_than_what_is_left_after_rounding(lag):
    problem = Problem(Impulse(alpha=lag).values(64), "window")
    [fit] = fit_recurrences(problem, [8], feed_through=True, poles="real", diagonal=True, max_modulus=0.999)
    error = problem.nmse(fit.taps(64))
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        change = torch.randn(len(fit.sum.poles), generator=generator, dtype=torch.float64) * 2**-52
        moved = ExponentialSum(fit.sum.poles * (1 + change), fit.sum.residues)
        assert problem.nmse(RecurrenceFit(moved, fit.feed_through).taps(64)) < 10 * error + 1e-6


def test_a_larger_size_asked_alone_is_not_worse_than_a_smaller_one():
    problem = Problem(Airy(alpha=60).values(80))
    alone = [fit_recurrences(problem, [size], poles="real", diagonal=True)[0] for size in (14, 16, 18)]
    assert all(later <= before for before, later in pairwise(errors(problem, alone)))
