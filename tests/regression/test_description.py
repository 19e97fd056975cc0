"""A layer says what it computes: every word of a description is held against the numbers."""

import pytest
import torch

from recollect import regression as R
from recollect.core.seeds import seeded_initialisation
from recollect.memory import Empirical, Exponential, Impulse, Polynomial
from recollect.regression.memory_weights import memory_weights

DIM, HEADS = 8, 2
NEAR = R.Similarity()


def build(**choices):
    with seeded_initialisation(0):
        return R.RegressionLayer(DIM, num_heads=HEADS, **choices).double()


def described(**choices):
    return build(**choices).describe()


def draw(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def answers(layer, x):
    a, state = layer.associations(x, layer.initial_state(len(x)))
    return layer.solver.read(a, layer.constants(x), state.regression, None)[0]


RIDGES = [
    ({}, True),
    ({"weights": R.Window(size=3)}, True),
    ({"function_class": R.KernelRidge()}, True),
    ({"weights": NEAR, "function_class": R.LocalLinear()}, True),
    ({"weights": NEAR, "function_class": R.LocalPolynomial()}, True),
    ({"weights": NEAR, "function_class": R.LocalLinear(slope="learned")}, False),
    ({"weights": NEAR, "function_class": R.LocalPolynomial(degree=0)}, False),
    ({"weights": NEAR, "function_class": R.LocalConstant()}, False),
    ({"function_class": R.LocalConstant()}, False),
]


@pytest.mark.parametrize(("choices", "has_ridge"), RIDGES, ids=str)
def test_a_ridge_is_named_exactly_where_the_answers_depend_on_it(choices, has_ridge):
    weak, strong = (build(**choices, optimizer=R.Exact(ridge=ridge)) for ridge in (0.1, 3.0))
    x = draw(2, 6, DIM)
    assert ("ridge" in weak.describe().optimizer) == has_ridge
    assert torch.equal(answers(weak, x), answers(strong, x)) != has_ridge


@pytest.mark.parametrize("function_class", [R.Linear(), R.KernelRidge(), R.LocalLinear()], ids=str)
@pytest.mark.parametrize("weights", [NEAR, NEAR * R.GatedDecay(temperature=1.0)], ids=str)
def test_a_prior_is_named_exactly_where_it_matters_which(weights, function_class):
    layers = [
        build(weights=weights, function_class=function_class, optimizer=R.Exact(prior=prior))
        for prior in ("decaying", "fixed")
    ]
    x = draw(2, 6, DIM)
    texts = [layer.describe().optimizer for layer in layers]
    differ = not torch.equal(*(answers(layer, x) for layer in layers))
    assert (texts[0] != texts[1]) == differ
    assert ("prior decaying" in texts[0]) == differ


def test_the_text_of_a_mean_is_what_is_computed():
    layer, x = build(weights=NEAR, function_class=R.LocalConstant(), optimizer=R.Exact()), draw(2, 5, DIM)
    expected = "argmin sum_i w_i |v_i - m(k_i)|^2 = sum_i p_i v_i, p_i = w_i / sum_j w_j"
    assert layer.describe().optimizer == expected
    a, _ = layer.associations(x, layer.initial_state(2))
    w = torch.einsum("bthk,bshk->btsh", a.q, a.k).div(2).exp()  # exp(q.k / sqrt(K)), K = 4
    w = w * (torch.arange(5)[:, None] >= torch.arange(5))[..., None]
    p = w / w.sum(2, keepdim=True)
    torch.testing.assert_close(
        answers(layer, x), torch.einsum("btsh,bshv->bthv", p, a.v), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize(("normalise", "divisor"), [("sum", "/ n(q)"), ("bounded", "/ max(|n(q)|, 1)")])
def test_a_normaliser_is_in_the_text(normalise, divisor):
    optimizer = R.OneStep(normalise=normalise)
    text = described(function_class=R.Linear(features="elu"), optimizer=optimizer).optimizer
    assert f"read m(q) {divisor}, n the same of values 1" in text
    assert "n(q)" not in described().optimizer


@pytest.mark.parametrize(
    "choices",
    [
        {"weights": NEAR * R.Window(size=8), "function_class": R.LocalConstant(), "optimizer": R.Exact()},
        {"weights": R.Window(size=5)},
        {"weights": R.Window(size=5), "optimizer": R.Sgd()},
        {"weights": R.Memory(function=Impulse(alpha=7))},
        {},
    ],
    ids=str,
)
def test_a_state_that_stops_growing_says_where(choices):
    layer = build(**choices)
    found = layer.describe()
    assert found.state_growth == 0
    assert found.state_limit == layer.state_size(50) == layer.state_size(51)
    assert f"state limit     {found.state_limit}" in str(found)


def test_a_state_that_grows_has_no_limit():
    layer = build(weights=NEAR, function_class=R.LocalConstant(), optimizer=R.Exact())
    found = layer.describe()
    assert found.state_limit is None
    assert found.state_size + 99 * found.state_growth == layer.state_size(100)
    assert "state limit     none" in str(found)


def test_several_steps_decay_once_a_position_and_the_text_says_so():
    optimizer = R.Sgd(num_steps=2, weight_decay=0.5)
    text = optimizer.equation
    assert text == (
        "once at each position: theta becomes (1 - 0.5) theta; then 2 times at each position: "
        "theta_t = theta_{t-1} - step_t grad |v_t - m(k_t)|^2 / 2"
    )
    assert "(1 - decay_t) theta; then" in R.Sgd(num_steps=3, weight_decay="learned", momentum=0.1).equation
    assert R.Sgd(weight_decay=0.5).equation.startswith("theta_t = (1 - 0.5) theta_{t-1} - ")
    layer, x = build(optimizer=optimizer), draw(2, 4, DIM)
    a, _ = layer.associations(x, layer.initial_state(2))
    memory, expected = torch.zeros(2, HEADS, 4, 4, dtype=torch.float64), []
    for t in range(4):
        memory = 0.5 * memory
        for e in (2 * t, 2 * t + 1):
            error = a.v[:, e] - torch.einsum("bhkv,bhk->bhv", memory, a.k[:, e])
            memory = memory + torch.einsum("bh,bhk,bhv->bhkv", a.step[:, e], a.k[:, e], error)
        expected.append(torch.einsum("bhkv,bhk->bhv", memory, a.q[:, t]))
    # The share that is lost is kept in single precision.
    torch.testing.assert_close(answers(layer, x), torch.stack(expected, dim=1), rtol=1e-6, atol=1e-8)


def test_a_fit_says_over_how_many_ages():
    text = described(weights=R.Memory(function=Polynomial(alpha=0.6), length=64)).weights
    assert "fitted over 64 ages, relative error" in text
    assert "exactly" in described(weights=R.Memory(function=Exponential(alpha=0.2))).weights


def test_a_truncated_memory_function_says_what_it_leaves_out():
    function, length = Polynomial(alpha=0.6), 16
    config = R.Memory(function=function, length=length, max_terms=1, tolerance=1e-6)
    rho = function.values(16 * length)
    kept = torch.where(torch.arange(16 * length) < length, rho, 0.0)
    error = float((rho - kept).norm() / rho.norm())
    assert error > 0.1
    assert memory_weights(config).left_out == pytest.approx(error, rel=1e-12)
    expected = f"16 ages themselves, later ones left out: relative error {error:.1e} over 256 ages"
    assert expected in described(weights=config).weights


@pytest.mark.parametrize("function", [Impulse(alpha=7), Empirical(taps=(1.0, 0.0, 0.7, 0.2))], ids=str)
def test_a_memory_function_that_ends_leaves_nothing_out(function):
    config = R.Memory(function=function, length=16, max_terms=1)
    assert memory_weights(config).left_out == 0
    assert "left out" not in described(weights=config).weights


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (R.ConstantDecay(scales_writes=True), "gamma^(t-i) sqrt(1 - gamma^2)"),
        (R.ConstantDecay(per="channel", scales_writes=True), "Gamma^(t-i) (1 - Gamma^2)^(1/2)"),
        (
            R.GatedDecay(parametrisation="softplus", scales_writes=True),
            "prod_{i<j<=t} e^g_j softplus(W x_i + b)",
        ),
        (R.GatedDecay(per="channel", scales_writes=True), "prod_{i<j<=t} diag(e^g_j) diag(1 - e^g_i)"),
    ],
    ids=str,
)
def test_the_factor_of_the_writes_is_in_the_weight(weights, text):
    assert text in described(weights=weights).weights
    plain = described(weights=weights.model_copy(update={"scales_writes": False})).weights
    assert text.startswith(plain.partition(",")[0])
    assert text not in plain


def test_a_similarity_of_features_is_said_to_be_one():
    """In a class that is linear in features, the solver sees no other keys."""
    weights = R.Similarity(kernel="gaussian")
    note = "s compares phi(q_t) and phi(k_i)"
    layer = build(weights=weights, function_class=R.Linear(features="elu"))
    assert note in layer.describe().weights
    assert note not in described(weights=weights).weights
    assert note not in described(function_class=R.Linear(features="elu")).weights
    x = draw(2, 5, DIM)
    a, _ = layer.associations(x, layer.initial_state(2))
    w = (-0.5 * torch.cdist(a.q.transpose(1, 2), a.k.transpose(1, 2)) ** 2).exp().tril()
    expected = torch.einsum("bhts,bthk,bshk,bshv->bthv", w, a.q, a.k, a.v)
    torch.testing.assert_close(answers(layer, x), expected, rtol=1e-10, atol=1e-10)
