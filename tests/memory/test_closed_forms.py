import math

import pytest

from recollect.core import ConfigError
from recollect.memory import (
    Airy,
    Exponential,
    Polynomial,
    airy_tail,
    energy_horizon,
    exponential_horizon,
    polynomial_tail,
    tail_energy,
)


@pytest.mark.parametrize("q", [0.5, 0.95])
@pytest.mark.parametrize("alpha", [0.013, 0.11, 0.7])
def test_the_horizon_of_an_exponential_is_the_measured_one(alpha, q):
    assert math.ceil(exponential_horizon(alpha, q)) == energy_horizon(
        Exponential(alpha=alpha).values(2000), q
    )


@pytest.mark.parametrize("scale", [0.5, 1.0])
@pytest.mark.parametrize("lag", [0, 1, 9])
def test_the_tail_of_a_fast_power_law_is_the_measured_one(lag, scale):
    rho = Polynomial(alpha=4.0, scale=scale).values(3000)
    measured = tail_energy(rho, lag) / tail_energy(rho, 0)
    assert polynomial_tail(4.0, lag, scale) == pytest.approx(measured, rel=1e-10)


def test_a_slow_power_law_has_its_horizon_beyond_any_grid():
    assert polynomial_tail(0.6, 1_700_000) > 0.05 > polynomial_tail(0.6, 1_900_000)


@pytest.mark.parametrize("width", [6.0, 12.0])
@pytest.mark.parametrize("turns", [-4.0, -1.0, 0.0, 2.0])
def test_the_tail_of_an_airy_function_nears_the_measured_one_as_the_square_of_its_width(turns, width):
    alpha = 10 * width
    lag = round(alpha + turns * width)
    measured = tail_energy(Airy(alpha=alpha, width=width).values(400), lag)
    assert airy_tail(alpha, lag, width) == pytest.approx(measured, rel=0.41 / width**2)


def test_parameters_without_an_answer_are_refused():
    with pytest.raises(ConfigError, match="below it the energy is infinite"):
        polynomial_tail(0.5, 3)
    with pytest.raises(ConfigError, match="alpha > 0"):
        exponential_horizon(0.0)
    with pytest.raises(ConfigError, match="width > 0"):
        airy_tail(8.0, 3, width=0.0)
