"""What every named layer promises, measured on every one at its defaults, and on some at their options."""

import dataclasses
import doctest
import inspect
import json
import sys

import pytest
import torch
from torch.func import functional_call, grad, stack_module_state, vmap

from recollect.core import Mixer, seeded_initialisation
from recollect.models import ModelConfig
from recollect.regression.named import CATALOG

DIM = 8
OPTIONS = [
    ("linear_attention", {"normalise": False, "key_dim": 3, "short_conv": 2}),
    ("performer", {"num_features": 5, "num_heads": 2}),
    ("rfa", {"gated": True}),
    ("retnet", {"decay": 0.9, "value_dim": 3}),
    ("gla", {"rank": None, "key_dim": 3, "short_conv": 3}),
    ("mamba", {"key_dim": 3, "expand": 1, "short_conv": None}),
    ("mamba2", {"key_dim": 3, "num_key_heads": 2, "short_conv": None}),
    ("hgrn", {"complex_state": True, "expand": 2, "lower_bound": 0.2}),
    ("hgrn2", {"lower_bound": 0.5, "key_dim": 3, "short_conv": 3}),
    ("gateloop", {"num_heads": 2, "value_dim": 3}),
    ("lru", {"num_states": 5}),
    ("deltanet", {"key_dim": 3, "max_step": 2.0, "output_gate": "silu"}),
    ("gated_deltanet", {"num_key_heads": 2, "short_conv": None, "output_norm": "none"}),
    ("kda", {"rank": 1, "value_dim": 3}),
    ("delta_product", {"num_steps": 3, "gated": True}),
    ("longhorn", {"qk_norm": True, "max_step": 4.0, "output_norm": "none"}),
    ("ttt_linear", {"num_heads": 2, "minibatch": 3, "layer_norm": False, "max_step": 0.5}),
    ("ttt_mlp", {"expansion": 2, "minibatch": 1, "residual": False, "value_dim": 3}),
    ("titans", {"momentum": False, "minibatch": 5}),
    ("titans", {"weight_decay": False, "layer_norm": True, "residual": True}),
    ("rls", {"decay": False, "importance": True}),
    ("mesa", {"learned_ridge": False, "ridge": 0.3, "value_dim": 3}),
    ("intention", {"learned_ridge": True, "short_conv": 3}),
    ("kernel_intention", {"kernel": "laplace", "learned_ridge": True}),
    ("softmax_attention", {"rotation": "none", "value_dim": 3}),
    ("softmax_attention_qknorm", {"rotation": "gated", "learned_bandwidth": False}),
    ("forgetting_attention", {"qk_norm": True, "output_gate": "sigmoid", "output_norm": "rms"}),
    ("skyformer", {"normalise": False, "short_conv": 3}),
    ("soft", {"keys": "projected", "bandwidth": 2.0}),
    ("local_linear_attention", {"qk_norm": False, "ridge": 1.0, "rotation": "rope"}),
    ("local_polynomial_attention", {"degree": 1, "learned_bandwidth": False}),
    ("parallax", {"qk_norm": True, "rotation": "none"}),
]
CASES = [*((name, {}) for name in CATALOG), *OPTIONS]
NAMES = ["-".join([name, *(f"{k}={v}" for k, v in options.items())]) for name, options in CASES]
every_layer = pytest.mark.parametrize("case", CASES, ids=NAMES)
every_name = pytest.mark.parametrize("name", CATALOG)


def build(name, options=None, seed=0):
    """In float64, with every parameter away from special values such as a bias of zero."""
    with seeded_initialisation(seed):
        layer = CATALOG[name](DIM, **(options or {})).double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.mul_(1 + 0.1 * torch.rand_like(parameter)).add_(0.01 * torch.randn_like(parameter))
    return layer


def draw(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def tensors_in(state):
    return [state] if isinstance(state, torch.Tensor) else [t for part in state for t in tensors_in(part)]


def streamed(layer, x):
    state, outputs = layer.initial_state(len(x)), []
    for x_t in x.unbind(1):
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs, dim=1), state


@every_layer
@pytest.mark.parametrize("length", [1, 2, 17, 67])
def test_reading_step_by_step_is_the_same_function(case, length):
    layer, x = build(*case), draw(3, length, DIM)
    assert isinstance(layer, Mixer)
    torch.testing.assert_close(streamed(layer, x)[0], layer(x), rtol=1e-10, atol=1e-10)


@every_layer
def test_state_size_counts_the_scalars_in_the_state(case):
    layer = build(*case)
    for length in (0, 1, 6):
        state = layer.initial_state(3)
        for x_t in draw(3, length, DIM).unbind(1):
            before = [tensor.clone() for tensor in tensors_in(state)]
            _, following = layer.step(x_t, state)
            for tensor, copy in zip(tensors_in(state), before, strict=True):
                assert torch.equal(tensor, copy)
            state = following
        scalars = sum(tensor.numel() * (2 if tensor.is_complex() else 1) for tensor in tensors_in(state))
        assert scalars == 3 * layer.state_size(length)


