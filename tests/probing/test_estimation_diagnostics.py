"""What an estimate says about its own limits: excitation, share out of sample, nonlinear remainder, noise."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from recollect.probing.estimation import MemoryEstimator
from recollect.probing.estimation.evidence import Tuned
from recollect.probing.estimation.excitation import measure_excitation
from recollect.probing.estimation.linear_share import linear_share
from recollect.probing.estimation.memory_fit import MemoryFit, fit_memory
from recollect.probing.estimation.mixture import Mixture
from recollect.probing.estimation.noise import fit_autoregression, power_gain, whitened
from recollect.probing.estimation.nonlinear_remainder import linear_part, nonlinear_features, remainder_test
from recollect.probing.estimation.posterior import posterior
from recollect.probing.estimation.prediction import filtered
from recollect.probing.estimation.priors import Prior
from recollect.probing.estimation.problem import pose
from recollect.probing.estimation.records import Records


def simulate(seed, shape, n=500, colour=0.0, noise=0.3):
    """A short memory, bent by `shape`, in noise."""
    rng = np.random.default_rng([9, seed])
    x = lfilter([1.0], [1.0, -colour], rng.normal(size=n + 50))[50:]
    output = shape(lfilter(0.7 ** np.arange(10), [1.0], x / x.std()))
    return x[:, None], output + noise * output.std() * rng.normal(size=n)


def remainder(inputs, target, lags=10):
    """With a prior of the right size that is not searched for, which makes hundreds of systems quick."""
    records = Records(inputs, target, ((0, len(target)),), ("x",))
    problem = pose(records, lags, np.zeros(0), goes_on=False)
    tuned = Tuned(Prior("tc"), torch.tensor([0.0, np.log(0.35)], dtype=torch.float64), 0.0)
    belief = posterior(problem.equations, [tuned])
    residual = target - filtered(inputs, belief.memory, records.spans)[:, 0]
    fit = MemoryFit(belief, Mixture((belief,)), {}, problem, False, 0.0, residual, belief.noise_variance)
    return remainder_test(records, fit, 5)


def test_the_remainder_test_has_its_size_on_linear_systems():
    rejected = [remainder(*simulate(k, lambda z: z, colour=0.6 * (k % 2))).p_value < 0.05 for k in range(200)]
    assert 0.02 <= np.mean(rejected) <= 0.09


@pytest.mark.parametrize(
    ("shape", "least"),
    [(lambda z: np.tanh(1.5 * z), 0.02), (lambda z: z + 0.5 * z**2, 0.1), (lambda z: z**2, 0.4)],
)
def test_the_remainder_test_finds_nonlinear_functions_of_a_filter(shape, least):
    found = [remainder(*simulate(k, shape)) for k in range(10)]
    assert np.mean([one.p_value < 0.05 for one in found]) >= 0.9
    assert np.median([one.share for one in found]) > least


def test_what_is_linear_in_a_feature_is_taken_out_as_the_posterior_mean_would():
    rng = np.random.default_rng(20)
    lags, inputs = 4, rng.normal(size=(60, 2)) * [1.0, 3.0]
    inputs -= inputs.mean(0)
    records = Records(inputs, rng.normal(size=60), ((0, 60),), ("u", "v"))
    problem = pose(records, lags, np.zeros(0), goes_on=False)
    tuned = [Tuned(Prior("tc"), torch.tensor([0.5, -1.0], dtype=torch.float64), 0.0)] * 2
    belief = posterior(problem.equations, tuned)
    matrix = np.array(
        [[inputs[t - s, i] for i in range(2) for s in range(lags)] for t in range(lags - 1, 60)]
    )
    precision = (belief.factor @ belief.factor.T).numpy() / np.outer(belief.units, belief.units)
    features = rng.normal(size=(60, 3))
    expected = matrix @ np.linalg.solve(precision, matrix.T @ features[lags - 1 :])
    np.testing.assert_allclose(linear_part(records, features, belief)[lags - 1 :], expected, atol=1e-10)


def test_the_statistic_is_that_of_features_less_their_linear_part():
    inputs, target = simulate(1, lambda z: z + 0.2 * z**2, n=200)
    records = Records(inputs, target, ((0, 200),), ("x",))
    fit = fit_memory(records, 10, prior="tc", noise="white", delays=(0,))
    assert not fit.goes_on
    features = nonlinear_features(records, fit.posterior.memory)
    part = fit.problem.records
    free = (features - linear_part(part, features, fit.posterior))[9:]
    left = (part.target - filtered(part.inputs, fit.posterior.memory, part.spans)[:, 0])[9:]
    free, left = free - free.mean(0), left - left.mean()
    basis, values, _ = np.linalg.svd(free, full_matrices=False)
    free = basis[:, values > 1e-4 * values[0]]
    score = free.T @ left
    statistic = score @ np.linalg.solve((free * left[:, None] ** 2).T @ free, score) / free.shape[1]
    assert remainder_test(records, fit, 5).statistic == pytest.approx(statistic, rel=1e-6)


def test_a_nonlinear_remainder_is_said():
    inputs, target = simulate(0, lambda z: z + 0.5 * z**2)
    sentences = MemoryEstimator(10, prior="tc").fit(inputs, target).warnings_
    assert any("nonlinear remainder" in sentence for sentence in sentences)


def test_excitation_is_the_condition_of_the_block_toeplitz_matrix_of_correlations():
    rng = np.random.default_rng(16)
    covariance = np.zeros((4, 2, 2))
    drive = lfilter([1.0, 0.5], [1.0, -0.4], rng.normal(size=(3000, 2)), axis=0)
    mixed = drive @ np.array([[1.0, 0.5], [0.0, 2.0]])
    for lag in range(4):
        covariance[lag] = mixed[lag:].T @ mixed[: 3000 - lag] / 3000
    scale = np.tile(np.sqrt(np.diagonal(covariance[0])), 4)
    # Row i of the matrix is the input at lag i: cov(x_{t-i}, x_{t-j}) = cov(x_{t+j-i}, x_t).
    blocks = np.block(
        [[covariance[j - i] if j >= i else covariance[i - j].T for j in range(4)] for i in range(4)]
    )
    values = np.linalg.eigvalsh(blocks / np.outer(scale, scale))
    found = measure_excitation(covariance, ["u", "v"])
    assert found.condition == pytest.approx(values[-1] / values[0], rel=1e-8)
    assert found.directions == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-10)


def test_poor_excitation_is_said_with_its_input_and_its_frequencies():
    rng = np.random.default_rng(17)
    slow = lfilter([1.0], np.poly([0.97, 0.97, 0.97]), rng.normal(size=1200))
    y = slow + 0.5 * slow.std() * rng.normal(size=1200)
    message = MemoryEstimator(30, prior="tc").fit(slow, y).excitation_.message
    assert message.startswith("input `x0` hardly moves at")
    assert message.endswith("0.5 cycles per row")
    twins = np.column_stack([rng.normal(size=400)] * 2) + 0.01 * rng.normal(size=(400, 2))
    message = (
        MemoryEstimator(5, prior="tc").fit(twins, twins[:, 0] + rng.normal(size=400)).excitation_.message
    )
    assert message.startswith("inputs `x0` and `x1` move together")


def test_the_share_out_of_sample_is_that_of_fits_without_the_fold():
    inputs, target = simulate(3, lambda z: z, n=160)
    lags, folds = 10, 4
    records = Records(inputs, target, ((0, 160),), ("x",))
    fit = fit_memory(records, lags, prior="dc", noise="white", delays=(0,))
    found = linear_share(records, fit.problem, fit.posterior.tuned, folds=folds, confidence=0.9)
    assert not fit.problem.goes_on
    rows = np.arange(lags - 1, 160)
    matrix = np.stack([inputs[rows - s, 0] for s in range(lags)], axis=1)
    left, total = [], []
    for fold in np.array_split(rows, folds):
        kept = (rows < fold[0] - lags) | (rows > fold[-1] + lags)
        centred = matrix[kept] - matrix[kept].mean(0)
        equations = fit.problem.equations.__class__(
            centred.T @ centred,
            centred.T @ (target[rows][kept] - target[rows][kept].mean()),
            float(np.square(target[rows][kept] - target[rows][kept].mean()).sum()),
            int(kept.sum()),
            int(kept.sum()) - 1,
        )
        memory = posterior(equations, fit.posterior.tuned).memory[:, 0]
        constant = (target[rows] - matrix @ memory)[kept].mean()
        inside = np.isin(rows, fold)
        left.append((target[rows] - matrix @ memory - constant)[inside])
        total.append(target[rows][inside] - target[rows][kept].mean())
    share = 1 - np.square(np.concatenate(left)).sum() / np.square(np.concatenate(total)).sum()
    assert found.share == pytest.approx(share, abs=1e-10)
    np.testing.assert_allclose(found.errors[rows], np.concatenate(left), atol=1e-9)
    assert found.interval[0] < share < found.interval[1]


def test_pure_noise_has_no_share_and_this_is_said():
    rng = np.random.default_rng(18)
    estimate = MemoryEstimator(8).fit(rng.normal(size=400), rng.normal(size=400))
    assert estimate.linear_share_interval_[0] < 0.01
    assert estimate.noise_nmse_ > 0.9
    assert any("no more than chance" in sentence for sentence in estimate.warnings_)


def test_the_order_of_the_noise_is_found_and_filtering_makes_it_white():
    rng = np.random.default_rng(19)
    taps = [1.0, -1.2, 0.5]
    noise = lfilter([1.0], taps, rng.normal(size=4000))
    coefficients = fit_autoregression(noise, ((0, 1500), (1500, 4000)))
    np.testing.assert_allclose(coefficients, [1.2, -0.5], atol=0.05)
    records = Records(np.ones((4000, 1)), noise, ((0, 1500), (1500, 4000)), ("x",))
    assert whitened(records, coefficients).spans == ((2, 1500), (1502, 4000))
    assert len(fit_autoregression(rng.normal(size=3000), ((0, 3000),))) == 0


def test_the_power_gain_is_the_variance_of_the_autoregression():
    assert power_gain(np.array([0.6])) == pytest.approx(1 / (1 - 0.36), rel=1e-12)
    assert power_gain(np.zeros(0)) == 1.0
