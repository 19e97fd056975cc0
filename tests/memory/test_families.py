from math import exp, pi
from typing import get_args

import pytest
import torch

from recollect.core import Config
from recollect.memory import (
    FAMILIES,
    Airy,
    DampedCosine,
    Exponential,
    GaussianBump,
    Impulse,
    MemoryFunction,
    Polynomial,
    Sine,
)


class Holder(Config):
    memory: MemoryFunction


EXAMPLES = {
    "exponential": {"alpha": 0.1},
    "polynomial": {"alpha": 1.1, "scale": 0.1},
    "impulse": {"alpha": 16},
    "airy": {"alpha": 20},
    "gaussian_bump": {"alpha": 9},
    "damped_cosine": {"alpha": 0.05, "frequency": 0.4},
    "sine": {},
    "sum": {"terms": [{"family": "sine"}, {"family": "exponential", "alpha": 1}], "coefficients": [1, -2]},
    "product": {"factors": [{"family": "sine"}, {"family": "polynomial", "alpha": 1}]},
    "empirical": {"taps": [1.0, -0.5, 0.25]},
}


@pytest.fixture(params=FAMILIES)
def function(request):
    return Holder.parse({"memory": {"family": request.param, **EXAMPLES[request.param]}}).memory


def test_the_registry_the_type_and_the_examples_have_the_same_families():
    union, _ = get_args(MemoryFunction)
    assert set(get_args(union)) == set(FAMILIES.values())
    assert FAMILIES.keys() == EXAMPLES.keys()


def test_the_registry_holds_each_family_under_its_own_name(function):
    assert type(function) is FAMILIES[function.family]
    assert function.label


def test_values_are_the_function_on_the_grid_in_float64(function):
    taps = function.values(23, dt=0.5)
    assert taps.dtype == torch.float64
    assert taps.shape == (23,)
    assert torch.equal(taps, function(0.5 * torch.arange(23, dtype=torch.float64)))


@pytest.mark.parametrize("dt", [0.3, 1.0, 2.0])
def test_a_longer_grid_begins_with_the_shorter_one(function, dt):
    longer = function.values(19, dt=dt)
    for length in (1, 2, 7):
        assert torch.equal(function.values(length, dt=dt), longer[:length])


def test_a_function_survives_the_way_through_json(function):
    held = Holder(memory=function)
    assert Holder.model_validate_json(held.canonical_json()) == held


def test_a_function_says_where_it_comes_from(function):
    assert "Provenance:" in (type(function).__doc__ or "")


@pytest.mark.parametrize(
    ("function", "lag", "value"),
    [
        (Exponential(alpha=0.3), 4, exp(-1.2)),
        (Polynomial(alpha=1.1, scale=0.1), 10, 2**-1.1),
        (Airy(alpha=6.0, width=1.0), 6, 0.355028053887817),
        # Ai(-3), in the range where torch.special.airy_ai is not accurate.
        (Airy(alpha=18.0), 0, -0.378814293677658),
        (GaussianBump(alpha=9.0), 8, exp(-1)),
        (GaussianBump(alpha=9.0, width=3.0), 12, exp(-1)),
        (DampedCosine(alpha=0.1, frequency=pi / 4, phase=pi / 4), 1, 0.0),
        (Sine(frequency=pi / 6), 1, 0.5),
        (Sine(phase=pi / 2), 0, 1.0),
    ],
    ids=lambda case: getattr(case, "label", None),
)
def test_a_known_value(function, lag, value):
    assert function.values(16)[lag].item() == pytest.approx(value, abs=1e-12)


def test_the_airy_function_solves_its_equation():
    h = 2e-3
    below, here, above = (Airy(alpha=5 - d, width=1.0).values(9) for d in (-h, 0, h))
    z = torch.arange(9) - 5.0
    torch.testing.assert_close((above - 2 * here + below) / h**2, z * here, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("alpha", "dt", "tap"),
    [(3, 1.0, 3), (3.4, 1.0, 3), (3.5, 1.0, 4), (0.3, 0.1, 3), (8, 2.0, 4), (0, 1.0, 0)],
)
def test_an_impulse_is_one_tap_at_the_nearest_grid_point(alpha, dt, tap):
    taps = Impulse(alpha=alpha).values(5, dt=dt)
    assert taps.nonzero().flatten().tolist() == [tap]
    assert taps.sum() == 1


def test_one_point_of_a_fine_grid_does_not_hold_a_later_impulse():
    assert not Impulse(alpha=0.3).values(1, dt=0.1).any()


def test_an_impulse_beyond_the_grid_is_not_on_it():
    assert not Impulse(alpha=5).values(5).any()
