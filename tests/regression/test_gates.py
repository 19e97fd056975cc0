"""Gates at their defaults and far from them: stable from the start, finite, true to their digits."""

import itertools
import math

import pytest
import torch

from recollect import regression as R
from recollect.core.seeds import seeded_initialisation
from recollect.regression.gates import DecayGate, Rate
from recollect.regression.named import CATALOG

DIM = 32
OPTIMIZERS = [
    R.Exact(),
    R.Exact(prior="fixed"),
    R.Sgd(),
    R.Sgd(rule="implicit"),
    R.Sgd(rule="normalised"),
    R.Sgd(num_steps=2),
    R.Sgd(minibatch=16),
    R.Sgd(minibatch=16, num_steps=2),
    R.Sgd(momentum="learned"),
    R.Sgd(momentum=0.95),
    R.Sgd(momentum="learned", minibatch=16),
    R.Sgd(momentum="learned", minibatch=16, weight_decay="learned", gradient="undecayed"),
]
FUNCTION_CLASSES = [R.Linear(), R.MLP(depth=1), R.MLP()]
WEIGHTS = [R.Uniform(), R.GatedDecay()]
EXPLICIT = [x for x in OPTIMIZERS if isinstance(x, R.Sgd) and x.rule == "explicit"]
COMPOSITIONS = [
    *itertools.product(WEIGHTS, FUNCTION_CLASSES[:1], OPTIMIZERS),
    *itertools.product(WEIGHTS, FUNCTION_CLASSES[1:], EXPLICIT),
]


def built(make, *arguments, **options):
    with seeded_initialisation(0):
        return make(*arguments, **options)


def draw(*shape, seed=1, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def options_of(part):
    return f"{part.kind} {part.model_dump(exclude_defaults=True)}"


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda c: " x ".join(map(options_of, c)))
def test_default_compositions_are_stable_from_the_start(composition):
    weights, function, optimizer = composition
    choices = {"weights": weights, "function_class": function, "optimizer": optimizer}
    layer = built(R.RegressionLayer, DIM, **choices)
    random = draw(1, 1024, DIM)
    constant = random[:, :1].expand(-1, 1024, -1)
    # A prior that is forgotten leaves one constant key alone, and no unique minimiser.
    singular = weights != R.Uniform() and optimizer == R.Exact()
    with torch.no_grad():
        y = layer(random if singular else torch.cat([random, constant]))
    assert y.isfinite().all()
    assert y.square().mean(-1).sqrt().max() < 10


@pytest.mark.parametrize("weights", WEIGHTS, ids=options_of)
@pytest.mark.parametrize("function", FUNCTION_CLASSES[:2], ids=options_of)
def test_one_step_on_the_whole_loss_grows_no_faster_than_the_loss(weights, function):
    layer = built(R.RegressionLayer, DIM, weights=weights, function_class=function)
    x = draw(1, 1, DIM).expand(-1, 1024, -1)
    with torch.no_grad():
        size = layer(x)[0].square().mean(-1).sqrt()
    assert (size < 3 * torch.arange(1, 1025)).all()


@pytest.mark.parametrize("minibatch", [1, 4])
def test_a_learned_step_shares_out_what_a_minibatch_and_momentum_add_up(minibatch):
    optimizer = R.Sgd(momentum="learned", minibatch=minibatch, max_step=1.5)
    layer = built(R.RegressionLayer, DIM, optimizer=optimizer)
    x = draw(2, 7, DIM)
    a, _ = layer.associations(x, layer.initial_state(2))
    gate = torch.sigmoid(layer.signals.step.map(x))
    torch.testing.assert_close(a.step, 1.5 * gate * (1 - a.momentum) / minibatch)


@pytest.mark.parametrize("function", FUNCTION_CLASSES, ids=options_of)
def test_a_step_that_is_a_number_stays_that_number(function):
    optimizer = R.Sgd(step=0.3, minibatch=4, momentum=0.5)
    layer = built(R.RegressionLayer, DIM, function_class=function, optimizer=optimizer)
    a, _ = layer.associations(draw(2, 7, DIM), layer.initial_state(2))
    torch.testing.assert_close(a.step, torch.full_like(a.step, 0.3))


