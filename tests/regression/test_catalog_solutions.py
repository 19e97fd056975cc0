"""Rows that solve or descend, against their regressions written out for each position."""

import pytest
import torch
from torch.nn import functional as F

from recollect.core import seeded_initialisation
from recollect.regression.named import CATALOG

DIM, HEADS, KEYS, VALUES, BATCH, LENGTH = 8, 2, 4, 3, 2, 13
SIZES = {"num_heads": HEADS, "key_dim": KEYS, "value_dim": VALUES, "short_conv": None}
BARE = SIZES | {"activation": "none", "output_norm": "none", "output_gate": "none"}


def build(name, **options):
    """Away from special values, such as a bias of zero."""
    with seeded_initialisation(0):
        layer = CATALOG[name](DIM, **options).double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def draw(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


X = draw(BATCH, LENGTH, DIM)


def heads(layer, *sizes):
    """Projections with heads before time, as many as there are sizes of a head."""
    parts = layer.projections.to_heads(X).split([HEADS * size for size in sizes], dim=-1)
    return [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts]


def unit(x):
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()


def gate(linear, bias=None):
    """A number of each head and position."""
    signal = linear(X) if bias is None else linear(X) + bias.flatten()
    return torch.sigmoid(signal).transpose(1, 2)


def assert_answers(layer, answers):
    """The outputs of a layer are its output map of these answers, `(B, H, V)` for each position."""
    expected = layer.project_out(torch.stack(answers, dim=1).flatten(-2))
    torch.testing.assert_close(layer(X), expected, rtol=1e-9, atol=1e-9)


def fitted(design, targets, weights, ridge):
    """Weighted ridge regression by the least-squares problem itself: no normal equations."""
    rows = torch.cat([weights.sqrt()[..., None] * design, torch.diag_embed(ridge.sqrt())], dim=-2)
    none = torch.zeros_like(targets[..., :1, :]).expand(*targets.shape[:-2], ridge.shape[-1], -1)
    right = torch.cat([weights.sqrt()[..., None] * targets, none], dim=-2)
    return torch.linalg.lstsq(rows, right, driver="gelsd").solution


@pytest.mark.parametrize("name", ["intention", "rls", "rls of important associations", "mesa"])
def test_linear_rows_are_the_least_squares_fit_at_every_position(name):
    row, _, important = name.partition(" of ")
    options = {"importance": True} if important else {}
    bare = (
        SIZES if row == "intention" else {key: value for key, value in BARE.items() if key != "output_gate"}
    )
    layer = build(row, **bare, **options)
    q, k, v = heads(layer, KEYS, KEYS, VALUES)
    if row != "intention":
        q, k = unit(q), unit(k)
    ones = torch.ones(BATCH, HEADS, LENGTH, dtype=torch.float64)
    decays, importances = layer.signals.decays, layer.signals.importances
    kept = gate(decays[0].map, decays[0].bias) if len(decays) else ones
    weight = gate(importances[0].map) if len(importances) else ones
    ridge = layer.constants.log_ridge.exp().expand(BATCH, HEADS, KEYS)
    answers = []
    for t in range(LENGTH):
        since = torch.stack([kept[..., i + 1 : t + 1].prod(-1) for i in range(t + 1)], dim=-1)
        prior = ridge if row == "mesa" else ridge * kept[..., : t + 1].prod(-1, keepdim=True)
        regressor = fitted(k[:, :, : t + 1], v[:, :, : t + 1], since * weight[..., : t + 1], prior)
        answers.append(torch.einsum("bhk,bhkv->bhv", q[:, :, t], regressor))
    assert_answers(layer, answers)


def gaussian(x, y, bandwidth):
    return torch.exp(-torch.cdist(x, y).square() / (2 * bandwidth**2))


def test_kernel_intention_interpolates_with_a_ridge():
    layer = build("kernel_intention", **SIZES, bandwidth=0.7, ridge=0.2)
    q, k, v = heads(layer, KEYS, KEYS, VALUES)
    q, k = unit(q), unit(k)
    ridge = layer.constants.log_ridge.exp()[0, 0]  # kept in single precision
    answers = []
    for t in range(LENGTH):
        keys = k[:, :, : t + 1]
        system = gaussian(keys, keys, 0.7) + ridge * torch.eye(t + 1, dtype=torch.float64)
        coefficients = torch.linalg.solve(system, v[:, :, : t + 1])
        answers.append((gaussian(q[:, :, t : t + 1], keys, 0.7) @ coefficients).squeeze(2))
    assert_answers(layer, answers)


@pytest.mark.parametrize("name", ["skyformer", "skyformer, a sum", "soft", "soft with keys"])
def test_gaussian_rows_are_kernel_means_or_sums(name):
    options = {
        "skyformer, a sum": {"normalise": False},
        "soft": {"output_norm": "none"},
        "soft with keys": {"keys": "projected", "output_norm": "none"},
    }.get(name, {})
    layer = build(name[:9] if name.startswith("sky") else "soft", **SIZES, **options)
    if name == "soft":
        q, v = heads(layer, KEYS, VALUES)
        k = q
    else:
        q, k, v = heads(layer, KEYS, KEYS, VALUES)
    width = layer.constants.log_bandwidth.exp()[0]
    assert float(width) == pytest.approx(KEYS**0.25)
    weights = gaussian(q, k, width).tril()
    if name == "skyformer":
        weights = weights / weights.sum(-1, keepdim=True)
    assert_answers(layer, (weights @ v).unbind(2))


def softmax(layer, q, k):
    """Weights of all associations for all queries, with the bandwidth of each head."""
    scores = q @ k.mT * KEYS**-0.5 / layer.constants.log_bandwidth.exp()[:, None, None]
    hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, -torch.inf).softmax(-1)


