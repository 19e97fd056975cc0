from math import pi

import pytest

from recollect.core import ConfigError
from recollect.memory import FAMILIES, energy_horizon, from_horizon
from recollect.memory.inversion import _GROWS_WITH_ALPHA

OPTIONS = {
    "damped_cosine": {"frequency": 0.02},
    "gaussian_bump": {"width": 3.0},
    "polynomial": {"scale": 0.5},
}


def test_every_family_with_an_alpha_can_be_set_by_its_horizon():
    assert set(_GROWS_WITH_ALPHA) == {name for name, cls in FAMILIES.items() if "alpha" in cls.model_fields}


@pytest.mark.parametrize("family", _GROWS_WITH_ALPHA)
@pytest.mark.parametrize(("h95", "length"), [(9, 64), (17, 64), (45, 64), (100, 333)])
def test_the_horizon_is_the_one_asked_for(family, h95, length):
    function = from_horizon(family, h95, length, **OPTIONS.get(family, {}))
    assert energy_horizon(function.values(length)) == h95


@pytest.mark.parametrize("family", ["polynomial", "airy"])
def test_alpha_is_the_middle_of_those_with_this_horizon(family):
    chosen = from_horizon(family, 23, 64)
    alphas = [chosen.alpha + d * 1e-3 for d in range(-1500, 1500)]
    same = [a for a in alphas if a >= 0 and energy_horizon(FAMILIES[family](alpha=a).values(64)) == 23]
    assert (same[0] + same[-1]) / 2 == pytest.approx(chosen.alpha, abs=1e-3)


def test_alpha_has_nine_digits_so_that_its_digest_is_the_same_on_every_machine():
    alpha = from_horizon("polynomial", 23, 64).alpha
    assert alpha == float(f"{alpha:.9g}")


@pytest.mark.parametrize("h95", [2, 17, 63])
def test_the_horizon_of_an_impulse_is_its_delay_and_one(h95):
    assert from_horizon("impulse", h95, 64).alpha == h95 - 1


@pytest.mark.parametrize("family", ["exponential", "polynomial", "impulse"])
def test_the_shortest_horizon_is_reached(family):
    assert energy_horizon(from_horizon(family, 1, 50).values(50)) == 1


def test_the_longest_horizon_is_reached():
    assert energy_horizon(from_horizon("exponential", 61, 64).values(64)) == 61
    assert energy_horizon(from_horizon("impulse", 64, 64).values(64)) == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "exponential", "h95": 62, "length": 64}, "reachable are 1 to 61"),
        ({"family": "airy", "h95": 3, "length": 64}, "reachable are 8 to 62"),
        ({"family": "damped_cosine", "h95": 16, "length": 64, "frequency": pi / 2}, "jumps from 15 to 17"),
        ({"family": "sine", "h95": 3, "length": 64}, "unknown memory function with an alpha 'sine'"),
        ({"family": "airy", "h95": 9, "length": 64, "widht": 3}, "did you mean 'width'"),
        ({"family": "airy", "h95": 0, "length": 64}, "h95 >= 1"),
    ],
)
def test_a_horizon_out_of_reach_is_refused_with_what_can_be_reached(arguments, message):
    with pytest.raises(ConfigError) as caught:
        from_horizon(**arguments)
    assert message in str(caught.value)