@pytest.mark.parametrize(
    ("name", "options", "largest"),
    [
        ("deltanet", {}, 1.0),
        ("delta_product", {}, 2.0),
        ("longhorn", {"max_step": 4.0}, 4.0),
        ("ttt_linear", {"minibatch": 5}, 1 / 5),
        ("ttt_mlp", {"minibatch": 5, "max_step": 0.3}, 0.3),
        ("titans", {}, 0.1 / 16),
        ("titans", {"momentum": False, "minibatch": 4}, 0.1 / 4),
    ],
)
def test_named_layers_take_the_steps_that_were_published(name, options, largest):
    layer = built(CATALOG[name], DIM, **options)
    x = draw(2, 7, DIM)
    a, _ = layer.associations(x, layer.initial_state(2))
    stream = layer.signals.step.map(layer.projections(x, layer.initial_state(2).projections).stream)
    gate = torch.sigmoid(stream).unflatten(-1, (-1, layer.sizes.num_heads)).flatten(1, 2)
    torch.testing.assert_close(a.step, largest * gate)


STRONG = [*((name, {}) for name in CATALOG), ("rfa", {"gated": True}), ("hgrn", {"lower_bound": 0.1})]


@pytest.mark.parametrize("scale", [30.0, 60.0, 300.0])
@pytest.mark.parametrize(("name", "options"), STRONG, ids=str)
def test_strong_inputs_leave_outputs_and_gradients_finite(name, options, scale):
    layer = built(CATALOG[name], DIM, **options)
    x = (scale * draw(2, 40, DIM)).requires_grad_()
    try:
        y = layer(x)
    except ValueError:
        assert name == "rls", "only a Gram matrix without an inverse may be refused"
        return
    (y * draw(*y.shape, seed=2)).sum().backward()
    assert y.isfinite().all()
    for parameter in (x, *layer.parameters()):
        assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize("bound", [0.0, 1e-12, 0.3])
def test_a_decay_above_its_lower_bound_keeps_its_digits(bound):
    config = R.GatedDecay(parametrisation="lower_bound", lower_bound=bound)
    gate = built(DecayGate, config, 1, 1, 1)
    torch.nn.init.ones_(gate.map.weight)
    signal = torch.linspace(-90, 80, 171)[None, :, None].requires_grad_()
    got, _ = gate(signal)
    softplus = [math.log1p(math.exp(s)) if s < 30 else s for s in signal.flatten().tolist()]
    # sigmoid(s) is e^(s - kept), and 1 - sigmoid(s) is e^-kept: each form where it has its digits.
    expected = [
        math.log(bound + (1 - bound) * math.exp(s - kept))
        if s < 0
        else math.log1p((bound - 1) * math.exp(-kept))
        for s, kept in zip(signal.flatten().tolist(), softplus, strict=True)
    ]
    torch.testing.assert_close(got.flatten().double(), torch.tensor(expected).double(), rtol=1e-6, atol=0)
    got.sum().backward()
    assert signal.grad.isfinite().all()


def test_a_share_that_rounds_to_one_leaves_a_finite_logarithm():
    rate = built(Rate, "learned", 1, 1)
    torch.nn.init.ones_(rate.map.weight)
    torch.nn.init.zeros_(rate.map.bias)
    x = torch.tensor([-40.0, 0.0, 40.0, 400.0])[None, :, None].requires_grad_()
    got = rate.log_rest(x)
    expected = torch.tensor([-math.exp(-40), -math.log(2), -40.0, -400.0])
    torch.testing.assert_close(got.flatten(), expected)
    got.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options"), [("lru", {}), ("gateloop", {}), ("retnet", {}), ("hgrn", {"complex_state": True})]
)
def test_angles_keep_their_digits_over_long_sequences(name, options):
    layer = built(CATALOG[name], 8, **options)
    x = draw(1, 16384, 8)
    with torch.no_grad():
        got, expected = layer(x).double(), layer.double()(x.double())
    assert (got - expected).norm() < 2e-6 * expected.norm()
    late = slice(-1024, None)
    assert (got - expected)[:, late].norm() < 2e-6 * expected[:, late].norm()


@pytest.mark.parametrize("name", ["lru", "gateloop", "retnet"])
def test_angles_keep_their_digits_position_by_position(name):
    layer = built(CATALOG[name], 8)
    x, outputs = draw(1, 2000, 8), []
    with torch.no_grad():
        state = layer.initial_state(1)
        for x_t in x.unbind(1):
            y_t, state = layer.step(x_t, state)
            outputs.append(y_t)
        got, expected = torch.stack(outputs, dim=1).double(), layer.double()(x.double())
    assert (got - expected)[:, -256:].norm() < 2e-6 * expected[:, -256:].norm()
