import math
import time

import pytest
import torch

from recollect.memory import (
    Airy,
    DampedCosine,
    Exponential,
    Impulse,
    Polynomial,
    effective_taps,
    energy_horizon,
    exponential_horizon,
    sign_changes,
    summary,
)
from recollect.probing import memory_numbers
from recollect.probing.profile.energies import energies
from recollect.probing.profile.horizons import effective_taps as taps_of
from recollect.probing.profile.horizons import horizon

LAGS = 48
FUNCTIONS = {
    "exponential": Exponential(alpha=0.15),
    "power": Polynomial(alpha=0.9),
    "impulse": Impulse(alpha=9),
    "airy": Airy(alpha=20, width=2),
    "cosine": DampedCosine(alpha=0.05, frequency=0.6),
}


def _channel(values):
    return values.double()[:, None, None]


def _normal(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_exact_values_have_the_numbers_of_the_memory_function(name):
    rho = FUNCTIONS[name].values(LAGS)
    known, found = summary(rho), memory_numbers(_channel(rho))
    for interval, lags in ((found.h50, known.h50), (found.h95, known.h95)):
        assert (interval.lower, interval.value, interval.upper) == (lags, lags, lags)
    assert found.hankel_rank == known.hankel_rank
    assert found.tensor_train_rank == known.tensor_train_rank
    assert found.sign_changes == known.sign_changes
    assert found.effective_taps == pytest.approx(known.effective_taps, rel=1e-10)


def test_the_horizon_of_an_exponential_is_its_closed_form():
    found = memory_numbers(_channel(Exponential(alpha=0.11).values(400)))
    assert found.h95.value == math.ceil(exponential_horizon(0.11, 0.95))


def test_several_channels_count_by_their_norm():
    rho = _normal(LAGS, 2, 3, seed=1) * (-0.1 * torch.arange(LAGS)).exp()[:, None, None]
    norm = rho.square().sum((1, 2)).sqrt()
    found = memory_numbers(rho)
    assert found.h50.value == energy_horizon(norm, 0.5)
    assert found.h95.value == energy_horizon(norm, 0.95)
    assert found.effective_taps == pytest.approx(effective_taps(norm), rel=1e-10)


@pytest.mark.parametrize("truth", ["exponential", "power", "airy", "cosine"])
def test_horizons_of_samples_cover_the_truth_and_are_not_pulled_by_the_noise(truth):
    rho = FUNCTIONS[truth].values(LAGS)
    rho = _channel(rho / rho.abs().max())
    covered = {0.5: 0, 0.95: 0}
    values = []
    for seed in range(100):
        error = 0.05 * _normal(65, *rho.shape, seed=seed)
        noisy = energies(rho + error[0], error[1:], "sampling")
        for q in covered:
            found = horizon(noisy, q, 0.95)
            covered[q] += found.lower <= energy_horizon(rho[:, 0, 0], q) <= found.upper
        values.append(found.value)
    assert min(covered.values()) >= 88
    assert abs(sorted(values)[50] - energy_horizon(rho[:, 0, 0], 0.95)) <= 2


def test_horizons_of_a_posterior_cover_the_truth():
    """Truths drawn from a prior, seen through noise, estimated by Bayes's rule."""
    prior, noise = (-0.15 * torch.arange(LAGS, dtype=torch.float64)).exp(), 0.05
    kept = prior / (prior + noise)
    covered = 0
    for seed in range(100):
        drawn = _normal(66, LAGS, seed=seed)
        truth = prior.sqrt() * drawn[0]
        mean = kept * (truth + noise**0.5 * drawn[1])
        errors = (kept * noise).sqrt() * drawn[2:]
        found = horizon(energies(_channel(mean), errors[:, :, None, None], "posterior"), 0.95, 0.95)
        covered += found.lower <= energy_horizon(truth, 0.95) <= found.upper
        assert found.lower <= found.value <= found.upper
    assert covered >= 88


def test_energies_that_a_posterior_leaves_open_lengthen_the_horizon():
    values = _channel(Exponential(alpha=0.5).values(LAGS))
    errors = 0.1 * _normal(32, *values.shape, seed=2)
    exact = memory_numbers(values)
    assert memory_numbers(values, errors, errors_are="posterior").h95.value > exact.h95.value


def test_noise_alone_has_no_memory():
    errors = _normal(65, LAGS, 1, 1, seed=3)
    found = memory_numbers(errors[0], errors[1:])
    assert not found.has_memory
    assert (found.h95.value, found.h95.lower) == (0, 0)
    assert (found.hankel_rank, found.tensor_train_rank, found.sign_changes, found.delay) == (0, 0, 0, 0)


def test_no_memory_at_all_has_no_number_that_is_not_finite_in_json():
    found = memory_numbers(torch.zeros(7, 2, 1, dtype=torch.float64))
    assert (found.h50.upper, found.effective_taps, found.hankel_rank) == (0, 0, 0)
    assert found.document()["decay_law"]["exponential"] == {"value": None, "lower": 0.0, "upper": None}


def test_two_exponentials_have_rank_two_with_and_without_noise():
    rho = _channel((Exponential(alpha=0.03) + 0.7 * Exponential(alpha=0.4)).values(LAGS))
    assert memory_numbers(rho).hankel_rank == 2
    ranks = []
    for seed in range(20):
        error = 1e-3 * _normal(33, *rho.shape, seed=seed)
        ranks.append(memory_numbers(rho + error[0], error[1:]).hankel_rank)
    assert min(ranks) == 2
    assert ranks.count(2) >= 17


def test_noise_is_not_counted_as_rank():
    """A lower bound at 95 %: more than the rank in one case of twenty."""
    rho = _channel(Exponential(alpha=0.1).values(LAGS))
    ranks = []
    for seed in range(40):
        error = 0.1 * _normal(33, *rho.shape, seed=seed)
        ranks.append(memory_numbers(rho + error[0], error[1:]).hankel_rank)
    assert sum(rank > 1 for rank in ranks) <= 6
    assert sum(rank == 1 for rank in ranks) >= 34


def test_a_state_that_several_channels_share_is_counted_once():
    """`k_s = C A^s B` with three states, two outputs and four inputs."""
    rates = torch.diag(torch.tensor([0.9, 0.5, -0.7], dtype=torch.float64))
    read, write = _normal(2, 3, seed=4), _normal(3, 4, seed=5)
    kernel = torch.stack([read @ torch.linalg.matrix_power(rates, s) @ write for s in range(30)])
    assert memory_numbers(kernel).hankel_rank == 3


def test_many_channels_are_combined_without_losing_states():
    rates = torch.diag(torch.linspace(0.2, 0.95, 5, dtype=torch.float64))
    read, write = _normal(6, 5, seed=6), _normal(5, 90, seed=7)
    kernel = torch.stack([read @ torch.linalg.matrix_power(rates, s) @ write for s in range(130)])
    assert memory_numbers(kernel).hankel_rank == 5


def test_a_delay_line_needs_a_state_for_each_lag_and_one_channel_of_a_convolution():
    found = memory_numbers(_channel(Impulse(alpha=11).values(64)))
    assert (found.hankel_rank, found.tensor_train_rank, found.delay) == (12, 1, 11)


def test_the_delay_ends_with_the_first_lag_that_is_certain_and_not_tiny():
    rho = torch.tensor([0.0, 0.019, 0.3, 1.0, 0.5])
    assert memory_numbers(_channel(rho)).delay == 2
    errors = 0.2 * _normal(64, 5, 1, 1, seed=8)
    assert memory_numbers(_channel(rho), errors).delay == 3


def test_sign_changes_of_the_noise_do_not_count():
    rho = _channel(DampedCosine(alpha=0.2, frequency=0.8).values(LAGS))
    error = 0.005 * _normal(65, *rho.shape, seed=9)
    found = memory_numbers(rho + error[0], error[1:]).sign_changes
    assert sign_changes(rho[rho.abs() > 0.05]) <= found <= sign_changes(rho[:, 0, 0])
    assert sign_changes((rho + error[0])[:, 0, 0]) > found + 5


def test_effective_taps_are_not_raised_by_noise():
    rho = _channel(torch.cat([torch.ones(10), torch.zeros(190)]))
    found = []
    for seed in range(20):
        error = 0.2 * _normal(65, *rho.shape, seed=seed)
        found.append(taps_of(energies(rho + error[0], error[1:], "sampling")))
    assert sum(found) / 20 == pytest.approx(10, rel=0.1)


def test_five_hundred_lags_of_four_inputs_take_less_than_two_seconds():
    rho = (-0.01 * torch.arange(512.0).double()).exp()[:, None, None].expand(512, 1, 4)
    error = 0.01 * _normal(65, 512, 1, 4, seed=10)
    started = time.process_time()
    found = memory_numbers(rho + error[0], error[1:])
    assert time.process_time() - started < 2
    assert found.hankel_rank == 1


def test_a_confidence_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"`confidence` must lie in \(0, 1\)"):
        memory_numbers(_channel(torch.ones(3)), confidence=95.0)
