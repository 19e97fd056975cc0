"""The op that a composition runs on and the general path are the same function, with the same gradients."""

import pytest
import torch

from recollect import regression as R
from recollect.core.seeds import seeded_initialisation
from recollect.memory import Exponential, Impulse, Polynomial, Sine
from recollect.regression.choice import choose
from recollect.regression.general import direct, online_loop
from recollect.regression.layer import RegressionLayer
from recollect.regression.problem import Composition
from recollect.regression.retrieval import with_normaliser

DIM, HEADS, LENGTH = 12, 3, 9
HEAD, CHANNEL = R.GatedDecay(temperature=1.0), R.GatedDecay(per="channel", temperature=1.0)
NEAR, GAUSSIAN = R.Similarity(bandwidth=0.7), R.Similarity(kernel="gaussian", learned=True)
EXACT, ONCE, SGD = R.Exact(ridge=0.3), R.OneStep(), R.Sgd()
NETWORK = R.MLP(expansion=2)
MOVING = {"momentum": "learned", "weight_decay": "learned", "gradient": "undecayed"}

LINEAR = {
    "linear_attn": {},
    "linear_attn, importance": {"weights": R.Importance()},
    "linear_attn, features": {"function_class": R.Linear(features="relu")},
    "linear_attn, normalised": {
        "function_class": R.Linear(features="elu"), "optimizer": R.OneStep(normalise="sum")
    },
    "linear_attn, read before": {"optimizer": R.OneStep(retrieve="before")},
    "simple_gla, constant": {"weights": R.ConstantDecay()},
    "simple_gla, gated": {"weights": HEAD * R.Importance(activation="exp")},
    "simple_gla, read before": {"weights": HEAD, "optimizer": R.OneStep(retrieve="before")},
    "gla": {"weights": CHANNEL},
    "gla, head and channel": {"weights": CHANNEL * R.ConstantDecay()},
    "gla, read before": {"weights": CHANNEL, "optimizer": R.OneStep(retrieve="before")},
    "diagonal_scan, one value": {"weights": CHANNEL, "value_dim": 1},
    "diagonal_scan, one key": {"weights": HEAD * R.Importance(), "key_dim": 1},
    "memory_attn, a sum": {"weights": R.Memory(function=Exponential(alpha=0.3)) * R.Importance()},
    "memory_attn, fitted": {"weights": R.Memory(function=Polynomial(alpha=0.6), tolerance=1e-2, length=32)},
    "memory_attn, oscillating": {"weights": R.Memory(function=Sine(frequency=1.0), length=32)},
    "memory_attn, values": {"weights": R.Memory(function=Impulse(alpha=2))},
    "memory_attn, window": {"weights": R.Window(size=4)},
    "rls": {"optimizer": R.Exact(ridge=0.3, learned=True)},
    "rls, decay and importance": {"weights": HEAD * R.Importance(), "optimizer": EXACT},
    "mesa": {"optimizer": R.Exact(prior="fixed", ridge=0.3)},
    "mesa, decay and importance": {
        "weights": HEAD * R.Importance(), "optimizer": R.Exact(prior="fixed", ridge=0.3, learned=True)
    },
}  # fmt: skip
ONLINE = {
    "delta_rule": {"optimizer": SGD},
    "delta_rule, importance": {"weights": R.Importance(), "optimizer": R.Sgd(step=0.4)},
    "delta_rule, implicit": {"optimizer": R.Sgd(rule="implicit", max_step=3.0), "qk_norm": False},
    "delta_rule, normalised": {"optimizer": R.Sgd(rule="normalised"), "qk_norm": False},
    "delta_rule, implicit and importance": {
        "weights": R.Importance(activation="exp"), "optimizer": R.Sgd(rule="implicit", retrieve="before")
    },
    "gated_delta_product, normalised and importance": {
        "weights": R.Importance(), "optimizer": R.Sgd(rule="normalised", num_steps=2)
    },
    "delta_rule, undecayed": {"optimizer": R.Sgd(gradient="undecayed")},
    "delta_rule, read before": {"optimizer": R.Sgd(retrieve="before")},
    "gated_delta_rule": {"weights": HEAD, "optimizer": SGD},
    "gated_delta_rule, weight decay": {"optimizer": R.Sgd(weight_decay="learned")},
    "gated_delta_rule, both": {"weights": HEAD, "optimizer": R.Sgd(weight_decay=0.1, retrieve="before")},
    "kda": {"weights": CHANNEL, "optimizer": R.Sgd(weight_decay="learned")},
    "kda, read before": {"weights": CHANNEL, "optimizer": R.Sgd(retrieve="before")},
    "gated_delta_product": {"optimizer": R.Sgd(num_steps=2)},
    "gated_delta_product, decay": {"weights": HEAD, "optimizer": R.Sgd(num_steps=3, max_step=2.0)},
    "gated_delta_product, read before": {
        "weights": HEAD, "optimizer": R.Sgd(num_steps=2, retrieve="before")
    },
    "gated_delta_product, importance": {"weights": R.Importance(), "optimizer": R.Sgd(num_steps=2)},
    "momentum_delta_rule": {"optimizer": R.Sgd(momentum=0.5)},
    "momentum_delta_rule, implicit": {
        "weights": R.Importance(), "optimizer": R.Sgd(momentum=0.5, rule="implicit"), "qk_norm": False
    },
    "momentum_delta_rule, decay": {
        "weights": HEAD * R.Importance(), "optimizer": R.Sgd(momentum="learned", weight_decay="learned")
    },
}  # fmt: skip
NETWORKS = {
    "ttt_linear": {"function_class": R.MLP(depth=1), "optimizer": R.Sgd(minibatch=4)},
    "ttt_linear, importance": {
        "function_class": R.MLP(depth=1, layer_norm=True, residual=True),
        "weights": R.Importance(),
        "optimizer": R.Sgd(minibatch=3),
    },
    "ttt_mlp": {"function_class": NETWORK, "optimizer": SGD},
    "ttt_mlp, minibatch": {
        "function_class": R.MLP(expansion=2, layer_norm=True, residual=True),
        "optimizer": R.Sgd(minibatch=4, gradient="undecayed"),
    },
    "titans, momentum": {"function_class": NETWORK, "optimizer": R.Sgd(momentum="learned", minibatch=2)},
    "titans, decay": {
        "function_class": NETWORK, "weights": HEAD, "optimizer": R.Sgd(gradient="undecayed", minibatch=4)
    },
    "titans": {"function_class": NETWORK, "optimizer": R.Sgd(minibatch=4, **MOVING)},
    "titans, a minibatch of one": {
        "function_class": R.MLP(expansion=2, layer_norm=True),
        "weights": HEAD * R.Importance(),
        "optimizer": R.Sgd(**MOVING),
    },
}  # fmt: skip
LOCAL = {
    "softmax_attn": {"weights": NEAR, "function_class": R.LocalConstant(), "optimizer": EXACT},
    "softmax_attn, window": {
        "weights": R.Similarity(learned=True) * R.Window(size=3),
        "function_class": R.LocalConstant(),
        "optimizer": EXACT,
    },
    "forgetting_attn": {"weights": NEAR * HEAD, "function_class": R.LocalConstant(), "optimizer": EXACT},
    "forgetting_attn, window": {
        "weights": NEAR * R.ConstantDecay(decay="alibi") * R.Window(size=4),
        "function_class": R.LocalConstant(),
        "optimizer": EXACT,
    },
    "kernel_attn, importance": {
        "weights": NEAR * HEAD * R.Importance(), "function_class": R.LocalConstant(), "optimizer": EXACT
    },
    **{
        f"kernel_attn, {kernel}": {
            "weights": R.Similarity(kernel=kernel, bandwidth=1.3) * HEAD,
            "function_class": R.LocalConstant(),
            "optimizer": R.Exact(),
        }
        for kernel in ("gaussian", "laplace", "polynomial", "compact")
    },
    "kernel_attn, one step": {
        "weights": GAUSSIAN * HEAD * R.Window(size=5),
        "function_class": R.LocalConstant(),
        "optimizer": ONCE,
    },
    "kernel_attn, one step of a polynomial": {
        "weights": NEAR * R.Importance(), "function_class": R.LocalPolynomial(), "optimizer": ONCE
    },
    "kernel_attn, one step in a kernel class": {
        "weights": HEAD * R.Importance() * R.Window(size=5),
        "function_class": R.KernelRidge(kernel="laplace", bandwidth=2.0),
        "optimizer": ONCE,
    },
    "local_linear_attn": {"weights": NEAR, "function_class": R.LocalLinear(), "optimizer": EXACT},
    "local_linear_attn, decay": {
        "weights": GAUSSIAN * HEAD * R.Importance() * R.Window(size=5),
        "function_class": R.LocalLinear(),
        "optimizer": R.Exact(ridge=0.1, prior="fixed"),
    },
    **{
        f"local_polynomial_attn, degree {degree}": {
            "weights": GAUSSIAN * HEAD,
            "function_class": R.LocalPolynomial(degree=degree),
            "optimizer": EXACT,
        }
        for degree in (0, 1, 2)
    },
    "parallax": {
        "weights": NEAR * HEAD, "function_class": R.LocalLinear(slope="learned"), "optimizer": R.Exact()
    },
    **{
        f"kernel_ridge, {kernel}": {
            "weights": HEAD * R.Importance(),
            "function_class": R.KernelRidge(kernel=kernel, bandwidth=1.5),
            "optimizer": R.Exact(ridge=0.3, learned=True),
        }
        for kernel in ("gaussian", "laplace", "exponential")
    },
    "kernel_ridge, fixed prior": {
        "function_class": R.KernelRidge(), "optimizer": R.Exact(ridge=0.3, prior="fixed")
    },
}  # fmt: skip
OPS = LINEAR | ONLINE | NETWORKS | LOCAL
GENERAL = {
    "one step, decay and window": {"weights": HEAD * R.Window(size=4)},
    "a memory function that is read before": {
        "weights": R.Memory(function=Exponential(alpha=0.3)), "optimizer": R.OneStep(retrieve="before")
    },
    "a window that is read before": {"weights": R.Window(size=3), "optimizer": R.OneStep(retrieve="before")},
    "exact, decay per channel": {"weights": CHANNEL, "optimizer": EXACT},
    "exact, window": {"weights": R.Window(size=4), "optimizer": EXACT},
    "minibatch of a matrix": {"optimizer": R.Sgd(minibatch=2)},
    "undecayed gradient of a matrix": {"weights": HEAD, "optimizer": R.Sgd(gradient="undecayed")},
    "several steps, decay per channel": {"weights": CHANNEL, "optimizer": R.Sgd(num_steps=2)},
    "momentum, read before": {"optimizer": R.Sgd(momentum=0.5, retrieve="before")},
    "network that decays first": {"function_class": NETWORK, "weights": HEAD, "optimizer": SGD},
    "layer with momentum": {"function_class": R.MLP(depth=1), "optimizer": R.Sgd(momentum=0.5)},
    "network, read before": {"function_class": NETWORK, "optimizer": R.Sgd(retrieve="before")},
    "ridge for each channel": {
        "weights": NEAR, "function_class": R.LocalLinear(), "optimizer": R.Exact(learned=True)
    },
    "mean without similarity": {"function_class": R.LocalConstant(), "optimizer": EXACT},
    "similarity and memory": {
        "weights": NEAR * R.Memory(function=Exponential(alpha=0.3)),
        "function_class": R.LocalConstant(),
        "optimizer": EXACT,
    },
    "fixed prior of a kernel that decays": {
        "weights": HEAD, "function_class": R.KernelRidge(), "optimizer": R.Exact(prior="fixed")
    },
    "kernel with similarity": {"weights": NEAR, "function_class": R.KernelRidge(), "optimizer": ONCE},
}  # fmt: skip


