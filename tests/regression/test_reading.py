"""Associations given to regressors: against the regressions written out, and asking against reading."""

import inspect

import pytest
import torch

from recollect.core import NotDefinedError, seeded_initialisation
from recollect.memory import Exponential
from recollect.regression import (
    CATALOG,
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
    RegressionLayer,
    Sgd,
    Similarity,
    Window,
)
from recollect.regression.reading import associations_of, natural_key_norm, recall, regress

BATCH, LENGTH, QUERIES, DIM = 2, 7, 3, 8
MADE_KEYS = ("hgrn", "hgrn2", "lru")
COMPOSITIONS = {
    "window": {"weights": Window(size=3), "optimizer": OneStep()},
    "memory function": {"weights": Memory(function=Exponential(alpha=0.3))},
    "window of gated important associations, exact": {
        "weights": Window(size=4) * GatedDecay() * Importance(),
        "optimizer": Exact(prior="fixed"),
    },
    "read before": {"weights": ConstantDecay(decay=0.8), "optimizer": OneStep(retrieve="before")},
    "delta rule read before": {"optimizer": Sgd(retrieve="before", num_steps=2)},
    "minibatches": {"optimizer": Sgd(minibatch=3, momentum=0.5, weight_decay=0.1)},
    "kernel class, online": {"function_class": KernelRidge(), "optimizer": Sgd(rule="normalised")},
    "local line with a learned ridge": {
        "weights": ConstantDecay(decay=0.9) * Similarity(),
        "function_class": LocalLinear(),
        "optimizer": Exact(learned=True),
    },
    "local parabola in a window": {
        "weights": Window(size=5) * Similarity(kernel="compact", bandwidth=3.0),
        "function_class": LocalPolynomial(),
        "optimizer": Exact(),
    },
    "local line, one step at a time": {
        "weights": Similarity(),
        "function_class": LocalLinear(),
        "optimizer": Sgd(),
    },
    "values that turn": {
        "weights": ConstantDecay(decay=0.9, scales_writes=True, per="channel"),
        "rotation": "learned",
        "rotated": "values",
    },
    "angles that are gated": {
        "weights": Similarity(),
        "function_class": LocalConstant(),
        "optimizer": Exact(),
        "rotation": "gated",
    },
}
CASES = [name for name in CATALOG if name not in MADE_KEYS] + list(COMPOSITIONS)
every_layer = pytest.mark.parametrize("name", CASES)


def build(name):
    with seeded_initialisation(0):
        if name in CATALOG:
            known = inspect.signature(CATALOG[name]).parameters
            return CATALOG[name](DIM, **{"num_heads": 2} if "num_heads" in known else {}).double()
        return RegressionLayer(DIM, num_heads=2, **COMPOSITIONS[name]).double()


def draw(layer, length=LENGTH, seed=1):
    sizes = layer.projections.sizes
    rng = torch.Generator().manual_seed(seed)
    shapes = (sizes.key_dim, sizes.key_dim, sizes.value_dim)
    q, k, v = (
        torch.randn(BATCH, length, sizes.num_heads, size, dtype=torch.float64, generator=rng)
        for size in shapes
    )
    return q, k / k.norm(dim=-1, keepdim=True), v


def one_head(**options):
    return RegressionLayer(4, num_heads=1, **options).double()


@torch.no_grad()
@every_layer
@pytest.mark.parametrize("length", [1, LENGTH, 19])
def test_asking_is_reading_the_last_association_with_each_query_and_writes_nothing(name, length):
    layer = build(name)
    q, k, v = draw(layer, length)
    asked = torch.cat([q[:, -1:].flip(-1), q[:, :1], 2 * q[:, -1:]], dim=1)
    answers = recall(layer, k, v, asked)
    for m in range(QUERIES):
        queries = torch.cat([q[:, :-1], asked[:, m : m + 1]], dim=1)
        expected = regress(layer, queries, k, v)[:, -1]
        torch.testing.assert_close(answers[:, m], expected, rtol=1e-10, atol=1e-10)


@torch.no_grad()
@every_layer
def test_answers_do_not_depend_on_later_associations(name):
    layer = build(name)
    q, k, v = draw(layer)
    torch.testing.assert_close(
        regress(layer, q, k, v)[:, :4], regress(layer, q[:, :4], k[:, :4], v[:, :4]), rtol=1e-10, atol=1e-10
    )


@torch.no_grad()
@every_layer
def test_an_answer_knows_the_association_of_its_position(name):
    layer = build(name)
    _, k, v = draw(layer)
    changed = v.clone()
    changed[:, -1] *= -1  # a layer norm does not see a constant
    assert (regress(layer, k, k, changed) - regress(layer, k, k, v))[:, -1].abs().max() > 1e-3