def monomials(x, degree):
    """The constant, the channels, and their products, each once."""
    parts = [torch.ones_like(x[..., :1]), x][: degree + 1]
    if degree == 2:
        first, second = torch.triu_indices(KEYS, KEYS)
        parts.append(x[..., first] * x[..., second])
    return torch.cat(parts, dim=-1)


@pytest.mark.parametrize(("name", "degree"), [
    ("local_linear_attention", 1),
    *(("local_polynomial_attention", degree) for degree in (0, 1, 2)),
])  # fmt: skip
def test_local_rows_are_the_weighted_fit_around_every_query(name, degree):
    options = {"degree": degree} if "polynomial" in name else {}
    layer = build(name, **SIZES, ridge=0.25, **options)
    q, k, v = heads(layer, KEYS, KEYS, VALUES)
    q, k = unit(q), unit(k)
    weights = softmax(layer, q, k)
    ridge = layer.constants.log_ridge.exp()[0, 0]  # kept in single precision
    answers = []
    for t in range(LENGTH):
        design = monomials(k[:, :, : t + 1] - q[:, :, t : t + 1], degree)
        penalty = ridge.expand(design.shape[-1]).clone()
        penalty[0] = 0
        fit = fitted(design, v[:, :, : t + 1], weights[:, :, t, : t + 1], penalty.expand(BATCH, HEADS, -1))
        answers.append(fit[:, :, 0])
    assert_answers(layer, answers)


def test_parallax_tilts_the_mean_by_the_covariance_of_values_and_keys():
    layer = build("parallax", **SIZES, rotation="none")
    q, k, v = heads(layer, KEYS, KEYS, VALUES)
    r = layer.signals.slope(X).unflatten(-1, (HEADS, KEYS)).transpose(1, 2)
    p = softmax(layer, q, k)
    mixed = torch.einsum("bhts,bhsv,bhsk->bhtvk", p, v, k)
    covariance = mixed - torch.einsum("bhtv,bhtk->bhtvk", p @ v, p @ k)
    assert_answers(layer, (p @ v - torch.einsum("bhtvk,bhtk->bhtv", covariance, r)).unbind(2))


@pytest.mark.parametrize("name", ["parallax", "softmax_attention", "softmax_attention_qknorm"])
def test_rotating_rows_know_differences_of_positions_alone(name):
    layer = build(name, **SIZES)
    state = layer.initial_state(BATCH)
    late = state._replace(angle=state.angle + 11 * layer.rotation.angle)
    outputs = []
    for start in (state, late):
        carried = start
        for x_t in X.unbind(1):
            y, carried = layer.step(x_t, carried)
        outputs.append(y)
    torch.testing.assert_close(*outputs, rtol=1e-10, atol=1e-10)


