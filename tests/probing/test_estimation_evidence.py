"""Priors, their evidence and the posterior against dense formulas."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from recollect.probing.estimation.evidence import Tuned, add_bands, evidence_and_gradient, tune
from recollect.probing.estimation.mixture import Mixture, draw_priors
from recollect.probing.estimation.moments import lagged_moments
from recollect.probing.estimation.posterior import condition_on_others, posterior, scaled_regression
from recollect.probing.estimation.prior_search import choose_prior, starts
from recollect.probing.estimation.priors import PRIORS, Prior

LAGS = 7
CASES = [(family, delay) for family in PRIORS for delay in (0, 2)]


def covariance(prior, logs, lags):
    bands, log_determinant = prior.precision(logs, lags)
    precision = add_bands(torch.zeros(lags, lags, dtype=torch.float64), bands)
    return precision.inverse(), float(log_determinant), precision


def some_logs(prior, lags, place=0):
    return starts(prior, lags, place) + 0.1 * torch.arange(len(prior.parameters), dtype=torch.float64)


@pytest.mark.parametrize(("family", "delay"), CASES)
@pytest.mark.parametrize("lags", [LAGS, 4, 3])
def test_a_prior_is_positive_with_its_determinant_and_its_envelope(family, delay, lags):
    prior = Prior(family, delay)
    logs = some_logs(prior, LAGS)
    matrix, log_determinant, precision = covariance(prior, logs, lags)
    assert float(torch.linalg.slogdet(precision)[1]) == pytest.approx(log_determinant, abs=1e-8)
    envelope = matrix.diagonal()
    assert bool((envelope > 0).all())
    torch.testing.assert_close(envelope[delay], logs[0].exp(), rtol=1e-7, atol=0.0)
    if delay:
        head = torch.exp(logs[0] + logs[-1]) * torch.eye(delay, dtype=torch.float64)
        torch.testing.assert_close(matrix[:delay, :delay], head, rtol=1e-10, atol=0.0)
        assert float(matrix[:delay, delay:].abs().max()) < 1e-14


def test_tc_dc_and_heavy_have_their_covariances():
    lag = torch.arange(LAGS, dtype=torch.float64)
    later, apart = torch.maximum(lag[:, None], lag), (lag[:, None] - lag).abs()
    rate, roughness, time, exponent = 0.21, 0.13, 2.3, 0.8
    zero = torch.zeros(1, dtype=torch.float64)

    def found(family, *values):
        return covariance(
            Prior(family), torch.cat([zero, torch.tensor(values, dtype=torch.float64).log()]), LAGS
        )[0]

    torch.testing.assert_close(found("tc", rate), torch.exp(-2 * rate * later), rtol=1e-10, atol=0.0)
    decay = torch.exp(-rate * (lag[:, None] + lag)) * torch.exp(-rate * roughness * apart)
    torch.testing.assert_close(found("dc", rate, roughness), decay, rtol=1e-10, atol=0.0)
    heavy = (1 + later / time) ** (-2 * exponent)
    torch.testing.assert_close(found("heavy", time, exponent), heavy, rtol=1e-10, atol=0.0)


def test_the_resonant_prior_oscillates_at_its_frequency_and_smooth_is_its_limit():
    logs = torch.tensor([0.0, np.log(1e-3), 0.0, np.log(np.pi / 4)], dtype=torch.float64)
    matrix = covariance(Prior("resonant"), logs, 9)[0]
    assert float(matrix[0, 4]) == pytest.approx(-1.0, abs=0.02)
    assert float(matrix[0, 8]) == pytest.approx(1.0, abs=0.03)
    logs[2], logs[3] = np.log(200.0), np.log(1e-4)
    smooth = covariance(Prior("smooth"), logs[:3], 9)[0]
    torch.testing.assert_close(covariance(Prior("resonant"), logs, 9)[0], smooth, rtol=1e-4, atol=0.0)


@pytest.fixture
def problem():
    rng = np.random.default_rng(4)
    inputs = rng.normal(size=(60, 2)).cumsum(0) * 0.3 + rng.normal(size=(60, 2))
    target = np.convolve(inputs[:, 0], [1.0, 0.5, 0.2])[:60] - inputs[:, 1] + 0.4 * rng.normal(size=60) + 3
    spans = ((0, 25), (25, 60))
    rows = [t for start, stop in spans for t in range(start + LAGS - 1, stop)]
    matrix = np.array([[inputs[t - s, i] for i in range(2) for s in range(LAGS)] for t in rows])
    equations = lagged_moments(inputs, target, spans, LAGS).centred()
    tuned = [Tuned(prior, some_logs(prior, LAGS), 0.0) for prior in (Prior("dc", 1), Prior("heavy"))]
    return equations, tuned, matrix, target[rows]


def test_the_posterior_is_the_dense_gaussian_conditional(problem):
    equations, tuned, matrix, target = problem
    belief = posterior(equations, tuned)
    scale = np.sqrt(np.repeat((matrix - matrix.mean(0)).var(0)[::LAGS], LAGS))
    blocks = [covariance(one.prior, one.logs, LAGS)[0].numpy() for one in tuned]
    prior = np.block([[blocks[0], np.zeros((LAGS, LAGS))], [np.zeros((LAGS, LAGS)), blocks[1]]])
    prior = prior * target.var() / np.outer(scale, scale) * (belief.noise_variance / target.var())
    centre = np.eye(len(target)) - 1 / len(target)
    lagged = centre @ matrix
    whole = lagged @ prior @ lagged.T + belief.noise_variance * np.eye(len(target))
    gain = prior @ lagged.T @ np.linalg.inv(whole)
    mean = (gain @ centre @ target).reshape(2, LAGS).T
    spread = np.sqrt((prior - gain @ lagged @ prior).diagonal()).reshape(2, LAGS).T
    np.testing.assert_allclose(belief.memory, mean, rtol=1e-8)
    np.testing.assert_allclose(belief.standard_errors, spread, rtol=1e-8)


def test_the_evidence_is_the_density_of_the_target_about_its_mean(problem):
    equations, tuned, matrix, target = problem
    belief = posterior(equations, tuned)
    scale = np.sqrt(np.repeat((matrix - matrix.mean(0)).var(0)[::LAGS], LAGS))
    blocks = [covariance(one.prior, one.logs, LAGS)[0].numpy() for one in tuned]
    prior = np.block([[blocks[0], np.zeros((LAGS, LAGS))], [np.zeros((LAGS, LAGS)), blocks[1]]])
    n = len(target)
    contrasts = np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, 1:]]))[0][:, 1:]
    seen = contrasts.T @ matrix / scale
    law = belief.noise_variance * (np.eye(n - 1) + seen @ prior @ seen.T)
    density = multivariate_normal(np.zeros(n - 1), law).logpdf(contrasts.T @ target)
    assert belief.evidence == pytest.approx(density, rel=1e-10)
    for factor in (0.98, 1.02):
        assert multivariate_normal(np.zeros(n - 1), factor * law).logpdf(contrasts.T @ target) < density


def test_one_input_given_the_others_has_the_evidence_of_all(problem):
    equations, tuned, _, _ = problem
    regression, _ = scaled_regression(equations, LAGS)
    for which in range(2):
        part = condition_on_others(regression, tuned, LAGS, which)
        other = list(tuned)
        other[which] = Tuned(tuned[which].prior, tuned[which].logs + 0.3, 0.0)
        gained = posterior(equations, other).evidence - posterior(equations, tuned).evidence
        before, _ = evidence_and_gradient(part, tuned[which].prior, tuned[which].logs)
        after, _ = evidence_and_gradient(part, other[which].prior, other[which].logs)
        assert after - before == pytest.approx(gained, abs=1e-9)


@pytest.mark.parametrize(("family", "delay"), CASES)
def test_the_gradient_of_the_evidence_is_its_slope(problem, family, delay):
    equations, tuned, _, _ = problem
    regression, _ = scaled_regression(equations, LAGS)
    part = condition_on_others(regression, tuned, LAGS, 0)
    prior = Prior(family, delay)
    logs = some_logs(prior, LAGS)
    _, gradient = evidence_and_gradient(part, prior, logs)
    for k in range(len(logs)):
        step = torch.zeros_like(logs)
        step[k] = 1e-5
        ahead, behind = (evidence_and_gradient(part, prior, logs + sign * step)[0] for sign in (1, -1))
        assert float(gradient[k]) == pytest.approx((ahead - behind) / 2e-5, rel=1e-5, abs=1e-6)


def test_tuning_climbs_and_the_chosen_prior_is_the_best_of_those_tried(problem):
    equations, tuned, _, _ = problem
    regression, _ = scaled_regression(equations, LAGS)
    part = condition_on_others(regression, tuned, LAGS, 0)
    prior = Prior("dc")
    first, _ = evidence_and_gradient(part, prior, starts(prior, LAGS))
    assert tune(part, prior, starts(prior, LAGS)).evidence >= first
    choice = choose_prior(part, "auto", "auto")
    assert set(PRIORS) <= set(choice.evidences)
    assert choice.best.score(LAGS) == max(one.score(LAGS) for one in choice.found)
    assert choose_prior(part, "tc", 2).best.prior == Prior("tc", 2)


def test_draws_have_the_mean_and_the_covariance_of_the_mixture(problem):
    equations, tuned, _, _ = problem
    belief = Mixture((posterior(equations, tuned), posterior(equations, [tuned[1], tuned[0]])))
    draws = belief.draws(40_000, seed=5)
    np.testing.assert_allclose(draws.mean(0), belief.memory, atol=5 * belief.standard_errors.max() / 200)
    np.testing.assert_allclose(draws.std(0), belief.standard_errors, rtol=0.05)
    np.testing.assert_array_equal(draws[:7], belief.draws(40_000, seed=5)[:7])
    single = belief.components[0]
    steps = (single.draws(40_000, seed=6) - single.memory).transpose(0, 2, 1).reshape(40_000, -1)
    whitened = steps / single.units @ single.factor.numpy() / np.sqrt(single.noise_variance)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(2 * LAGS), atol=0.03)


def test_hyperparameters_are_drawn_near_the_best_and_families_by_their_evidence(problem):
    equations, tuned, _, _ = problem
    regression, _ = scaled_regression(equations, LAGS)
    part = condition_on_others(regression, tuned, LAGS, 0)
    best = tune(part, Prior("tc"), starts(Prior("tc"), LAGS))
    hopeless = Tuned(Prior("ridge"), starts(Prior("ridge"), LAGS), best.evidence - 50)
    drawn = draw_priors(part, [best, hopeless], 64, torch.Generator().manual_seed(7))
    assert {one.prior.family for one in drawn} == {"tc"}
    assert len({float(one.logs[1]) for one in drawn}) > 20
    assert all(one.evidence <= best.evidence + 1e-3 for one in drawn)
    assert np.median([one.evidence for one in drawn]) > best.evidence - 4