@pytest.mark.parametrize("name", ["gla", "mamba", "mamba2", "rwkv6"])
def test_linear_rows_are_sums_of_products_without_gates(name):
    layer = build(name)
    q, k, v = draw(layer)
    expected = torch.einsum("bthk,bshk,bshv,ts->bthv", q, k, v, torch.ones(LENGTH, LENGTH).tril().double())
    torch.testing.assert_close(regress(layer, q, k, v), expected, rtol=1e-10, atol=1e-10)


def test_a_constant_decay_is_the_layers_own():
    layer = CATALOG["retnet"](DIM, num_heads=2, decay=0.9).double()
    q, k, v = draw(layer)
    age = (torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)).double()
    turn = layer.rotation.angle[None, None].double() * torch.arange(LENGTH)[None, :, None, None]

    def turned(x):
        pairs = torch.view_as_complex(torch.stack(x.chunk(2, -1), -1).contiguous())
        return pairs * torch.exp(1j * turn)

    scores = torch.einsum("bthp,bshp->bhts", turned(q), turned(k).conj()).real
    expected = torch.einsum("bhts,bshv->bthv", scores * (0.9**age).tril(), v)
    # The layer keeps its decay and angles in single precision.
    torch.testing.assert_close(regress(layer, q, k, v), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["deltanet", "gated_deltanet", "kda", "delta_product"])
@pytest.mark.parametrize("norm", [1.0, 3.0])
def test_the_natural_step_of_a_delta_rule_answers_its_association_exactly(name, norm):
    layer = build(name)
    _, k, v = draw(layer)
    torch.testing.assert_close(regress(layer, norm * k, norm * k, v), v, rtol=1e-10, atol=1e-10)


def test_a_natural_step_is_no_larger_than_the_layers_largest():
    layer = CATALOG["deltanet"](DIM, num_heads=2, max_step=0.25).double()
    _, k, v = draw(layer)
    assert torch.equal(associations_of(layer, k, k, v).step, torch.full_like(k[..., 0], 0.25))
    given = associations_of(layer, k, k, v, step=0.125).step
    assert torch.equal(given, torch.full_like(k[..., 0], 0.125))


def test_longhorn_takes_its_implicit_step():
    layer = CATALOG["longhorn"](4, num_heads=1).double()
    _, k, v = draw(layer, 1)
    torch.testing.assert_close(regress(layer, 3 * k, 3 * k, v), 0.9 * v, rtol=1e-10, atol=1e-10)


def test_a_given_decay_is_that_of_the_gates():
    layer, constant = one_head(weights=GatedDecay()), one_head(weights=ConstantDecay(decay=0.5))
    q, k, v = draw(layer)
    log_half = constant.signals.decays[0].decay.item()
    got = regress(layer, q, k, v, log_decay=log_half)
    torch.testing.assert_close(got, regress(constant, q, k, v), rtol=1e-10, atol=1e-10)


def test_least_squares_recalls_as_many_independent_pairs_as_channels():
    layer = one_head(optimizer=Exact(ridge=1e-12))
    _, k, v = draw(layer, 4)
    torch.testing.assert_close(recall(layer, k, v, k), v, rtol=1e-6, atol=1e-6)


def test_uniform_softmax_over_no_distances_is_the_mean():
    layer = one_head(weights=Similarity(), function_class=LocalConstant(), optimizer=Exact(), qk_norm=False)
    _, k, v = draw(layer)
    expected = v.mean(1, keepdim=True).expand(-1, QUERIES, -1, -1)
    asked = torch.zeros_like(k[:, :QUERIES])
    torch.testing.assert_close(recall(layer, k, v, asked), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MADE_KEYS)
def test_layers_that_make_their_keys_say_so(name):
    layer = build(name)
    _, k, v = draw(layer)
    with pytest.raises(NotDefinedError, match="cannot be given associations: its keys are"):
        regress(layer, k, k, v)


def test_sizes_that_do_not_fit_are_named():
    layer = build("deltanet")
    _, k, v = draw(layer)
    with pytest.raises(ValueError, match=r"q: expected \(B, T, 2, 4\).*got \(2, 7, 2, 3\)"):
        regress(layer, k[..., :3], k[..., :3], v)


def test_natural_norms_are_those_that_matter():
    norms = {
        name: natural_key_norm(build(name)) for name in ("gla", "deltanet", "intention", "based", "mlstm")
    }
    assert norms == {"gla": 1, "deltanet": 1, "intention": 2, "based": 2, "mlstm": 2**0.5}


def test_a_features_answer_is_that_of_its_kernel():
    layer = one_head(function_class=Linear(features="taylor"), optimizer=OneStep())
    q, k, v = draw(layer)
    u = torch.einsum("bthk,bshk->bhts", q, k) / 2
    expected = torch.einsum("bhts,bshv->bthv", (1 + u + u.square() / 2).tril(), v)
    torch.testing.assert_close(regress(layer, q, k, v), expected, rtol=1e-10, atol=1e-10)