def test_longhorn_moves_to_the_minimum_of_its_proximal_problem():
    layer = build("longhorn", **BARE)
    q, k, v = heads(layer, KEYS, KEYS, VALUES)
    beta = gate(layer.signals.step.map)
    state, answers = torch.zeros(BATCH, HEADS, KEYS, VALUES, dtype=torch.float64), []
    identity = torch.eye(KEYS, dtype=torch.float64).expand(BATCH, HEADS, -1, -1)
    for t in range(LENGTH):
        weight = beta[..., t, None, None].sqrt()
        rows = torch.cat([identity, weight * k[:, :, t : t + 1]], dim=2)
        state = torch.linalg.lstsq(rows, torch.cat([state, weight * v[:, :, t : t + 1]], dim=2)).solution
        answers.append(torch.einsum("bhk,bhkv->bhv", q[:, :, t], state) * KEYS**-0.5)
    assert_answers(layer, answers)


@pytest.mark.parametrize("gated", [False, True])
def test_delta_product_takes_its_steps_one_after_the_other(gated):
    n = 3
    layer = build("delta_product", **BARE, num_steps=n, gated=gated)
    q, k, v = heads(layer, KEYS, n * KEYS, n * VALUES)
    keys, values = (x.transpose(1, 2).flatten(-2).unflatten(-1, (n, HEADS, -1)) for x in (k, v))
    steps = 2 * torch.sigmoid(layer.signals.step.map(X)).unflatten(-1, (n, HEADS))
    decay = layer.signals.decays[0](X)[0].exp() if gated else torch.ones(BATCH, LENGTH, HEADS)
    state, answers = torch.zeros(BATCH, HEADS, KEYS, VALUES, dtype=torch.float64), []
    for t in range(LENGTH):
        state = decay[:, t, :, None, None] * state
        for j in range(n):
            key, value, step = unit(keys[:, t, j]), values[:, t, j], steps[:, t, j, :, None]
            error = value - torch.einsum("bhk,bhkv->bhv", key, state)
            state = state + torch.einsum("bhk,bhv->bhkv", key, step * error)
        answers.append(torch.einsum("bhk,bhkv->bhv", unit(q[:, :, t]), state) * KEYS**-0.5)
    assert_answers(layer, answers)


def learned(layer, says, rates):
    """Answers of a network of one head for one sequence: a gradient at the start of each minibatch."""
    (q, k, v), answers = rates["associations"], []
    theta = [part[rates["head"]] for part in layer.constants.start]
    moving = [torch.zeros_like(part) for part in theta]
    for t in range(LENGTH):
        if t % rates["minibatch"] == 0:
            start = [part.detach().clone().requires_grad_() for part in theta]
        loss = 0.5 * (says(start, k[t]) - v[t]).square().sum()
        gradient = torch.autograd.grad(loss, start)
        moving = [rates["share"][t] * m - rates["step"][t] * g for m, g in zip(moving, gradient, strict=True)]
        theta = [rates["kept"][t] * part + m for part, m in zip(theta, moving, strict=True)]
        answers.append(says(theta, q[t]))
    return torch.stack(answers)


@pytest.mark.parametrize("name", ["ttt_linear", "ttt_mlp", "titans"])
@pytest.mark.parametrize("minibatch", [1, 4])
def test_networks_descend_from_the_start_of_each_minibatch(name, minibatch):
    bare = SIZES | {"value_dim": KEYS, "output_norm": "none", "output_gate": "none"}
    options = {"activation": "none"} if name == "titans" else {}
    layer = build(name, **bare, **options, minibatch=minibatch, max_step=0.4)
    q, k, v = heads(layer, KEYS, KEYS, KEYS)
    q, k = unit(q), unit(k)
    step = 0.4 * gate(layer.signals.step.map)
    moves = name == "titans"
    share = gate(layer.signals.momentum.map) if moves else torch.zeros_like(step)
    kept = 1 - gate(layer.signals.weight_decay.map) if moves else torch.ones_like(step)

    def says(theta, key):
        z = key @ theta[0] + theta[1]
        if len(theta) == 4:
            z = F.gelu(z) @ theta[2] + theta[3]
        if moves:
            return z
        gain, bias = (part[head] for part in layer.constants.norm)
        return key + F.layer_norm(z, (KEYS,), eps=1e-6) * gain + bias

    expected = torch.empty(BATCH, LENGTH, HEADS, KEYS, dtype=torch.float64)
    for b in range(BATCH):
        for head in range(HEADS):
            rates = {
                "head": head,
                "minibatch": minibatch,
                "associations": (q[b, head], k[b, head], v[b, head]),
            }
            rates |= {"step": step[b, head], "share": share[b, head], "kept": kept[b, head]}
            expected[b, :, head] = learned(layer, says, rates).detach()
    assert_answers(layer, expected.unbind(1))
