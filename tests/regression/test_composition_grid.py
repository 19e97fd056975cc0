"""Every composition of the three choices runs as a causal recurrence, or is refused with a reason."""

import itertools

import pytest
import torch
from posed_problems import (
    H,
    K,
    V,
    composed,
    cut,
    named,
    normal,
    posed,
    solver_of,
    tensors_in,
)

from recollect.core import ConfigError
from recollect.memory import Empirical, Polynomial, Sine
from recollect.regression import (
    MLP,
    ConstantDecay,
    Exact,
    GatedDecay,
    Importance,
    KernelRidge,
    Linear,
    LocalConstant,
    LocalLinear,
    LocalPolynomial,
    Memory,
    OneStep,
    Sgd,
    Similarity,
    Uniform,
    Window,
)
from recollect.regression.general import direct, online_loop, per_query_loop, refuse
from recollect.regression.problem import Associations, HeadSizes

POSITIVE = Memory(function=Polynomial(alpha=0.6), length=16)
TAPS = Memory(function=Empirical(taps=(1.0, 0.0, 0.7, 0.2)), length=4, max_terms=1)
OSCILLATING = Memory(function=Sine(frequency=1.0), length=16)

WEIGHTS = [
    Uniform(),
    ConstantDecay(decay=0.9),
    GatedDecay(per="channel"),
    Window(size=2),
    Importance(),
    POSITIVE,
    TAPS,
    OSCILLATING,
    Similarity(kernel="exponential"),
    Similarity(kernel="laplace"),
    Similarity(kernel="compact", bandwidth=2.0),
    GatedDecay() * Importance() * Window(size=3) * Similarity(kernel="gaussian"),
    GatedDecay(per="channel") * Importance() * Similarity(kernel="polynomial"),
]
FUNCTION_CLASSES = [
    Linear(),
    MLP(depth=1),
    MLP(depth=2, expansion=2, layer_norm=True, residual=True),
    LocalConstant(),
    LocalLinear(),
    LocalLinear(slope="learned"),
    LocalPolynomial(degree=2),
    KernelRidge(kernel="gaussian"),
    KernelRidge(kernel="laplace", bandwidth=2.0),
]
OPTIMIZERS = [
    OneStep(),
    OneStep(normalise="bounded"),
    OneStep(retrieve="before", bonus=True),
    OneStep(retrieve="before"),
    Exact(),
    Exact(prior="fixed", ridge=0.5),
    Sgd(),
    Sgd(rule="implicit", retrieve="before"),
    Sgd(num_steps=2, minibatch=2, momentum=0.5, weight_decay="learned"),
]


GRID = [composed(*choices) for choices in itertools.product(WEIGHTS, FUNCTION_CLASSES, OPTIMIZERS)]


def means_nothing(c):
    """The list of what is refused, in short."""
    network, linear = isinstance(c.function_class, MLP), isinstance(c.function_class, Linear)
    exact, one_step = isinstance(c.optimizer, Exact), isinstance(c.optimizer, OneStep)
    return (
        (network and exact)
        or (network and isinstance(c.optimizer, Sgd) and c.optimizer.rule != "explicit")
        or (c.decay == "channel" and not linear)
        or (exact and c.memory is OSCILLATING)
        or (one_step and not linear and (c.optimizer.normalise != "none" or c.optimizer.bonus))
        or (getattr(c.function_class, "slope", "") == "learned" and not exact)
    )


