"""Bands hold the truth as often as they say, on maps whose memory is known in closed form."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from scipy.stats import binom
from scipy.stats import t as student_t

from recollect.core import causal_convolution, normal
from recollect.models import SSM, Attention, SequenceModel
from recollect.probing.maps import sequence_map
from recollect.probing.profile.correlation import gaussian_correlation
from recollect.probing.profile.impulse import centred_impulse
from recollect.probing.profile.jacobian import mean_jacobian
from recollect.probing.profile.step import step_difference

LAGS, REPETITIONS = 12, 200
TAPS = torch.tensor([0.5, -1.0, 0.0, 0.7, 0.3], dtype=torch.float64)


def padded(taps):
    return torch.nn.functional.pad(taps, (0, LAGS - len(taps)))[:, None, None]


def filtered(x):
    return causal_convolution(x, TAPS[:, None])


def expected(function):
    """Mean of `function(z)`, z standard normal: a trapezoid rule, which kinks do not disturb either."""
    z = torch.linspace(-12, 12, 48001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2)
    return (function(z) * (density / density.sum())).sum()


def mean_effect(bend, shifts):
    """E f(w * x + a) for each a."""
    return torch.stack([expected(lambda z, a=a: bend(TAPS.norm() * z + a)) for a in shifts])


def mean_slope(bend):
    """E f'(w * x), by Stein's identity."""
    return expected(lambda z: z * bend(TAPS.norm() * z)) / TAPS.norm()


def after_impulse(bend):
    return padded((mean_effect(bend, TAPS) - mean_effect(bend, -TAPS)) / 2)


def after_step(bend):
    levels = torch.cat([TAPS.new_zeros(1), TAPS.cumsum(0), TAPS.sum().expand(LAGS - len(TAPS))])
    return mean_effect(bend, levels).diff()[:, None, None]


def product(x):
    return x * torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]


def gated(x):
    """`h_t = sigmoid(x_t) h_(t-1) + x_t`: gates do not depend on the input they let pass, k1(s) = 2^-s."""
    state, states = torch.zeros_like(x[:, 0]), []
    for x_t in x.unbind(1):
        state = torch.sigmoid(x_t) * state + x_t
        states.append(state)
    return torch.stack(states, dim=1)


def state_space():
    """Poles .9 and -.6 set by hand; its memory goes on beyond the lags that are asked for."""
    mixer = SSM(1, num_states=2, parametrisation="direct")
    model = SequenceModel(
        lambda: mixer, 1, 1, dim=1, encoder=False, decoder=False, bias=False, residual=False
    ).double()
    mixer.pole.data = torch.tensor([0.9, -0.6], dtype=torch.float64)
    return model


def alibi_heads():
    """They change with the position; the last one is looked at."""
    heads = Attention(2, num_heads=2, positions="alibi", content=False)
    for place, matrix in enumerate((heads.project_in.weight, heads.project_out.weight)):
        matrix.data = normal(place, torch.arange(2), 2)
    return SequenceModel(lambda: heads, 2, 2, dim=2, encoder=False, decoder=False, residual=False).double()


LAG = torch.arange(LAGS, dtype=torch.float64)[:, None, None]
SILENT = torch.zeros(LAGS, 1, 1, dtype=torch.float64)
HALVES = 0.5**LAG
STATE_SPACE, ALIBI = state_space(), alibi_heads()
STATE_SPACE_MEMORY = STATE_SPACE.kernel(LAGS).detach()
ALIBI_MEMORY = ALIBI.linear_response(LAGS).kernel.detach()


def tanh_of_filter(x):
    return filtered(x).tanh()


def relu_of_filter(x):
    return filtered(x).relu()


def cube_of_filter(x):
    return filtered(x) ** 3


CASES = {
    "jacobian of tanh": (tanh_of_filter, mean_jacobian, mean_slope(torch.tanh) * padded(TAPS), 48, {}),
    "jacobian of cube": (cube_of_filter, mean_jacobian, 3 * TAPS.norm() ** 2 * padded(TAPS), 256, {}),
    "jacobian of product": (product, mean_jacobian, SILENT, 48, {}),
    "jacobian of gates": (gated, mean_jacobian, HALVES, 256, {}),
    "impulse on relu": (relu_of_filter, centred_impulse, after_impulse(torch.relu), 48, {}),
    "impulse on product": (product, centred_impulse, SILENT, 48, {}),
    "step on tanh": (tanh_of_filter, step_difference, after_step(torch.tanh), 48, {}),
    "correlation of tanh": (
        tanh_of_filter,
        gaussian_correlation,
        mean_slope(torch.tanh) * padded(TAPS),
        32,
        {"windows": 2},
    ),
    "correlation of state space": (STATE_SPACE, gaussian_correlation, STATE_SPACE_MEMORY, 32, {"windows": 2}),
    "correlation of ALiBi heads": (ALIBI, gaussian_correlation, ALIBI_MEMORY[-1], 32, {"windows": 1}),
}


def standardised_errors(estimator, read, truth, samples, options):
    """Errors over standard errors, at [repetition, lag], where samples differ; and the degrees of freedom."""
    probed = sequence_map(read, input_size=truth.shape[2], name="system")
    errors = []
    for seed in range(REPETITIONS):
        found = estimator(probed, length=LAGS, samples=samples, seed=seed, **options)
        errors.append((found.values - truth) / found.standard_errors)
    varies = found.standard_errors > 1e-9
    return torch.stack(errors)[:, varies].abs(), found.degrees_of_freedom


@pytest.mark.parametrize("case", CASES)
def test_the_band_covers_the_truth_at_its_nominal_rate_over_200_repetitions(case):
    read, estimator, truth, samples, options = CASES[case]
    errors, degrees_of_freedom = standardised_errors(estimator, read, truth, samples, options)
    assert errors.shape[1] >= 1
    # One lag of each repetition, at random: then the hits are independent, and their number is binomial.
    places = torch.randint(errors.shape[1], (REPETITIONS,), generator=torch.Generator().manual_seed(0))
    chosen = errors[torch.arange(REPETITIONS), places]
    for level in (0.95, 0.68):
        half_width = student_t.ppf((1 + level) / 2, degrees_of_freedom)
        least, most = binom.interval(0.999, REPETITIONS, level)
        assert least <= int((chosen <= half_width).sum()) <= most
        by_repetition = (errors <= half_width).double().mean(1)
        spread = by_repetition.std() / REPETITIONS**0.5
        assert abs(by_repetition.mean() - level) < 3.5 * spread


LINEAR = {
    "taps": (filtered, padded(TAPS)),
    "delay": (lambda x: torch.nn.functional.pad(x, (0, 0, 7, 0))[:, : x.shape[1]], 1.0 * (LAG == 7)),
    "state space": (STATE_SPACE, STATE_SPACE_MEMORY),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("estimator", [mean_jacobian, centred_impulse, step_difference])
@pytest.mark.parametrize("system", LINEAR)
def test_bands_of_linear_maps_are_narrow_and_hold_the_memory_within_rounding(system, estimator, dtype):
    read, truth = LINEAR[system]
    if isinstance(read, torch.nn.Module):
        read = deepcopy(read).to(dtype)
    probed = replace(sequence_map(read, input_size=1, name=system), dtype=dtype)
    for seed in range(3):
        found = estimator(probed, length=LAGS, samples=8, seed=seed)
        assert ((found.values - truth).abs() <= 2 * found.standard_errors).all()
        assert found.standard_errors.max() < 100 * torch.finfo(dtype).eps


@pytest.mark.parametrize("estimator", [mean_jacobian, centred_impulse])
def test_heads_that_average_are_read_exactly_at_their_position(estimator):
    probed = sequence_map(ALIBI)
    if estimator is mean_jacobian:
        found, truth = estimator(probed, length=LAGS, samples=4), ALIBI_MEMORY[-1]
    else:  # lag s is read at position s
        found = estimator(probed, length=LAGS, samples=4, burn_in=0)
        truth = ALIBI_MEMORY.diagonal().permute(2, 0, 1)
    torch.testing.assert_close(found.values, truth, rtol=0, atol=1e-12)
    assert ((found.values - truth).abs() <= 2 * found.standard_errors).all()


def test_the_cross_correlation_of_a_short_linear_memory_is_exact():
    """The other half's fit leaves nothing to correlate."""
    found = gaussian_correlation(sequence_map(filtered, input_size=1), length=LAGS, samples=32, windows=4)
    torch.testing.assert_close(found.values, padded(TAPS), rtol=0, atol=1e-5)
    assert ((found.values - padded(TAPS)).abs() <= 4 * found.standard_errors).all()
