"""A layer is its three choices: whole sequences, single steps, and what it says of itself."""

import re

import jaxtyping
import pytest
import torch

from recollect import regression as R
from recollect.core import ConfigError, Mixer, NotDefinedError
from recollect.core.config import Config
from recollect.core.seeds import seeded_initialisation
from recollect.memory import Airy, Exponential, Impulse, Polynomial

DIM, HEADS = 8, 2
DECAYS = [R.ConstantDecay(), R.GatedDecay(), R.GatedDecay(per="channel")]
POINTS = {
    "linear attention": {},
    "importance": {"weights": R.Importance()},
    **{f"{weights.kind} {weights.per}": {"weights": weights} for weights in DECAYS},
    "window": {"weights": R.Window(size=3)},
    "memory": {"weights": R.Memory(function=Exponential(alpha=0.3))},
    "memory without a sum": {"weights": R.Memory(function=Impulse(alpha=2))},
    "features, normalised": {
        "function_class": R.Linear(features="elu"), "optimizer": R.OneStep(normalise="sum")
    },
    "positions": {"function_class": R.Linear(features="cosine", options={"max_length": 50})},
    "delta rule": {"optimizer": R.Sgd()},
    "gated delta rule": {"weights": R.GatedDecay(), "optimizer": R.Sgd(weight_decay="learned")},
    "kda": {"weights": R.GatedDecay(per="channel"), "optimizer": R.Sgd(rule="implicit")},
    "product": {"optimizer": R.Sgd(num_steps=2, retrieve="before")},
    "momentum": {"weights": R.GatedDecay(), "optimizer": R.Sgd(momentum="learned")},
    "least squares": {"weights": R.GatedDecay() * R.Importance(), "optimizer": R.Exact(learned=True)},
    "fixed ridge": {"weights": R.GatedDecay(), "optimizer": R.Exact(prior="fixed")},
    "network": {"function_class": R.MLP(expansion=2), "optimizer": R.Sgd(minibatch=3)},
    "attention": {
        "weights": R.Similarity(learned=True), "function_class": R.LocalConstant(), "optimizer": R.Exact()
    },
    "decaying attention in a window": {
        "weights": R.Similarity(kernel="gaussian") * R.GatedDecay() * R.Window(size=4),
        "function_class": R.LocalConstant(),
        "optimizer": R.Exact(),
    },
    "local linear": {
        "weights": R.Similarity(), "function_class": R.LocalLinear(), "optimizer": R.Exact(ridge=0.3)
    },
    "bonus": {
        "weights": R.GatedDecay(per="channel", parametrisation="exponential"),
        "optimizer": R.OneStep(retrieve="before", bonus=True),
    },
}  # fmt: skip
OUTER = {
    "convolution": {"short_conv": 4, "conv_bias": True, "activation": "silu"},
    "complex decay": {"rotation": "gated", "weights": R.GatedDecay()},
    "diagonal": {
        "rotation": "learned", "keys": "ones", "key_dim": 2, "weights": R.ConstantDecay(learned=True)
    },
    "keys of decay": {"keys": "decay", "weights": R.GatedDecay(per="channel", scales_writes=True)},
    "stream": {
        "stream": 8, "num_key_heads": 1, "short_conv": 3, "skip": True, "output_gate": "silu",
        "weights": R.GatedDecay(parametrisation="softplus", scales_writes=True),
    },
    "gated norm": {"output_norm": "rms", "output_gate": "silu", "gate_first": True, "norm_groups": 1},
    "layer norm": {"output_norm": "layer", "output_gate": "sigmoid", "gate_rank": 2},
}  # fmt: skip
CASES = POINTS | OUTER


def build(name, seed=0):
    with seeded_initialisation(seed):
        return R.RegressionLayer(DIM, num_heads=HEADS, **CASES[name]).double()


def draw(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def streamed(layer, x):
    state, outputs = layer.initial_state(len(x)), []
    for x_t in x.unbind(1):
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs, dim=1), state


def tensors_in(state):
    return [state] if isinstance(state, torch.Tensor) else [x for part in state for x in tensors_in(part)]


@pytest.fixture(params=CASES)
def layer(request):
    return build(request.param)


def test_a_layer_is_a_mixer(layer):
    assert isinstance(layer, Mixer)


