from math import exp

import pytest
import torch

from recollect.core import ConfigError
from recollect.memory import (
    Airy,
    Exponential,
    Impulse,
    Polynomial,
    Sine,
    effective_taps,
    energy_horizon,
    sign_changes,
    tail_energy,
)


@pytest.mark.parametrize(
    ("alpha", "length", "last_lag"), [(1.1, 4096, 6), (0.6, 4096, 1368), (0.6, 256, 145)]
)
def test_power_laws_hold_95_percent_of_their_energy_up_to_a_known_lag(alpha, length, last_lag):
    assert energy_horizon(Polynomial(alpha=alpha).values(length)) == last_lag + 1


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("length", [20, 60, 100])
def test_of_equal_taps_the_share_q_holds_the_share_q(q, length):
    assert energy_horizon(torch.ones(length), q) == round(q * length)


def test_the_horizon_of_an_impulse_ends_with_it():
    assert energy_horizon(Impulse(alpha=11).values(23)) == 12


def test_the_horizon_is_the_least_window_that_leaves_at_most_the_rest():
    rho = Airy(alpha=30.0).values(64)
    for q in (0.1, 0.5, 0.9, 0.99):
        horizon = energy_horizon(rho, q)
        assert tail_energy(rho, horizon) <= (1 - q) * tail_energy(rho, 0) < tail_energy(rho, horizon - 1)


def test_horizon_and_effective_taps_do_not_depend_on_scale():
    rho = Exponential(alpha=0.1).values(50)
    for scale in (1e-200, -1e180):
        assert energy_horizon(scale * rho) == energy_horizon(rho)
        assert effective_taps(scale * rho) == pytest.approx(effective_taps(rho), rel=1e-12)


def test_the_airy_function_spreads_over_57_taps():
    assert effective_taps(Airy(alpha=96.0).values(256)) == pytest.approx(57, abs=0.5)


def test_the_effective_taps_of_an_exponential_are_known():
    decay = exp(-0.4)
    want = (1 + decay) / (1 - decay)
    assert effective_taps(Exponential(alpha=0.2).values(400)) == pytest.approx(want, rel=1e-10)


def test_a_window_past_the_end_leaves_no_energy():
    assert tail_energy(torch.ones(5), 7) == 0


def test_a_sine_changes_sign_twice_a_period():
    assert sign_changes(Sine(frequency=2 * torch.pi / 10, phase=0.1).values(50)) == 9
    assert sign_changes(torch.zeros(4)) == 0


@pytest.mark.parametrize("measure", [energy_horizon, effective_taps])
@pytest.mark.parametrize("rho", [torch.zeros(5), torch.zeros(0)])
def test_taps_without_energy_are_refused(measure, rho):
    with pytest.raises(ConfigError, match="needs a tap that is not 0"):
        measure(rho)


def test_a_share_or_lag_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="0 < q <= 1, got 95"):
        energy_horizon(torch.ones(3), 95.0)
    with pytest.raises(ConfigError, match="lag >= 0, got -1"):
        tail_energy(torch.ones(3), -1)