@pytest.mark.parametrize("composition", GRID, ids=named)
def test_every_composition_runs_as_a_causal_recurrence_or_is_refused(composition):
    length, at, sizes = 5, 3, (1, 2, 3, 3)
    heads = HeadSizes(*sizes[1:])
    if means_nothing(composition):
        with pytest.raises(ConfigError, match="; take "):
            refuse(composition, heads)
        return
    refuse(composition, heads)
    n = getattr(composition.optimizer, "num_steps", 1)
    a, constants = posed(composition, torch.Generator().manual_seed(1), length, sizes)
    sequences = [x.requires_grad_() for x in tensors_in(a)]
    numbers = [x.requires_grad_() for x in tensors_in(constants) if not x.is_complex()]
    solver = solver_of(composition)

    whole, final = solver.read(a, constants, None, None)
    first, state = solver.read(cut(a, 0, at, n), constants, None, solver.forms[-1])
    second, last = solver.read(cut(a, at, length, n), constants, state, None)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-10, atol=1e-10)
    for one, other in zip(tensors_in(last), tensors_in(final), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert sum(x.numel() for x in tensors_in(final)) == solver.state_size(heads, length)
    empty = solver.initial_state(1, heads, constants, a.q)
    assert sum(x.numel() for x in tensors_in(empty)) == solver.state_size(heads, 0)

    past = torch.autograd.grad(whole[:, : at + 1].sum(), sequences, allow_unused=True, retain_graph=True)
    for x, gradient in zip(sequences, past, strict=True):
        future = (at + 1) * x.shape[1] // length
        assert gradient is None or not gradient[:, future:].any()
    weighed = (whole * normal(torch.Generator().manual_seed(2), *whole.shape)).sum()
    for gradient in torch.autograd.grad(weighed, sequences + numbers, allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


@pytest.mark.parametrize(
    ("composition", "reason"),
    [
        (composed(Uniform(), MLP(), Exact()), "no minimiser in closed form"),
        (composed(Uniform(), MLP(), Sgd(rule="normalised")), "take rule='explicit'"),
        (composed(Uniform(), MLP(residual=True), Sgd()), "key_dim=5 and value_dim=4"),
        (composed(GatedDecay(per="channel"), KernelRidge(), Sgd()), "take per='head', or Linear"),
        (composed(OSCILLATING, LocalConstant(), Exact()), "a loss with a negative weight has no minimum"),
        (composed(Uniform(), LocalConstant(), OneStep(normalise="sum")), "a linear class reads of values 1"),
        (composed(Uniform(), Linear(), OneStep(bonus=True)), "counts the present association twice"),
        (composed(Uniform(), LocalLinear(slope="learned"), Sgd()), "take Exact()"),
    ],
    ids=str,
)
def test_a_refusal_says_why_in_one_sentence_and_what_is_legal(composition, reason):
    with pytest.raises(ConfigError, match=r"; take |; make ") as refusal:
        refuse(composition, HeadSizes(H, K, V))
    assert reason in str(refusal.value)


def test_a_layer_norm_over_one_channel_is_refused():
    with pytest.raises(ConfigError, match="says the same whatever the key is"):
        refuse(composed(Uniform(), MLP(layer_norm=True), Sgd()), HeadSizes(H, K, 1))


@pytest.mark.parametrize("solver", [direct, online_loop, per_query_loop])
def test_a_form_that_does_not_exist_is_refused(solver, rng):
    composition = composed(Uniform(), Linear(), OneStep() if solver is direct else Sgd())
    with pytest.raises(ValueError, match=r"form='chunkwise': expected '(direct|loop)'"):
        solver(composition).read(*posed(composition, rng, 2), None, "chunkwise")


@pytest.mark.parametrize(
    "composition",
    [
        composed(GatedDecay() * Similarity(), LocalPolynomial(degree=2), Exact()),
        composed(GatedDecay(), KernelRidge(), Exact()),
        composed(GatedDecay(per="channel"), Linear(), Exact()),
        composed(Uniform(), MLP(layer_norm=True), OneStep()),
        composed(GatedDecay(), MLP(layer_norm=True), Sgd(momentum=0.5, minibatch=2)),
        composed(Similarity() * Window(size=2), LocalLinear(), Sgd(momentum=0.5)),
    ],
    ids=named,
)
def test_gradients_are_the_derivatives(composition, rng):
    a, constants = posed(composition, rng, 3, (1, 1, 2, 2))
    held = [name for name, x in a._asdict().items() if x is not None]
    leaves = [getattr(a, name).requires_grad_() for name in held]
    numbers = [] if constants.start is None else [x.requires_grad_() for x in constants.start]

    def outputs(*tensors):
        given = Associations(**dict(zip(held, tensors[: len(held)], strict=True)))
        start = tensors[len(held) :] or None
        return solver_of(composition).read(given, constants._replace(start=start), None, None)[0]

    assert torch.autograd.gradcheck(outputs, (*leaves, *numbers), fast_mode=True)


@pytest.mark.parametrize("function_class", [Linear(), MLP(depth=1)], ids=str)
def test_the_state_of_a_class_with_parameters_does_not_grow(function_class):
    solver = online_loop(composed(GatedDecay(), function_class, Sgd(momentum=0.5)))
    assert solver.state_size(HeadSizes(H, K, V), 10) == solver.state_size(HeadSizes(H, K, V), 10_000)


def test_a_window_bounds_the_state():
    solver = per_query_loop(composed(Window(size=3), Linear(), Sgd()))
    assert solver.state_size(HeadSizes(H, K, V), 10_000) == 2 * H * (K + V + 1)