@pytest.mark.parametrize("length", [1, 2, 17])
def test_reading_step_by_step_is_the_same_function(layer, length):
    x = draw(3, length, DIM)
    torch.testing.assert_close(streamed(layer, x)[0], layer(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [0, 1, 6])
def test_state_size_counts_the_scalars_in_the_state(layer, length):
    state = layer.initial_state(3)
    for x_t in draw(3, length, DIM).unbind(1):
        _, state = layer.step(x_t, state)
    scalars = sum(x.numel() * (2 if x.is_complex() else 1) for x in tensors_in(state))
    assert scalars == 3 * layer.state_size(length)


def test_output_does_not_depend_on_the_future(layer):
    x = draw(1, 9, DIM)
    size = torch.autograd.functional.jacobian(layer, x)[0, :, :, 0].abs().amax(dim=(1, 3))
    assert size.triu(1).max() == 0
    assert size.isfinite().all()


def test_gradients_are_the_derivatives(layer):
    x = draw(2, 5, DIM).requires_grad_()
    weights = draw(2, 5, DIM, seed=3)
    names = [name for name, p in layer.named_parameters() if p.requires_grad]

    def loss(x, *values):
        given = dict(zip(names, values, strict=True))
        return (torch.func.functional_call(layer, given, (x,)) * weights).sum()

    values = [dict(layer.named_parameters())[name] for name in names]
    assert torch.autograd.gradcheck(loss, (x, *values), fast_mode=True)


def test_a_layer_says_what_it_is(layer):
    description = layer.describe()
    assert layer.composition.weights.equation in description.weights
    assert description.function_class == layer.composition.function_class.equation
    if not isinstance(layer.composition.optimizer, R.Exact):
        assert description.optimizer == layer.composition.optimizer.equation
    assert description.state_size == layer.state_size(1)
    assert layer.solver.name in description.runs
    assert len(str(description).splitlines()) == 11


def test_the_options_of_a_layer_are_plain_data():
    """A study file says what Python says."""
    weights = R.GatedDecay(per="channel") * R.Similarity(kernel="gaussian")
    for value in (weights, R.Linear(features="taylor"), R.Sgd(momentum="learned")):
        assert isinstance(value, Config)
        assert type(value).parse(value.model_dump(mode="json")) == value


def test_a_memory_function_weights_by_its_values():
    """Against the sum over ages, with the weights written out."""
    for function, tolerance in (
        (Exponential(alpha=0.2), 1e-10), (Impulse(alpha=3), 1e-10), (Polynomial(alpha=0.6), 3e-3)
    ):  # fmt: skip
        config = R.Memory(function=function, length=64, tolerance=1e-3)
        with seeded_initialisation(0):
            layer = R.RegressionLayer(DIM, num_heads=HEADS, weights=config).double()
        x = draw(2, 20, DIM)
        a, _ = layer.associations(x, layer.initial_state(2))
        rho = function.values(20)
        age = torch.arange(20)[:, None] - torch.arange(20)
        dense = torch.where(age >= 0, rho[age.clamp(min=0)], 0.0)
        scores = torch.einsum("bthk,bshk,ts->bhts", a.q, a.k, dense)
        expected = layer.project_out(torch.einsum("bhts,bshv->bthv", scores, a.v).flatten(-2))
        error = (layer(x) - expected).norm() / expected.norm()
        assert error < tolerance, function.label


def test_a_memory_function_with_negative_values_cannot_weight_a_least_squares_fit():
    with pytest.raises(ConfigError, match="negative"):
        R.RegressionLayer(DIM, weights=R.Memory(function=Airy(alpha=32.0)), optimizer=R.Exact())


def test_a_network_has_no_exact_minimiser():
    with pytest.raises(ConfigError, match=r"Sgd|OneStep"):
        R.RegressionLayer(DIM, function_class=R.MLP(), optimizer=R.Exact())


def test_sizes_that_do_not_fit_are_refused_with_those_that_do():
    with pytest.raises(ConfigError, match=r"must be divisible by num_heads=3; possible: \[1, 2, 4, 8\]"):
        R.RegressionLayer(8, num_heads=3)
    with pytest.raises(ConfigError, match="must be even"):
        R.RegressionLayer(6, num_heads=2, rotation="rope")
    with pytest.raises(ConfigError, match="num_steps=2"):
        R.RegressionLayer(8, optimizer=R.Sgd(num_steps=2), skip=True)


@pytest.mark.parametrize(("options", "message"), [
    ({"activation": "gelu"}, "activation='gelu'"),
    ({"output_gate": "tanh"}, "output_gate='tanh'"),
    ({"output_norm": "lyer"}, "did you mean 'layer'"),
    ({"rotation": "rop"}, "did you mean 'rope'"),
    ({"keys": "one"}, "did you mean 'ones'"),
    ({"skip": "yes"}, "skip='yes'"),
    ({"num_heads": 0}, "num_heads=0: expected at least 1"),
    ({"num_key_heads": 0}, "num_key_heads=0"),
    ({"output_norm": "rms", "norm_groups": 3}, "over 3 parts of 8 channels"),
    ({"output_norm": "layer", "num_heads": 8}, "parts of at least 2"),
    ({"stream": 8, "activation": "silu"}, "silu_qk"),
    ({"keys": "decay"}, "scales_writes=True"),
])  # fmt: skip
def test_an_option_that_would_not_be_what_it_says_is_refused(options, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as it is for users
    with pytest.raises(ConfigError, match=re.escape(message)):
        R.RegressionLayer(DIM, **({"num_heads": HEADS} | options))


def test_a_network_over_constant_keys_is_not_time_invariant():
    layer = R.RegressionLayer(
        DIM, num_heads=HEADS, keys="ones", function_class=R.MLP(), optimizer=R.OneStep()
    )
    assert not layer.is_lti


def test_only_diagonal_recurrences_of_the_values_are_time_invariant():
    layer = build("diagonal")
    x = draw(2, 13, DIM)
    kernel = layer.kernel(13)
    lagged = [torch.nn.functional.pad(x, (0, 0, lag, 0))[:, :13] @ kernel[lag].T for lag in range(13)]
    torch.testing.assert_close(sum(lagged), layer(x), rtol=1e-10, atol=1e-10)
    with pytest.raises(NotDefinedError):
        build("delta rule").kernel(3)


def test_linearity_and_time_invariance_are_as_claimed(layer):
    x, z = draw(2, 13, DIM), draw(2, 13, DIM, seed=2)
    linear = torch.allclose(layer(2 * x - 3 * z), 2 * layer(x) - 3 * layer(z), rtol=1e-10, atol=1e-10)
    late = torch.nn.functional.pad(x, (0, 0, 4, 0))
    invariant = torch.allclose(layer(late)[:, 4:], layer(x), rtol=1e-10, atol=1e-10)
    assert layer.is_lti == (linear and invariant)