def build(case):
    """Away from special values, such as a bias of zero."""
    with seeded_initialisation(0):
        layer = RegressionLayer(DIM, num_heads=HEADS, **case).double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.mul_(1 + 0.1 * torch.rand_like(parameter)).add_(0.1 * torch.randn_like(parameter))
    return layer


def draw(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def general_solver(composition):
    if isinstance(composition.optimizer, R.Sgd):
        return online_loop(composition)
    solver = direct(composition)
    normalise = getattr(composition.optimizer, "normalise", "none")
    return solver if normalise == "none" else with_normaliser(solver, normalise)


def posed(layer):
    """The regression that a layer poses, with tensors of its own to differentiate by."""
    x = draw(2, LENGTH, DIM)
    associations, _ = layer.associations(x, layer.initial_state(2))
    associations = type(associations)(*(None if part is None else own(part) for part in associations))
    constants = layer.constants(x)
    # A ridge that is not learned has one value a head, and nobody asks for its gradient by channel.
    is_learned = isinstance(layer.constants.log_ridge, torch.nn.Parameter)
    owned = {
        "ridge": own(constants.ridge) if is_learned else constants.ridge,
        "bandwidth": None if constants.bandwidth is None else own(constants.bandwidth),
        "start": None if constants.start is None else tuple(own(part) for part in constants.start),
        "norm": None if constants.norm is None else tuple(own(part) for part in constants.norm),
    }
    return associations, constants._replace(**owned)


def own(x):
    return x.detach().clone().requires_grad_()


def part(a, positions):
    """Some positions of a sequence; those with several keys have as many entries each."""
    cut = (None if x is None else x.unflatten(1, (LENGTH, -1))[:, positions].flatten(1, 2) for x in a)
    return type(a)(*cut)


def leaves(a, c):
    parts = [*a, c.ridge, c.bandwidth, *(c.start or ()), *(c.norm or ())]
    return [part for part in parts if part is not None and part.requires_grad]


def gradients(outputs, inputs):
    weights = draw(*outputs.shape, seed=3)
    return torch.autograd.grad((outputs * weights).sum(), inputs, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("name", OPS)
def test_an_op_and_the_general_path_are_one_function(name):
    layer = build(OPS[name])
    assert layer.solver.name.startswith(f"ops.{name.partition(',')[0]}")
    a, c = posed(layer)
    expected, _ = general_solver(layer.composition).read(a, c, None, None)
    slopes = gradients(expected, leaves(a, c))
    for form in layer.solver.forms:
        outputs, _ = layer.solver.read(a, c, None, form)
        torch.testing.assert_close(outputs, expected, rtol=1e-9, atol=1e-9)
        for got, want in zip(gradients(outputs, leaves(a, c)), slopes, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", OPS)
def test_the_state_of_an_op_splits_a_sequence(name):
    layer, at = build(OPS[name]), 5
    a, c = posed(layer)
    whole, _ = layer.solver.read(a, c, None, None)
    state = layer.solver.initial_state(2, layer.sizes, c, a.q)
    first, state = layer.solver.read(part(a, slice(None, at)), c, state, None)
    second, _ = layer.solver.read(part(a, slice(at, None)), c, state, None)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", GENERAL)
def test_what_no_op_computes_runs_on_the_general_path(name):
    layer = build(GENERAL[name])
    assert layer.solver.name.startswith("general path")
    assert layer(draw(2, 5, DIM)).isfinite().all()


def test_every_op_of_a_regression_is_compared():
    """A branch of the choice that no case takes would leave its op out."""
    chosen = {name.partition(",")[0] for name in OPS}
    compositions = [
        Composition(weights, function, optimizer)
        for weights in (R.Uniform(), HEAD, CHANNEL, R.Window(size=2), NEAR, NEAR * HEAD, GAUSSIAN)
        for function in (R.Linear(), R.LocalConstant(), R.LocalLinear(), R.LocalPolynomial(), R.KernelRidge())
        for optimizer in (ONCE, EXACT, R.Exact(prior="fixed"), SGD, R.Sgd(momentum=0.5), R.Sgd(num_steps=2))
    ]
    sizes = build({}).sizes
    for composition in compositions:
        if composition.decay == "channel" and not isinstance(composition.function_class, R.Linear):
            continue
        name = choose(composition, sizes).name
        assert not name.startswith("ops.") or name.removeprefix("ops.").partition(",")[0] in chosen, name
