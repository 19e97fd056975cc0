import pytest
import torch
from scipy.signal import lfilter
from torch import nn

from recollect.core import ConfigError, normal
from recollect.models import Attention, ModelConfig, SequenceModel
from recollect.probing.maps import sequence_map
from recollect.probing.profile import memory_of


def lru(num_layers=1):
    return ModelConfig(mixer="lru", dim=4, num_layers=num_layers).build(1, 1, seed=0).double()


def black_box(x):
    return lfilter([1.0], [1.0, -0.5], x, axis=1)


class Recurrent(nn.Module):
    """A model with all that a probe could disturb."""

    def __init__(self):
        super().__init__()
        self.encoder, self.drop = nn.Linear(2, 6), nn.Dropout(0.4)
        self.norm, self.cell = nn.BatchNorm1d(6), nn.GRU(6, 3, batch_first=True)

    def forward(self, x):
        h = self.norm(self.drop(self.encoder(x)).transpose(1, 2)).transpose(1, 2)
        return self.cell(h)[0]


@pytest.mark.parametrize("estimator", ["jacobian", "correlation", "impulse", "step"])
def test_a_model_in_training_is_left_as_it_was(estimator):
    torch.manual_seed(1)
    model = Recurrent()
    model.cell.eval()
    model.encoder.bias.requires_grad_(requires_grad=False)
    model(torch.randn(4, 5, 2)).sum().backward()
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    required = [p.requires_grad for p in model.parameters()]
    modes = [part.training for part in model.modules()]
    random_state = torch.random.get_rng_state()
    profile = memory_of(model, estimator=estimator, length=8, samples=8, input_size=2)
    assert profile.values.dtype == torch.float64
    assert profile.values.shape == (8, 3, 2)
    assert all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())
    assert all(p.dtype == torch.float32 for p in model.parameters())
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert (parameter.grad is None) if gradient is None else torch.equal(parameter.grad, gradient)
    assert [p.requires_grad for p in model.parameters()] == required
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert torch.is_grad_enabled()


def test_the_band_of_a_profile_holds_the_closed_form_at_every_position():
    model = lru()
    profile = memory_of(model, length=16, samples=8)
    kernel = model.linear_response(16).kernel.detach()
    assert sorted(profile.by_position) == [3, 7]
    assert ((profile.lower <= kernel) & (kernel <= profile.upper)).all()
    for position, estimate in profile.by_position.items():
        assert estimate.position == position
        torch.testing.assert_close(estimate.values, kernel[: position + 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("estimator", ["jacobian", "correlation", "impulse"])
def test_the_position_is_where_a_head_that_averages_was_read(estimator):
    heads = Attention(2, num_heads=1, positions="alibi", content=False)
    model = SequenceModel(lambda: heads, 2, 2, dim=2, encoder=False, decoder=False, residual=False).double()
    kernel = model.linear_response(8).kernel.detach()
    profile = memory_of(model, estimator=estimator, length=8, samples=512, positions=(2, 5))
    for position, estimate in profile.by_position.items():
        lags = torch.arange(position + 1)
        truth = kernel[lags, lags] if estimator == "impulse" else kernel[position, lags]
        assert estimate.position == position
        assert ((estimate.values - truth).abs() < 5 * estimate.standard_errors).all()


def test_the_estimator_is_chosen_by_what_the_map_allows():
    data = normal(0, torch.arange(1), 400)[0].cumsum(0)[:, None]
    chosen = {
        "jacobian": memory_of(lru(), length=8, samples=8),
        "correlation": memory_of(black_box, input_size=1, length=8, samples=8),
        "impulse": memory_of(black_box, background=data, length=8, samples=8),
    }
    for name, profile in chosen.items():
        assert profile.estimate.estimator == name
    assert chosen["correlation"].by_position == {}


def test_a_module_inside_is_probed_by_its_name():
    model = lru(num_layers=2)
    profile = memory_of(model, module="blocks.1.mixer", length=8, samples=8, readout=torch.eye(4)[:, :3])
    kernel = model.blocks[1].mixer.kernel(8).detach()[:, :3]
    torch.testing.assert_close(profile.values, kernel, rtol=0, atol=1e-12)
    assert profile.name.endswith("blocks.1.mixer")


def test_amplitude_and_jump_reach_the_estimate():
    profile = memory_of(lru(), estimator="impulse", amplitude=0.2, jump=3.0, length=8, samples=8, name="mine")
    assert (profile.estimate.amplitude, profile.estimate.jump, profile.name) == (0.2, 3.0, "mine")
    assert profile.estimate.position == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 1.0}, "confidence=1.0: expected a share"),
        ({"estimator": "jacobain"}, r"estimator='jacobain'.*jacobian"),
        ({"jump": 2.0}, r"jump=2\.0 belongs to estimator='impulse' or 'step'"),
        ({"positions": (7,)}, "expected positions before the last one, 0 to 6"),
        ({"length": 0}, "length=0"),
        ({"module": "blocks.3"}, "near are blocks"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        memory_of(lru(), **({"length": 8, "samples": 8} | options))


def test_a_map_that_sees_the_future_has_no_memory_function():
    with pytest.raises(ConfigError, match="not causal"):
        memory_of(lambda x: x.flip(1), input_size=1, length=8, samples=8)


def test_options_of_a_map_are_given_when_it_is_made():
    with pytest.raises(ConfigError, match="amplitude was chosen when the SequenceMap"):
        memory_of(sequence_map(lru()), amplitude=2.0, length=8, samples=8)


def test_a_language_model_is_probed_through_its_embeddings_and_its_layers_alone():
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=19,
        hidden_size=12,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=40,
    )
    model = transformers.LlamaForCausalLM(config)
    whole = memory_of(model, length=8, samples=8)
    assert whole.values.shape[::2] == (8, 12)
    layer = memory_of(model, module="model.layers.1", length=8, samples=8)
    assert layer.values.shape == (8, 12, 12)
    assert layer.estimate.background.startswith("what model.layers.1 meets")
    # A residual layer passes the present input on; the last layer alone looks back as well.
    assert layer.values[0].diagonal().mean() > 0.5
    assert layer.values[1:].abs().max() > 0
    with pytest.raises(ConfigError, match="reads at most 40 positions"):
        memory_of(model, length=41, samples=8)
