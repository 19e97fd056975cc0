import pytest
import torch

from recollect.core import ConfigError
from recollect.memory import (
    DampedCosine,
    Empirical,
    Exponential,
    Impulse,
    Polynomial,
    Sine,
    exponential_sum_of,
)

FADING = Exponential(alpha=0.05)
WAVE = DampedCosine(alpha=0.02, frequency=0.7, phase=0.4)
SINE = Sine(frequency=1.3, phase=-0.2)


@pytest.mark.parametrize(
    ("function", "states"),
    [
        (FADING, 1),
        (WAVE, 2),
        (SINE, 2),
        (DampedCosine(alpha=0.1, frequency=0.0, phase=1.0), 1),
        (DampedCosine(alpha=0.1, frequency=-0.4), 2),
        (2 * FADING + -3 * WAVE + SINE, 5),
        (FADING + 4 * FADING, 1),
        (FADING * FADING, 1),
        (FADING * WAVE, 2),
        (WAVE * SINE, 4),
        (SINE * SINE, 3),
        ((FADING + WAVE) * (SINE + -1 * FADING) + WAVE, 11),
    ],
    ids=lambda case: getattr(case, "label", None),
)
@pytest.mark.parametrize("dt", [1.0, 0.37])
def test_the_sum_equals_the_function_and_has_no_state_to_spare(function, states, dt):
    exact = exponential_sum_of(function, dt=dt)
    assert exact.num_states == states
    torch.testing.assert_close(exact.values(203), function.values(203, dt=dt), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "function", [Polynomial(alpha=1.1), Impulse(alpha=3), Empirical(taps=(1.0, 0.5))], ids=lambda f: f.label
)
def test_what_is_no_sum_of_exponentials_has_none(function):
    assert exponential_sum_of(function) is None
    assert exponential_sum_of(FADING + function) is None
    assert exponential_sum_of(FADING * function) is None


def test_a_grid_without_direction_is_refused():
    with pytest.raises(ConfigError, match="dt > 0, got 0"):
        exponential_sum_of(FADING, dt=0.0)
