"""Poles of linear recurrences: their powers, kernels, parametrisations and first values."""

import math
from typing import get_args

import pytest
import torch

from recollect.core import causal_convolution, seeded_initialisation
from recollect.models import LRU, S4D, SSM, vandermonde_kernel
from recollect.models.parametrisation import (
    Parametrisation,
    decay_rate,
    from_decay_rate,
    from_modulus,
    modulus,
)
from recollect.models.vandermonde import matrix_powers
from recollect.ops.powers import powers

NAMES = get_args(Parametrisation)


def unit_poles(rng, *shape):
    angle = 2 * math.pi * torch.rand(*shape, dtype=torch.float64, generator=rng)
    return torch.polar(torch.ones_like(angle), angle)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 1000])
def test_kernel_is_the_sum_of_its_modes_even_on_the_unit_circle(length, rng):
    poles = unit_poles(rng, 3, 5)
    coefficients = unit_poles(rng, 3, 5)
    lags = torch.arange(length)
    direct = (coefficients[..., None] * poles[..., None] ** lags).sum(-2)
    torch.testing.assert_close(
        vandermonde_kernel(coefficients, poles, length), direct, rtol=1e-10, atol=1e-10
    )


def test_kernel_has_its_derivatives_at_zero_and_negative_poles():
    poles = torch.tensor([0.0, -0.7, 0.9], dtype=torch.float64, requires_grad=True)
    coefficients = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c, p: vandermonde_kernel(c, p, 11), (coefficients, poles))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 9])
def test_powers_by_doubling_are_powers(count, rng):
    base = torch.randn(4, dtype=torch.float64, generator=rng)
    expected = base[None] ** torch.arange(count)[:, None]
    torch.testing.assert_close(powers(base, count), expected, rtol=1e-10, atol=1e-10)
    matrix = torch.randn(3, 3, dtype=torch.float64, generator=rng)
    for s, power in enumerate(matrix_powers(matrix, count)):
        torch.testing.assert_close(power, torch.linalg.matrix_power(matrix, s), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("length", [1, 7, 12])
def test_convolution_by_fft_is_the_sum_over_lags(length, dtype, rng):
    x = torch.randn(2, length, 3, dtype=dtype, generator=rng)
    taps = torch.randn(length, 3, dtype=dtype, generator=rng)
    direct = sum(torch.nn.functional.pad(x, (0, 0, s, 0))[:, :length] * taps[s] for s in range(length))
    torch.testing.assert_close(causal_convolution(x, taps), direct, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_parametrisations_invert(name):
    values = torch.tensor([0.03, 0.5, 0.99], dtype=torch.float64)
    torch.testing.assert_close(modulus(from_modulus(values, name), name), values, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        decay_rate(from_decay_rate(values, name), name), values, rtol=1e-10, atol=1e-10
    )


def test_only_the_stable_parametrisation_keeps_its_sensitivity_bounded():
    """Squared sensitivity `(d lambda / d w)^2 / (1 - lambda^2)^3` at lambda = .999, against the table."""
    pole = torch.tensor(0.999, dtype=torch.float64)
    sensitivity = {}
    for name in NAMES:
        w = from_modulus(pole, name).requires_grad_()
        (slope,) = torch.autograd.grad(modulus(w, name), w)
        sensitivity[name] = (slope**2 * (1 + pole**2) / (1 - pole**2) ** 3).item()
    assert sensitivity["direct"] == pytest.approx(2.5e8, rel=0.02)
    assert sensitivity["exp"] == pytest.approx(250, rel=0.02)
    assert sensitivity["stable"] == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("parametrisation", NAMES)
@pytest.mark.parametrize("states", ["real", "complex"])
def test_every_parametrisation_starts_at_the_same_system(parametrisation, states):
    def kernel(name):
        with seeded_initialisation(3):
            mixer = SSM(4, num_states=6, states=states, parametrisation=name)
        return mixer.double().kernel(20)

    torch.testing.assert_close(kernel(parametrisation), kernel("exp"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mixer", [SSM, LRU])
def test_states_start_with_unit_variance_under_white_input(mixer, rng):
    with seeded_initialisation(1):
        built = mixer(16, num_states=400)
        if mixer is LRU:
            poles, gain = built._poles_and_gain()
        else:
            poles, gain = built._poles(), torch.ones(400)
    rows = (built.system.input_parts * gain[:, None, None]).square().sum((1, 2))
    variance = rows / (1 - poles.abs() ** 2)
    assert variance.mean().item() == pytest.approx(1, abs=0.06)


def test_lru_poles_start_in_their_ring():
    with seeded_initialisation(1):
        poles, _ = LRU(4, num_states=500, largest_phase=0.3)._poles_and_gain()
    assert 0.4 <= poles.abs().min() < 0.5 < 0.98 < poles.abs().max() <= 0.9901
    assert 0 <= poles.angle().min() < 0.01 < 0.29 < poles.angle().max() <= 0.3001


@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
def test_s4d_samples_the_continuous_system(discretisation):
    """The kernel's sum over lags is the system's gain at frequency zero, whatever the step size."""
    mixer = S4D(2, num_states=3, discretisation=discretisation, dt_min=0.05, dt_max=0.1).double()
    a = torch.complex(-mixer.decay.exp(), mixer.frequency)
    gain = (-2 * torch.view_as_complex(mixer.output_parts) / a).sum(-1).real
    total = mixer.kernel(4000).sum(0).diagonal() - mixer.feedthrough
    torch.testing.assert_close(total, gain, rtol=1e-10, atol=1e-10)


def test_s4d_starts_at_the_published_frequencies():
    n = torch.arange(4)
    assert torch.allclose(S4D(1, num_states=4, initialisation="lin").frequency, math.pi * n)
    inverse = 8 / math.pi * (8 / (2 * n + 1) - 1)
    assert torch.allclose(S4D(1, num_states=4, initialisation="inv").frequency, inverse)
