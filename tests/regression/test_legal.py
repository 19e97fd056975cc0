"""What is refused and why; what stays legal."""

import pytest
import torch

from recollect import regression as R
from recollect.core import ConfigError
from recollect.core.seeds import seeded_initialisation
from recollect.memory import Exponential
from recollect.regression import CATALOG
from recollect.regression.features import FEATURES

DIM, HEADS = 8, 2
WRITES = R.GatedDecay(parametrisation="lower_bound", scales_writes=True)
NEAR = R.Similarity()


def build(**choices):
    with seeded_initialisation(0):
        return R.RegressionLayer(DIM, num_heads=HEADS, **choices).double()


def refused(reason, **choices):
    with pytest.raises(ConfigError, match="; take ") as refusal:
        build(**choices)
    assert reason in str(refusal.value)
    assert str(refusal.value).endswith(".")
    assert str(refusal.value).count(". ") == 0  # one sentence
    return str(refusal.value)


@pytest.mark.parametrize(
    "choices",
    [
        {"optimizer": R.Sgd()},
        {"optimizer": R.Exact()},
        {"function_class": R.MLP()},
        {"function_class": R.LocalConstant()},
        {"function_class": R.KernelRidge()},
        {"weights": WRITES * NEAR},
        {"weights": R.ConstantDecay(scales_writes=True), "optimizer": R.Sgd()},
    ],
    ids=str,
)
def test_writes_are_scaled_only_where_a_scaled_key_is_a_weight(choices):
    message = refused("scales_writes=True", **({"weights": WRITES} | choices))
    assert "take Linear x OneStep() without Similarity" in message


@pytest.mark.parametrize("weights", [WRITES, R.ConstantDecay(decay=0.9, scales_writes=True)])
def test_scaled_writes_are_weights_of_the_associations_they_write(weights):
    """What the text says: the weight is the decay times the factor at i."""
    layer = build(weights=weights)
    x = torch.randn(2, 6, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    a, state = layer.associations(x, layer.initial_state(2))
    plain, _ = build(weights=weights.model_copy(update={"scales_writes": False})).associations(
        x, layer.initial_state(2)
    )
    factor = -torch.expm1(a.g) if weights is WRITES else (-torch.expm1(2 * a.g)).sqrt()
    total = a.g.cumsum(1)
    age = torch.arange(6)[:, None] >= torch.arange(6)
    decay = torch.where(age[..., None], (total[:, :, None] - total[:, None]).exp(), 0.0)
    weight = decay * factor[:, None]
    expected = torch.einsum("btsh,bthk,bshk,bshv->bthv", weight, plain.q, plain.k, plain.v)
    answers, _ = layer.solver.read(a, layer.constants(x), state.regression, None)
    torch.testing.assert_close(answers, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("normalise", ["sum", "bounded"])
def test_a_bonus_is_not_in_the_normaliser(normalise):
    optimizer = R.OneStep(retrieve="before", bonus=True, normalise=normalise)
    refused("but not to what it is divided by", function_class=R.Linear(features="elu"), optimizer=optimizer)


@pytest.mark.parametrize("name", FEATURES)
def test_a_sum_is_divided_by_only_where_it_cannot_be_zero(name):
    options = {"max_length": 9} if name == "cosine" else {}
    choices = {"function_class": R.Linear(features=name, options=options)}
    build(**choices, optimizer=R.OneStep(normalise="bounded"))
    if FEATURES[name].nonnegative_similarity or name == "random_fourier":
        build(**choices, optimizer=R.OneStep(normalise="sum"))
    else:
        refused("sum to 0", **choices, optimizer=R.OneStep(normalise="sum"))


@pytest.mark.parametrize(
    "function_class",
    [R.LocalConstant(), R.LocalPolynomial(degree=0), R.LocalLinear(slope="learned")],
    ids=str,
)
def test_a_ridge_that_nothing_uses_is_not_learned(function_class):
    choices = {"weights": NEAR, "function_class": function_class}
    refused("no ridge that could be learned", **choices, optimizer=R.Exact(learned=True))
    build(**choices, optimizer=R.Exact())


@pytest.mark.parametrize(
    "choices",
    [
        {"weights": NEAR, "function_class": R.LocalLinear()},
        {"weights": NEAR, "function_class": R.LocalPolynomial()},
        {"function_class": R.KernelRidge()},
        {},
        {"weights": R.Memory(function=Exponential(alpha=0.3))},
    ],
    ids=str,
)
def test_a_learned_ridge_has_a_gradient(choices):
    layer = build(**choices, optimizer=R.Exact(learned=True))
    x = torch.randn(2, 6, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    layer(x).square().sum().backward()
    assert layer.constants.log_ridge.grad.abs().min() > 0


@pytest.mark.parametrize("name", CATALOG)
def test_published_layers_are_legal(name):
    CATALOG[name](32)
