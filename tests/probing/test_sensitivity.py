import math

import pytest
import torch

from recollect.core import ConfigError
from recollect.probing.sensitivity import GAINS, POLE_MAPS, gauss_newton, sensitivity, sensitivity_table

POLES = torch.tensor([0.9, 0.62, -0.4], dtype=torch.float64)
RESIDUES = torch.tensor([0.7, -1.3, 0.5], dtype=torch.float64)


def taps(parameters, length):
    residues, poles = parameters.chunk(2)
    lags = torch.arange(length, dtype=torch.float64)
    return (residues * poles ** lags[:, None]).sum(1)


def half_hessian(length):
    """Of the risk where the error is zero."""
    parameters = torch.cat([RESIDUES, POLES])
    target = taps(parameters, length)
    gradient = torch.func.jacrev(lambda p: (taps(p, length) - target).square().sum())
    return torch.func.jacrev(gradient)(parameters) / 2


def gain_of(gain, pole, at):
    """The residue as a function of the pole, which started at the modulus `at`."""
    return {
        "one": torch.ones_like(pole),
        "unit_state": torch.full_like(pole, math.sqrt(1 - at * at)),
        "tied": (1 - pole * pole).sqrt(),
    }[gain]


def test_the_gauss_newton_matrix_is_half_the_hessian_at_zero_error():
    torch.testing.assert_close(gauss_newton(POLES, RESIDUES), half_hessian(400), rtol=1e-10, atol=1e-10)


def test_the_finite_horizon_converges_to_the_sums_over_all_lags():
    want = gauss_newton(POLES, RESIDUES)
    errors = [float((half_hessian(length) - want).abs().max()) for length in (20, 60, 180)]
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[2] < 1e-10 * want.max()


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("name", POLE_MAPS)
def test_a_sensitivity_is_the_squared_derivative_summed_over_the_lags(name, gain):
    at, lags = 0.87, torch.arange(500, dtype=torch.float64)

    def mode(w):
        pole = POLE_MAPS[name].pole(w)
        return gain_of(gain, pole, at) * pole**lags

    w = POLE_MAPS[name].inverse(torch.tensor(at, dtype=torch.float64))
    derivative = torch.func.jacrev(mode)(w)
    assert sensitivity(at, name, gain) == pytest.approx(float(derivative.square().sum()), rel=1e-10)


@pytest.mark.parametrize("name", POLE_MAPS)
def test_a_map_and_its_inverse_undo_each_other(name):
    moduli = torch.tensor([0.3, 0.7, 0.99], dtype=torch.float64)
    torch.testing.assert_close(POLE_MAPS[name].pole(POLE_MAPS[name].inverse(moduli)), moduli)


def test_the_sensitivity_of_a_long_memory_has_the_reference_values():
    assert sensitivity(0.999, "direct") == pytest.approx(2.5e8, rel=1e-3)
    assert sensitivity(0.999, "exp") == pytest.approx(250, rel=1e-3)
    assert sensitivity(0.999, "stable") == pytest.approx(1, abs=1e-6)
    assert sensitivity(0.999, "tanh", "tied") == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "gain", "power"),
    [
        ("direct", "one", 3),
        ("exp", "one", 1),
        ("softplus", "one", 1),
        ("stable", "one", 0),
        ("exp", "unit_state", 0),
        ("stable", "unit_state", -1),
        ("exp", "tied", 0),
        ("tanh", "tied", 0),
    ],
)
def test_the_sensitivity_grows_as_a_power_of_the_time_scale(name, gain, power):
    near, nearer = sensitivity(1 - 1e-4, name, gain), sensitivity(1 - 1e-5, name, gain)
    assert math.log10(nearer / near) == pytest.approx(power, abs=1e-3)


def test_with_a_tied_gain_tanh_is_equally_sensitive_at_every_pole():
    assert [sensitivity(at, "tanh", "tied") for at in (0.05, 0.5, 0.95)] == pytest.approx(
        [1, 1, 1], rel=1e-12
    )


def test_the_table_has_a_row_for_each_parametrisation_and_modulus():
    rows = sensitivity_table([0.9, 0.99], ["exp", "stable"])
    assert [(row.parametrisation, row.modulus) for row in rows] == [
        ("exp", 0.9),
        ("exp", 0.99),
        ("stable", 0.9),
        ("stable", 0.99),
    ]
    assert rows[3].unit_state == sensitivity(0.99, "stable", "unit_state")


def test_what_cannot_be_summed_is_refused():
    with pytest.raises(ValueError, match="modulus between 0 and 1, got 1"):
        sensitivity(1.0, "exp")
    with pytest.raises(ValueError, match="one of modulus 1"):
        gauss_newton(torch.tensor([0.5, -1.0], dtype=torch.float64), RESIDUES[:2])
    with pytest.raises(ConfigError, match="unknown parametrisation 'tan'"):
        sensitivity(0.5, "tan")
