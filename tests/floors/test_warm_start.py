"""A warm start: the model is the construction, whatever the mixer and its options."""

from itertools import product

import pytest
import torch
from torch import nn

from recollect.core import ConfigError
from recollect.floors import Problem
from recollect.floors.dilated import LinearDilated
from recollect.floors.finite_memory import FilterFit
from recollect.floors.recurrence_fit import RecurrenceFit, fit_recurrences
from recollect.floors.warm_start import warm_start
from recollect.memory import ExponentialSum, GaussianBump
from recollect.models import GRU, LRU, RNN, S4D, SSM, TCN, SequenceModel

LENGTH = 40
PARAMETRISATIONS = ["direct", "exp", "softplus", "stable"]


def exponentials(poles, residues, feed_through=0.3):
    poles, residues = (torch.tensor(x, dtype=torch.complex128) for x in (poles, residues))
    return RecurrenceFit(ExponentialSum(poles, residues), feed_through)


FADING = exponentials([0.9, 0.35, 0.05], [0.7, -1.2, 0.4])
TURNING = exponentials([0.8 + 0.3j, 0.9, -0.5, 0.2 + 0.6j], [0.5 - 0.9j, 0.6, 1.1, -0.4 + 0.2j])
GROWING = exponentials([1.05, -0.7], [0.5, 1.5])
HELD = RecurrenceFit(TURNING.sum, -0.4, torch.tensor([0.3, 0.0, 1.4], dtype=torch.float64), 1)
PLAIN_HELD = RecurrenceFit(TURNING.sum, 0.0, torch.tensor([0.3, 0.0, 1.4], dtype=torch.float64), 0)


def model_of(mixer, dim, dtype=torch.float64, **options):
    torch.manual_seed(3)
    return SequenceModel(lambda: mixer(dim), 1, 1, dim=dim, **options).to(dtype)


def response(model, length=LENGTH):
    impulse = torch.zeros(2, length, 1, dtype=next(model.parameters()).dtype)
    impulse[0, 0] = 1
    with torch.no_grad():
        answer, silence = model(impulse)[..., 0].double()
    return answer - silence


