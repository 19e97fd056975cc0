import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from recollect.core import ConfigError, NumericalError, normal
from recollect.models import GRU, RNN, Attention, ModelConfig
from recollect.probing.maps import sequence_map
from recollect.probing.profile.backgrounds import backgrounds
from recollect.probing.profile.correlation import gaussian_correlation
from recollect.probing.profile.impulse import centred_impulse
from recollect.probing.profile.jacobian import mean_jacobian
from recollect.probing.profile.part import part_of
from recollect.probing.profile.sample_moments import SampleMoments
from recollect.probing.profile.step import step_difference

ESTIMATORS = [mean_jacobian, gaussian_correlation, centred_impulse, step_difference]
BY_OUTPUTS = [gaussian_correlation, centred_impulse, step_difference]


def delayed(x, lag):
    return torch.nn.functional.pad(x, (0, 0, lag, 0))[:, : x.shape[1]]


def product(x):
    return x * delayed(x, 1)


def seeded(module):
    """The module with parameters that depend on nothing but their place."""
    for place, parameter in enumerate(module.parameters()):
        parameter.data = normal(place, torch.arange(1), parameter.numel()).reshape(parameter.shape) / 2
    return module


def black_box(x):
    """A leaky sum, in NumPy."""
    return lfilter([1.0], [1.0, -0.5], x, axis=1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_answers_lie_at_lag_output_input(estimator):
    matrices = normal(0, torch.arange(4), 6).unflatten(1, (3, 2))
    probed = sequence_map(lambda x: sum(delayed(x, s) @ m.T for s, m in enumerate(matrices)), input_size=2)
    found = estimator(probed, length=5, samples=16)
    expected = torch.cat([matrices, torch.zeros(1, 3, 2, dtype=torch.float64)])
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-4)
    assert found.standard_errors.shape == (5, 3, 2)
    assert (found.output_variance.shape, found.input_variance.tolist()) == ((3,), [1.0, 1.0])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_values_are_in_units_of_the_data(estimator):
    """A linear map has one memory function, whatever the amplitude of each channel."""
    probed = sequence_map(
        lambda x: x @ x.new_tensor([[2.0], [3.0]]), input_size=2, amplitude=torch.tensor([0.01, 20.0])
    )
    found = estimator(probed, length=3, samples=16)
    torch.testing.assert_close(found.values[0, 0], torch.tensor([2.0, 3.0]).double(), rtol=1e-5, atol=0)
    assert found.amplitude == pytest.approx(math.sqrt((0.01**2 + 20**2) / 2))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_estimate_says_what_it_is_of_and_is_the_same_for_the_same_seed(estimator):
    probed = sequence_map(product, input_size=1, amplitude=0.5)
    found, again, other = (estimator(probed, length=6, samples=16, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(found.values, again.values)
    assert not torch.equal(found.values, other.values)
    assert found.background == "white Gaussian, deviation 0.5"
    assert (found.samples, found.length, found.is_white_gaussian) == (16, 6, True)
    assert len(found.quantity) > 20
    assert (found.rms is None) == (estimator is not mean_jacobian)
    assert (found.jump is None) == (estimator in (mean_jacobian, gaussian_correlation))


def test_a_product_of_inputs_has_no_mean_jacobian_and_an_rms_of_one():
    found = mean_jacobian(sequence_map(product, input_size=1), length=5, samples=4096)
    assert found.values.abs().max() < 4 * found.standard_errors.max() < 0.1
    torch.testing.assert_close(
        found.rms[:, 0, 0], torch.tensor([1.0, 1, 0, 0, 0]).double(), rtol=0, atol=0.05
    )
    assert found.output_variance.item() == pytest.approx(1, abs=0.2)


def test_the_mean_jacobian_and_its_spread_are_those_of_gradients_taken_one_by_one():
    probed = sequence_map(seeded(GRU(3).double()), amplitude=0.7)
    found = mean_jacobian(probed, length=5, samples=8, seed=2)
    (x,) = backgrounds(probed, 8, 5, 2)
    slopes = torch.stack(
        [torch.autograd.functional.jacobian(lambda one: probed.apply(one[None])[0, -1], one) for one in x]
    )
    by_lag = slopes.transpose(1, 2).flip(1)
    torch.testing.assert_close(found.values, by_lag.mean(0), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.standard_errors, by_lag.std(0) / 8**0.5, rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(found.rms, by_lag.square().mean(0).sqrt(), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(found.output_variance, probed.apply(x)[:, -1].var(0))


def test_the_correlation_is_the_mean_product_with_the_input_where_nothing_was_fitted():
    """Few numbers a lag: the outputs lose the means that the other half found, and nothing else."""
    length, windows, probed = 7, 2, sequence_map(product, input_size=1, amplitude=1.5)
    drawn = []
    spying = replace(probed, draw=lambda *asked: drawn.append(probed.draw(*asked)) or drawn[-1])
    found = gaussian_correlation(spying, length=length, samples=5, windows=windows)
    first, second = drawn
    positions = range(length - 1, windows * length)
    outputs = [product(x)[:, length - 1 :, 0] for x in drawn]
    means = []
    for x, y, other in ((first, outputs[0], outputs[1]), (second, outputs[1], outputs[0])):
        lagged = torch.stack([x[:, [t - s for t in positions], 0] for s in range(length)], dim=1)
        means.append(((y - other.mean(0))[:, None] * lagged).mean((0, 2)) / 1.5**2)
    torch.testing.assert_close(found.values[:, 0, 0], (means[0] + means[1]) / 2, rtol=0, atol=1e-12)
    assert (found.position, found.degrees_of_freedom) == (windows * length - 1, 3)


def test_control_variates_narrow_the_band_of_a_nearly_linear_map():
    probed = sequence_map(lambda x: (delayed(x, 2) - 0.5 * delayed(x, 5)).sinh(), input_size=1, amplitude=0.3)
    found = gaussian_correlation(probed, length=8, samples=64)
    plain = (found.output_variance / found.input_variance / (64 * 25)).sqrt()  # 25 positions each
    assert found.standard_errors.max() < 0.2 * plain


def test_estimators_agree_on_a_gru_at_small_amplitude():
    mixer = seeded(GRU(3).double())
    for parameter in mixer.parameters():
        parameter.data *= parameter.ndim > 1  # with a bias, memory would change until the state has settled
    probed = sequence_map(mixer, amplitude=1e-3)
    found = [estimator(probed, length=12, samples=32, seed=5) for estimator in ESTIMATORS]
    for one in found[1:]:
        gap = (one.values - found[0].values).abs()
        assert (gap < 5 * one.standard_errors.hypot(found[0].standard_errors)).all()
        assert gap.max() < 1e-3 * found[0].values.abs().max()


def horizon(estimate, share=0.95):
    energy = estimate.values.square().sum((1, 2)).cumsum(0)
    return int((energy < share * energy[-1]).sum()) + 1


def test_an_impulse_out_of_silence_overstates_the_memory_of_a_saturating_network_and_says_so():
    """One jump, as large as the data: on a background of data, later inputs overwrite what is remembered."""
    mixer = RNN(1).double()
    mixer.input_matrix.data.fill_(4.0)
    mixer.recurrent_matrix.data.fill_(1.2)
    loud, quiet = (sequence_map(mixer, amplitude=amplitude) for amplitude in (1.0, 1e-3))
    truth = mean_jacobian(loud, length=64, samples=64)
    in_data = centred_impulse(loud, length=64, samples=64)
    from_silence = centred_impulse(quiet, length=64, samples=64, jump=1e3)
    assert horizon(from_silence) >= 10 * horizon(truth)
    assert horizon(in_data) <= 2 * horizon(truth)
    assert "overstates the memory of saturating maps" in from_silence.quantity
    assert "1000 deviations" in from_silence.quantity


@pytest.mark.parametrize("positions", ["none", "rope", "alibi", "sinusoidal"])
@pytest.mark.parametrize("is_black_box", [False, True])
def test_a_step_refuses_softmax_attention_with_the_reason(positions, is_black_box):
    model = seeded(Attention(4, num_heads=2, positions=positions).double())
    read = (lambda x: model(torch.from_numpy(x)).detach().numpy()) if is_black_box else model
    probed = sequence_map(read, input_size=4)
    assert probed.differentiable == (not is_black_box)
    with pytest.raises(ConfigError, match=r"softmax attention.*Take estimator='jacobian'"):
        step_difference(probed, length=16, samples=8)


def test_a_step_refuses_heads_that_average_without_content():
    heads = seeded(Attention(4, num_heads=2, positions="alibi", content=False).double())
    with pytest.raises(ConfigError, match=r"moves by 0\.0% of what impulses"):
        step_difference(sequence_map(heads), length=16, samples=8)


@pytest.mark.parametrize("mixer", ["gru", "lstm", "rnn", "lru", "tcn", "gated_conv"])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_a_step_is_answered_by_models_that_do_not_average(mixer, norm):
    model = ModelConfig(mixer=mixer, dim=8, norm=norm).build(1, 1, seed=0)
    assert step_difference(sequence_map(model), length=12, samples=8).values.isfinite().all()


def test_a_step_on_a_running_mean_would_depend_on_when_it_begins_and_is_refused():
    count = torch.arange(1, 129, dtype=torch.float64)[:, None]
    mean = sequence_map(lambda x: x.cumsum(1) / count[: x.shape[1]], input_size=1)
    with pytest.raises(ConfigError, match="a step says nothing"):
        step_difference(mean, length=16, samples=8)


def test_a_black_box_is_read_by_its_outputs_and_its_gradient_is_refused():
    probed = sequence_map(black_box, input_size=1, name="leaky sum")
    expected = 0.5 ** torch.arange(20, dtype=torch.float64)[:, None, None]
    for estimator in BY_OUTPUTS:
        found = estimator(probed, length=20, samples=16)
        torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-4)
    with pytest.raises(ConfigError, match=r"leaky sum gives no gradient.*'correlation', 'impulse' or 'step'"):
        mean_jacobian(probed, length=20, samples=16)


def test_a_map_that_hides_its_gradient_is_refused():
    probed = replace(sequence_map(product, input_size=1), apply=lambda x: product(x.detach()))
    with pytest.raises(ConfigError, match="gives no gradient"):
        mean_jacobian(probed, length=4, samples=8)


def test_data_as_background_is_no_white_noise_for_a_correlation():
    data = normal(0, torch.arange(1), 200)[0].cumsum(0)[:, None]
    probed = sequence_map(product, background=data)
    with pytest.raises(ConfigError, match=r"white Gaussian inputs alone.*windows of 200 rows of data"):
        gaussian_correlation(probed, length=8, samples=8)
    assert "average local slope" in mean_jacobian(probed, length=8, samples=8).quantity


@pytest.mark.parametrize("estimator", [centred_impulse, step_difference])
def test_a_jump_comes_after_the_burn_in_which_is_not_negative(estimator):
    probed = sequence_map(product, input_size=1)
    found = estimator(probed, length=4, samples=8, burn_in=3)
    assert found.position == 6
    assert "position 3" in found.quantity
    with pytest.raises(ConfigError, match="burn_in=-1"):
        estimator(probed, length=4, samples=8, burn_in=-1)


def test_a_still_channel_has_no_jump():
    probed = replace(sequence_map(product, input_size=1), input_scale=torch.zeros(1, dtype=torch.float64))
    for estimator in (centred_impulse, step_difference):
        with pytest.raises(ConfigError, match="input channel 0 does not vary"):
            estimator(probed, length=4, samples=8)


def test_a_model_is_not_read_beyond_its_length():
    model = seeded(Attention(4, num_heads=1, positions="learned", max_length=10).double())
    probed = sequence_map(model)
    assert centred_impulse(probed, length=6, samples=4).position == 9
    assert gaussian_correlation(probed, length=10, samples=4).position == 9
    for estimator in ESTIMATORS:
        with pytest.raises(ConfigError, match="reads at most 10 positions: take length=10"):
            estimator(probed, length=11, samples=4)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_answers_that_are_not_finite_are_refused(estimator):
    probed = sequence_map(lambda x: (1e3 * x).exp().cumsum(1), input_size=1, name="explosion")
    with pytest.raises(NumericalError, match="explosion answers numbers that are not finite"):
        estimator(probed, length=4, samples=16)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(("length", "samples", "message"), [(0, 8, "length=0"), (4, 3, "samples=3")])
def test_sizes_that_say_nothing_are_refused(estimator, length, samples, message):
    with pytest.raises(ConfigError, match=message):
        estimator(sequence_map(product, input_size=1), length=length, samples=samples)


def test_too_many_answers_are_refused_with_the_way_out():
    wide = replace(sequence_map(product, input_size=1), input_size=4096, output_size=4096)
    with pytest.raises(ConfigError, match="give a readout"):
        mean_jacobian(wide, length=16, samples=8)


def test_samples_in_blocks_have_the_mean_and_spread_of_all():
    values = 1e6 + normal(0, torch.arange(50), 6).unflatten(1, (3, 2))
    moments = SampleMoments()
    for block in values.split(7):
        moments.add(block)
    torch.testing.assert_close(moments.mean, values.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(moments.variance, values.var(0), rtol=1e-9, atol=0)


def two_blocks():
    return ModelConfig(mixer="lru", dim=4, num_layers=2).build(1, 1, seed=0).double()


def test_a_module_inside_is_probed_alone_on_the_inputs_that_it_meets():
    model = two_blocks()
    part = part_of(sequence_map(model, name="m"), "blocks.1.mixer")
    found = mean_jacobian(part, length=9, samples=8)
    torch.testing.assert_close(found.values, model.blocks[1].mixer.kernel(9).detach(), rtol=0, atol=1e-12)
    assert found.background.startswith("what blocks.1.mixer meets while the model reads: white Gaussian")
    x = sequence_map(model).draw(3, 6, 1)
    met = model.blocks[1].mixer_norm(model.blocks[0](model.encoder(x)))
    torch.testing.assert_close(part.draw(3, 6, 1), met.detach())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_part_is_read_through_a_matrix():
    readout = normal(1, torch.arange(4), 2)
    model = two_blocks()
    found = mean_jacobian(part_of(sequence_map(model), "blocks.0.mixer", readout), length=5, samples=4)
    kernel = model.blocks[0].mixer.kernel(5).detach()
    torch.testing.assert_close(found.values, torch.einsum("soi,op->spi", kernel, readout), atol=1e-12, rtol=0)


def test_parts_that_cannot_be_probed_are_refused():
    probed = sequence_map(two_blocks(), name="lru model")
    with pytest.raises(ConfigError, match=r"near are blocks\.0\.mixer"):
        part_of(probed, "blocks.0.mixr")
    with pytest.raises(ConfigError, match="never calls it"):
        part_of(probed, "blocks")
    with pytest.raises(ConfigError, match=r"readout has 3 rows, blocks\.0\.mixer has 4 outputs"):
        part_of(probed, "blocks.0.mixer", torch.zeros(3, 1))
    with pytest.raises(ConfigError, match="plain function"):
        part_of(sequence_map(product, input_size=1), "mixer")


def test_numpy_functions_keep_no_gradient_history():
    found = centred_impulse(sequence_map(lambda x: np.cumsum(x, axis=1), input_size=1), length=4, samples=4)
    torch.testing.assert_close(found.values, torch.ones(4, 1, 1, dtype=torch.float64))
