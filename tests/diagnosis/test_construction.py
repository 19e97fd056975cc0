import pytest
import torch

from recollect.diagnosis.construction import KnownMemory, constructed
from recollect.models import ModelConfig

LAGS = 40


def known(values, correlation=0.0):
    """Inputs that are independent of each other, each an AR(1)."""
    inputs = values.shape[1]
    powers = correlation ** torch.arange(LAGS, dtype=torch.float64)
    return KnownMemory(values, powers[:, None, None] * torch.eye(inputs, dtype=torch.float64), 2000)


def exponentials(*poles, residues):
    lags = torch.arange(LAGS, dtype=torch.float64)
    waves = torch.stack([torch.tensor(pole, dtype=torch.float64) ** lags for pole in poles], dim=1)
    return waves @ torch.tensor(residues, dtype=torch.float64)


def model_of(mixer, inputs, dim=4, **options):
    config = {"mixer": mixer, "dim": dim, "options": options}
    return ModelConfig.parse(config).build(inputs, 1, seed=3).double()


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize(("mixer", "options"), [("lru", {}), ("ssm", {"parametrisation": "stable"})])
def test_two_exponentials_of_several_inputs_are_held_by_two_states(mixer, options, correlation):
    values = exponentials(0.9, 0.5, residues=[[1.0, -0.4, 0.0], [0.3, 0.7, -1.0]])
    model = constructed(model_of(mixer, 3, num_states=2, **options), known(values, correlation))
    assert model is not None
    found = model.linear_response(LAGS).kernel[:, 0].detach()
    assert float((found - values).square().sum() / values.square().sum()) < 1e-6


@pytest.mark.parametrize("width", [2, 3])
def test_a_linear_tcn_holds_a_delay_within_its_field(width):
    values = torch.eye(LAGS, dtype=torch.float64)[:, 5:6]
    options = {"num_levels": 3, "activation": "linear"}
    model = constructed(model_of("tcn", 1, dim=width, **options), known(values))
    assert model is not None
    torch.testing.assert_close(model.linear_response(LAGS).kernel[:, 0].detach(), values, rtol=0, atol=1e-8)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_a_single_convolution_holds_the_best_filter_for_the_input_as_it_is(correlation):
    memory, field = known(exponentials(0.9, 0.5, residues=[[1.0, -0.4], [0.3, 0.7]]), correlation), 6
    options = {"kernel_size": field, "num_levels": 1, "activation": "linear", "residual": False}
    config = {"mixer": "tcn", "dim": 3, "options": options, "residual": False}
    model = constructed(ModelConfig.parse(config).build(2, 1, seed=3).double(), memory)
    assert model is not None
    found = model.linear_response(LAGS).kernel[:, 0].detach()
    assert not found[field:].any()
    # The normal equations of the projection on the last inputs.
    lags = torch.arange(LAGS)
    covariance = correlation ** (lags[:, None] - lags).abs().double()
    left = covariance[:field] @ (memory.values - found)
    torch.testing.assert_close(left, torch.zeros_like(left), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("mixer", "inputs", "options"),
    [("gru", 1, {}), ("tcn", 2, {"activation": "linear"}), ("attention", 1, {"num_heads": 1})],
)
def test_a_model_that_holds_no_known_fit_starts_at_random(mixer, inputs, options):
    values = exponentials(0.9, residues=[[1.0] * inputs])
    assert constructed(model_of(mixer, inputs, **options), known(values)) is None


def test_without_a_memory_nothing_is_constructed():
    assert constructed(model_of("lru", 1, num_states=2), None) is None