SSMS = {
    f"{states}, {parametrisation}": (
        lambda dim, s=states, p=parametrisation: SSM(dim, num_states=5, states=s, parametrisation=p),
        FADING if states == "real" else TURNING,
    )
    for states, parametrisation in product(["real", "complex"], PARAMETRISATIONS)
}
S4DS = {
    f"s4d, {discretisation}, {parametrisation}, {poles}": (
        lambda dim, d=discretisation, p=parametrisation: S4D(
            dim, num_states=3, discretisation=d, parametrisation=p
        ),
        fit,
    )
    for discretisation, parametrisation in product(["zoh", "bilinear"], PARAMETRISATIONS)
    for poles, fit in {"fading": FADING, "turning": TURNING}.items()
}
CASES = {
    **SSMS,
    **S4DS,
    "negative poles, stable": (
        lambda dim: SSM(dim, num_states=3),
        exponentials([-0.9, 0.6], [1.0, 0.5]),
    ),
    "growing pole, direct": (lambda dim: SSM(dim, num_states=2, parametrisation="direct"), GROWING),
    "growing pole, complex": (
        lambda dim: SSM(dim, num_states=2, states="complex", parametrisation="direct"),
        GROWING,
    ),
    "growing pole, s4d": (lambda dim: S4D(dim, num_states=1, parametrisation="direct"), GROWING),
    "by convolution": (lambda dim: SSM(dim, num_states=4, states="complex", form="convolution"), TURNING),
    "lru": (lambda dim: LRU(dim, num_states=6), TURNING),
    "lru, fading": (lambda dim: LRU(dim, num_states=3), FADING),
    "pole at zero": (lambda dim: LRU(dim, num_states=3), exponentials([0.0, 0.5], [2.0, 1.0])),
    "rnn": (lambda dim: RNN(dim, activation="linear"), TURNING),
    "rnn, growing": (lambda dim: RNN(dim, activation="linear"), GROWING),
}


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_the_impulse_response_is_the_fit(case, residual):
    mixer, fit = CASES[case]
    model = model_of(mixer, 8, residual=residual)
    warm_start(model, fit)
    torch.testing.assert_close(response(model), fit.taps(LENGTH), rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_in_single_precision_it_is_the_fit_to_its_rounding(case):
    mixer, fit = CASES[case]
    model = model_of(mixer, 7, torch.float32)
    warm_start(model, fit)
    torch.testing.assert_close(response(model, 12), fit.taps(12), rtol=0, atol=4e-6)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("fit", [HELD, PLAIN_HELD], ids=["beside a feed-through", "alone"])
def test_a_linear_rnn_holds_a_shift_register(fit, residual):
    model = model_of(lambda dim: RNN(dim, activation="linear"), 12, residual=residual)
    warm_start(model, fit)
    torch.testing.assert_close(response(model), fit.taps(LENGTH), rtol=0, atol=1e-10)


def test_one_that_is_as_wide_as_the_fit_has_states_suffices():
    model = model_of(lambda dim: RNN(dim, activation="linear"), TURNING.num_states, bias=False)
    warm_start(model, TURNING)
    torch.testing.assert_close(model.kernel(LENGTH)[:, 0, 0], TURNING.taps(LENGTH), rtol=0, atol=1e-10)


@pytest.mark.parametrize("mixer", [SSM, LRU, S4D])
def test_a_bare_mixer_of_one_channel_is_enough(mixer):
    model = model_of(lambda dim: mixer(dim, num_states=4), 1, encoder=False, decoder=False, residual=False)
    warm_start(model, FADING)
    torch.testing.assert_close(response(model), FADING.taps(LENGTH), rtol=0, atol=1e-10)


@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize(("levels", "kernel"), [(1, 6), (3, 3), (5, 2)])
def test_a_linear_tcn_holds_every_filter_of_its_receptive_field(levels, kernel, inner, outer):
    def mixer(dim):
        base = kernel if levels > 1 else 2
        return TCN(
            dim,
            kernel_size=kernel,
            num_levels=levels,
            dilation_base=base,
            activation="linear",
            residual=inner,
        )

    generator = torch.Generator().manual_seed(5)
    model = model_of(mixer, 9, residual=outer)
    reach = model.receptive_field
    fit = FilterFit(torch.randn(reach, generator=generator, dtype=torch.float64))
    warm_start(model, fit)
    torch.testing.assert_close(response(model), fit.taps(LENGTH), rtol=0, atol=1e-10)


def test_a_linear_tcn_of_the_width_of_a_dilated_fit_is_that_fit():
    problem = Problem(GaussianBump(alpha=9.0, width=2.0).values(32))
    fit = LinearDilated().floors(problem, [2])[0].fit
    model = model_of(lambda dim: TCN(dim, num_levels=5, activation="linear"), 3, residual=False)
    warm_start(model, fit)
    torch.testing.assert_close(response(model), fit.taps(LENGTH), rtol=0, atol=1e-10)


def test_states_that_are_not_needed_keep_their_poles_and_can_learn():
    model = model_of(lambda dim: LRU(dim, num_states=6), 5)
    mixer = model.mixers[0]
    before = [x.detach().clone() for x in (mixer.log_rate, mixer.log_phase, mixer.system.input_parts)]
    warm_start(model, FADING)
    for old, new in zip(before, (mixer.log_rate, mixer.log_phase, mixer.system.input_parts), strict=True):
        assert torch.equal(old[3:], new[3:])
    inputs = torch.randn(2, 9, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model(inputs).square().sum().backward()
    assert bool((mixer.system.output_parts.grad[:, 3:] != 0).all())


def test_the_model_starts_at_the_error_of_the_construction():
    problem = Problem(GaussianBump(alpha=12.0, width=3.0).values(LENGTH), "window")
    [fit] = fit_recurrences(problem, [6], feed_through=True, max_modulus=0.98)
    model = model_of(lambda dim: SSM(dim, num_states=3, states="complex", parametrisation="stable"), 4)
    warm_start(model, fit)
    assert problem.nmse(response(model)) == pytest.approx(problem.nmse(fit.taps(LENGTH)), rel=1e-9)


REFUSED = {
    "two layers": (lambda: model_of(SSM, 8, num_layers=2), FADING, "one layer"),
    "a norm": (lambda: model_of(SSM, 8, norm="rms"), FADING, "norm='none'"),
    "a channel mixer": (lambda: model_of(SSM, 8, channel_mixer="mlp"), FADING, "channel_mixer='none'"),
    "a nonlinear mixer": (lambda: model_of(GRU, 8), FADING, "mixers SSM, LRU, S4D, RNN, TCN"),
    "a nonlinear rnn": (lambda: model_of(RNN, 8), FADING, "activation='linear'"),
    "too few states": (lambda: model_of(lambda dim: LRU(dim, num_states=3), 8), TURNING, "4 poles"),
    "too few channels": (
        lambda: model_of(lambda dim: RNN(dim, activation="linear"), 5),
        TURNING,
        "6 real states, got dim=5",
    ),
    "complex poles": (lambda: model_of(SSM, 8), TURNING, "poles='real'"),
    "a register": (lambda: model_of(SSM, 8), HELD, "linear rnn"),
    "a growing pole": (lambda: model_of(LRU, 8), GROWING, "max_modulus"),
    "a negative pole": (
        lambda: model_of(lambda dim: SSM(dim, parametrisation="exp"), 8),
        exponentials([-0.5], [1.0]),
        "positive ones",
    ),
    "a filter in a recurrence": (
        lambda: model_of(SSM, 8),
        FilterFit(torch.ones(3, dtype=torch.float64)),
        "RecurrenceFit",
    ),
    "a long filter": (
        lambda: model_of(lambda dim: TCN(dim, num_levels=2, activation="linear"), 8),
        FilterFit(torch.ones(5, dtype=torch.float64)),
        "beyond the 4 inputs",
    ),
    "a wide filter": (
        lambda: model_of(lambda dim: TCN(dim, num_levels=4, activation="linear"), 2),
        FilterFit(torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)),
        "rank 4",
    ),
    "several channels": (
        lambda: SequenceModel(lambda: SSM(4), 2, 1, dim=4).double(),
        FADING,
        "2 in and 1 out",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_model_that_cannot_hold_the_fit_is_refused_and_left_as_it_was(case):
    make, fit, message = REFUSED[case]
    model = make()
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    with pytest.raises(ConfigError, match=message):
        warm_start(model, fit)
    assert torch.equal(before, nn.utils.parameters_to_vector(model.parameters()))