@every_layer
def test_output_does_not_depend_on_the_future_but_on_the_present(case):
    x = draw(1, 11, DIM)
    jacobian = torch.autograd.functional.jacobian(build(*case), x)[0, :, :, 0]  # output t, d; input t, d
    size = jacobian.abs().amax(dim=(1, 3))
    assert size.triu(1).max() < 1e-13 * size.max()
    assert size.diagonal().min() > 0


@every_layer
def test_output_depends_on_the_past(case):
    x = draw(1, 11, DIM).requires_grad_()
    build(*case)(x)[0, -1].square().sum().backward()
    assert (x.grad[0].abs().amax(dim=1) > 0).all()


@every_layer
def test_sequences_of_a_batch_do_not_meet(case):
    layer, x = build(*case), draw(3, 7, DIM)
    alone = torch.cat([layer(one[None]) for one in x])
    torch.testing.assert_close(layer(x), alone, rtol=1e-10, atol=1e-10)


@every_layer
def test_gradients_are_the_derivatives(case):
    layer, weights = build(*case), draw(2, 5, DIM, seed=3)
    parameters = {name: p for name, p in layer.named_parameters() if p.requires_grad}

    def loss(x, *values):
        return (functional_call(layer, dict(zip(parameters, values, strict=True)), (x,)) * weights).sum()

    inputs = (draw(2, 5, DIM), *(p.detach().clone() for p in parameters.values()))
    assert torch.autograd.gradcheck(loss, tuple(x.requires_grad_() for x in inputs), fast_mode=True)


@every_layer
def test_every_parameter_matters(case):
    layer = build(*case)
    layer(draw(2, 7, DIM)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@every_layer
def test_many_layers_in_one_step_equal_a_loop_over_them(case):
    layers = [build(*case, seed=seed) for seed in range(3)]
    parameters, buffers = stack_module_state(layers)
    x = draw(3, 2, 6, DIM)

    def loss(parameters, buffers, x):
        return functional_call(layers[0], (parameters, buffers), (x,)).square().mean()

    together = vmap(grad(loss))(parameters, buffers, x)
    for i, layer in enumerate(layers):
        alone = grad(loss)(dict(layer.named_parameters()), dict(layer.named_buffers()), x[i])
        for name, value in alone.items():
            torch.testing.assert_close(together[name][i], value, rtol=1e-10, atol=1e-10)


@every_layer
def test_linearity_and_time_invariance_are_as_claimed(case):
    layer, x, z = build(*case), draw(2, 13, DIM), draw(2, 13, DIM, seed=2)
    linear = torch.allclose(layer(2 * x - 3 * z), 2 * layer(x) - 3 * layer(z), rtol=1e-10, atol=1e-10)
    late = torch.nn.functional.pad(x, (0, 0, 4, 0))
    invariant = torch.allclose(layer(late)[:, 4:], layer(x), rtol=1e-10, atol=1e-10)
    assert layer.is_lti == (linear and invariant)


@every_layer
def test_a_layer_says_what_it_is(case):
    layer = build(*case)
    description = layer.describe()
    for field in dataclasses.fields(description):
        assert str(getattr(description, field.name)), field.name
    assert description.title == layer.title
    assert "arXiv:" in description.citation
    assert layer.solver.name in description.runs


@every_name
def test_a_row_documents_itself(name):
    row = CATALOG[name]
    document = inspect.getdoc(row) or ""
    first = document.splitlines()[0]
    assert first.endswith(".")
    assert len(first) <= 80
    assert not set("`$\\") & set(first)
    assert "$$" in document
    assert "arXiv:" in document
    assert row.__name__ == name
    for argument in inspect.signature(row).parameters:
        assert f"\n    {argument}: " in document, argument


@every_name
def test_defaults_work_at_the_default_width(name):
    with seeded_initialisation(0):
        layer = CATALOG[name](32)
    x = draw(3, 65, 32).float()
    y = layer(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(streamed(layer, x)[0], y, rtol=2e-4, atol=2e-4)
    y.square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())
    assert y.isfinite().all()
    assert 1e-3 < y.square().mean() ** 0.5 < 10


@every_name
def test_initial_state_is_on_the_parameters_device(name):
    layer = CATALOG[name](DIM).to("meta")
    assert all(tensor.device.type == "meta" for tensor in tensors_in(layer.initial_state(2)))


@every_layer
def test_options_survive_a_model_configuration(case):
    name, options = case
    config = ModelConfig(mixer=f"{CATALOG[name].__module__}:{name}", options=options, dim=DIM)
    again = ModelConfig.model_validate(json.loads(config.model_dump_json()))
    assert again == config
    assert set(config.options) == set(inspect.signature(CATALOG[name]).parameters) - {"dim"}
    layer = again.build(1, 1, seed=0).mixers[0]
    with seeded_initialisation(0):
        expected = CATALOG[name](DIM, **options)
    assert layer.composition == expected.composition
    assert layer.state_size(5) == expected.state_size(5)


def test_examples_in_the_documentation_run():
    for module in {row.__module__ for row in CATALOG.values()}:
        assert doctest.testmod(sys.modules[module], extraglobs={"torch": torch}).failed == 0
