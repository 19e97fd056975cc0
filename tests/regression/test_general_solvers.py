"""Each solver of the general path is the mathematics that it claims."""

import itertools
import math

import pytest
import torch
from posed_problems import (
    B,
    H,
    K,
    V,
    composed,
    cut,
    posed,
    solver_of,
)
from torch import nn

from recollect.memory import Empirical, Exponential, Polynomial, Sine
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
from recollect.regression.general import direct, online_loop, per_query_loop
from recollect.regression.problem import Associations, Constants

POSITIVE = Memory(function=Polynomial(alpha=0.6), length=16)
TAPS = Memory(function=Empirical(taps=(1.0, 0.0, 0.7, 0.2)), length=4, max_terms=1)
OSCILLATING = Memory(function=Sine(frequency=1.0), length=16)


@pytest.fixture
def exact():
    return {"rtol": 1e-10, "atol": 1e-10}


@pytest.mark.parametrize("weights", [GatedDecay() * Importance(), GatedDecay(per="channel") * Importance()])
@pytest.mark.parametrize("retrieve", ["after", "before"])
def test_the_loop_in_a_linear_class_is_the_gated_delta_rule(weights, retrieve, rng, exact):
    composition = composed(weights, Linear(), Sgd(retrieve=retrieve))
    a, constants = posed(composition, rng, 7)
    got, _ = online_loop(composition).read(a, constants, None, None)
    step = a.step * a.log_importance.exp()
    for b, h in itertools.product(range(B), range(H)):
        S = torch.zeros(K, V, dtype=torch.float64)
        for t in range(7):
            q, k, v = a.q[b, t, h], a.k[b, t, h], a.v[b, t, h]
            before, decayed = S, a.g[b, t, h].exp().expand(K)[:, None] * S
            S = decayed + step[b, t, h] * torch.outer(k, v - decayed.T @ k)
            torch.testing.assert_close(got[b, t, h], (S if retrieve == "after" else before).T @ q, **exact)


def test_momentum_steps_and_minibatches_are_what_the_equation_says(rng, exact):
    config = Sgd(num_steps=2, minibatch=3, momentum=0.5, weight_decay=0.1)
    composition = composed(Importance(), Linear(), config)
    a, constants = posed(composition, rng, 7)
    got, _ = online_loop(composition).read(a, constants, None, None)
    S = u = anchor = torch.zeros(K, V, dtype=torch.float64)
    for t in range(7):
        S = a.g[1, t, 2].exp() * S
        anchor = S if t % 3 == 0 else anchor
        for j in (2 * t, 2 * t + 1):
            k, v = a.k[1, j, 2], a.v[1, j, 2]
            gradient = torch.outer(k, anchor.T @ k - v)
            u = a.momentum[1, t, 2] * u - a.log_importance[1, t, 2].exp() * a.step[1, j, 2] * gradient
            S = S + u
        torch.testing.assert_close(got[1, t, 2], S.T @ a.q[1, t, 2], **exact)


class Network(nn.Module):
    """One head of the inner network, as anyone would write it."""

    def __init__(self, constants, config, head):
        super().__init__()
        self.parts = nn.ParameterList([part[head].clone() for part in constants.start])
        self.config = config
        self.norm = None if constants.norm is None else [part[head] for part in constants.norm]

    def forward(self, k):
        if self.config.depth == 1:
            y = k @ self.parts[0] + self.parts[1]
        else:
            y = nn.functional.gelu(k @ self.parts[0] + self.parts[1]) @ self.parts[2] + self.parts[3]
        if self.norm is not None:
            y = nn.functional.layer_norm(y, y.shape[-1:], *self.norm, eps=1e-6)
        return k + y if self.config.residual else y


NETWORKS = [MLP(depth=1), MLP(depth=2, expansion=2), MLP(expansion=3, layer_norm=True, residual=True)]


@pytest.mark.parametrize("config", NETWORKS, ids=str)
def test_the_loop_in_a_network_is_gradient_descent_on_its_module(config, rng, exact):
    sizes = (B, H, 4, 4)
    composition = composed(ConstantDecay(decay=0.9), config, Sgd(momentum=0.5))
    a, constants = posed(composition, rng, 5, sizes)
    got, _ = online_loop(composition).read(a, constants, None, None)
    network = Network(constants, config, head=2)
    updates = [torch.zeros_like(part) for part in network.parts]
    for t in range(5):
        with torch.no_grad():
            for part in network.parts:
                part.mul_(a.g[1, t, 2].exp())
        loss = 0.5 * (a.v[1, t, 2] - network(a.k[1, t, 2])).square().sum()
        gradients = torch.autograd.grad(loss, list(network.parts))
        updates = [
            a.momentum[1, t, 2] * u - a.step[1, t, 2] * x for u, x in zip(updates, gradients, strict=True)
        ]
        with torch.no_grad():
            for part, update in zip(network.parts, updates, strict=True):
                part.add_(update)
        torch.testing.assert_close(got[1, t, 2], network(a.q[1, t, 2]).detach(), **exact)


@pytest.mark.parametrize("config", NETWORKS, ids=str)
def test_one_step_of_a_network_is_the_gradient_of_the_whole_loss(config, rng, exact):
    composition = composed(ConstantDecay(decay=0.9) * Similarity(), config, OneStep())
    a, constants = posed(composition, rng, 5, (B, H, 4, 4))
    got, _ = direct(composition).read(a, constants, None, None)
    for t in range(5):
        network = Network(constants, config, head=1)
        weights = weights_of_similarity_and_decay(a, constants, 0, t, 1)
        errors = (a.v[0, : t + 1, 1] - network(a.k[0, : t + 1, 1])).square().sum(-1)
        gradients = torch.autograd.grad(0.5 * (weights * errors).sum(), list(network.parts))
        with torch.no_grad():
            for part, gradient in zip(network.parts, gradients, strict=True):
                part.sub_(gradient)
        torch.testing.assert_close(got[0, t, 1], network(a.q[0, t, 1]).detach(), **exact)


def weights_of_similarity_and_decay(a, constants, b, t, h):
    """`exp(q.k / h sqrt(K)) e^(G_t - G_i)` for all i <= t."""
    decays = torch.stack([a.g[b, i + 1 : t + 1, h].sum() for i in range(t + 1)])
    products = a.k[b, : t + 1, h] @ a.q[b, t, h] / math.sqrt(a.q.shape[-1])
    return (decays + products / constants.bandwidth[h]).exp()


def weighted_lstsq(weights, rows, v, ridge):
    """The minimiser of the weighted squares plus the ridge, from a QR factorisation of all rows."""
    root = weights.sqrt()[:, None]
    prior = torch.diag(ridge.sqrt())
    left = torch.cat([root * rows, prior])
    right = torch.cat([root * v, torch.zeros(len(prior), v.shape[1], dtype=torch.float64)])
    return torch.linalg.lstsq(left, right, driver="gelsd").solution


@pytest.mark.parametrize("prior", ["decaying", "fixed"])
def test_the_exact_linear_fit_is_weighted_least_squares(prior, rng, exact):
    composition = composed(ConstantDecay(decay=0.9) * Similarity(), Linear(), Exact(prior=prior))
    a, constants = posed(composition, rng, 8)
    got, _ = direct(composition).read(a, constants, None, None)
    for t in range(8):
        ridge = constants.ridge[1] * (a.g[0, : t + 1, 1].sum().exp() if prior == "decaying" else 1)
        weights = weights_of_similarity_and_decay(a, constants, 0, t, 1)
        S = weighted_lstsq(weights, a.k[0, : t + 1, 1], a.v[0, : t + 1, 1], ridge)
        torch.testing.assert_close(got[0, t, 1], S.T @ a.q[0, t, 1], **exact)


@pytest.mark.parametrize("function_class", [Linear(), LocalConstant(), KernelRidge()], ids=str)
def test_an_exact_fit_takes_weights_that_a_fit_made_negative_for_zero(function_class, rng, exact):
    solver = direct(composed(TAPS, function_class, Exact()))
    a, constants = posed(composed(TAPS, function_class, Exact()), rng, 6)
    undershot, cut_off = (torch.tensor([1.0, x, 0.7, 0.2], dtype=torch.float64) for x in (-0.01, 0.0))
    got, _ = solver.read(a, constants._replace(taps=undershot), None, None)
    expected, _ = solver.read(a, constants._replace(taps=cut_off), None, None)
    torch.testing.assert_close(got, expected, **exact)


def test_the_exact_fit_with_a_decay_per_channel_is_that_of_faded_keys(rng, exact):
    composition = composed(GatedDecay(per="channel") * Window(size=4), Linear(), Exact())
    a, constants = posed(composition, rng, 8)
    got, _ = direct(composition).read(a, constants, None, None)
    for t in range(8):
        total = a.g[0, :, 1].cumsum(0)
        seen = slice(max(t - 3, 0), t + 1)
        keys = (total[t] - total[seen]).exp() * a.k[0, seen, 1]
        ridge = constants.ridge[1] * (2 * total[t]).exp()
        S = weighted_lstsq(torch.ones(len(keys), dtype=torch.float64), keys, a.v[0, seen, 1], ridge)
        torch.testing.assert_close(got[0, t, 1], S.T @ a.q[0, t, 1], **exact)


@pytest.mark.parametrize(
    "local", [LocalLinear(), LocalPolynomial(degree=1), LocalPolynomial(degree=2)], ids=str
)
def test_a_local_fit_is_weighted_least_squares_around_the_query(local, rng, exact):
    composition = composed(ConstantDecay(decay=0.9) * Similarity(), local, Exact())
    a, constants = posed(composition, rng, 8)
    got, _ = direct(composition).read(a, constants, None, None)
    for t in range(8):
        x = a.k[0, : t + 1, 1] - a.q[0, t, 1]
        ridge, rows = constants.ridge[1], x
        if local == LocalPolynomial(degree=2):
            pairs = list(itertools.combinations_with_replacement(range(K), 2))
            rows = torch.cat([x, torch.stack([x[:, i] * x[:, j] for i, j in pairs], 1)], 1)
            ridge = torch.cat([ridge, torch.stack([(ridge[i] * ridge[j]).sqrt() for i, j in pairs])])
        weights = weights_of_similarity_and_decay(a, constants, 0, t, 1)
        none = torch.zeros(1, dtype=torch.float64)
        fit = weighted_lstsq(
            weights / weights.sum(),
            torch.cat([torch.ones_like(rows[:, :1]), rows], 1),
            a.v[0, : t + 1, 1],
            torch.cat([none, ridge]),
        )
        torch.testing.assert_close(got[0, t, 1], fit[0], **exact)


def test_a_learned_slope_that_is_the_solved_one_gives_local_linear_regression(rng, exact):
    solved, learned = (composed(Similarity(), LocalLinear(slope=x), Exact()) for x in ("solved", "learned"))
    a, constants = posed(solved, rng, 6)
    slopes = torch.zeros_like(a.q)
    for b, t, h in itertools.product(range(B), range(6), range(H)):
        k, q = a.k[b, : t + 1, h], a.q[b, t, h]
        p = (k @ q / math.sqrt(K) / constants.bandwidth[h]).softmax(0)
        mean = p @ k
        covariance = (k - mean).T @ (p[:, None] * (k - mean))
        slopes[b, t, h] = torch.linalg.solve(covariance + constants.ridge[h].diag(), mean - q)
    expected, _ = direct(solved).read(a, constants, None, None)
    got, _ = direct(learned).read(a._replace(slope=slopes), constants, None, None)
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("local", [LocalConstant(), LocalPolynomial(degree=0)], ids=str)
def test_the_exact_local_constant_is_softmax_attention(local, rng, exact):
    composition = composed(Similarity(), local, Exact())
    a, constants = posed(composition, rng, 6)
    large = a._replace(k=4000 * a.k)  # scores beyond the range of exp
    constants = constants._replace(bandwidth=torch.ones(H, dtype=torch.float64))
    got, _ = direct(composition).read(large, constants, None, None)
    scores = torch.einsum("bthk,bshk->bhts", large.q, large.k) / math.sqrt(K)
    future = torch.ones(6, 6, dtype=torch.bool).triu(1)
    weights = torch.softmax(scores.masked_fill(future, -torch.inf), dim=-1)
    torch.testing.assert_close(got, torch.einsum("bhts,bshv->bthv", weights, large.v), **exact)


def test_a_query_without_neighbours_is_answered_by_zero(rng):
    composition = composed(Similarity(kernel="compact"), LocalConstant(), Exact())
    a, constants = posed(composition, rng, 4)
    far = a._replace(k=a.k + 100.0)
    assert not direct(composition).read(far, constants, None, None)[0].any()


@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "exponential"])
def test_kernel_ridge_is_ridge_regression_in_the_features_of_the_kernel(kernel, rng, exact):
    composition = composed(ConstantDecay(decay=0.9), KernelRidge(kernel=kernel), Exact())
    a, constants = posed(composition, rng, 5)
    got, _ = direct(composition).read(a, constants, None, None)
    features, queries = cholesky_features(a, kernel, 1, 2)
    ridge = constants.ridge[2].mean().expand(features.shape[1])
    for t in range(5):
        decays = torch.stack([a.g[1, i + 1 : t + 1, 2].sum() for i in range(t + 1)]).exp()
        prior = ridge * a.g[1, : t + 1, 2].sum().exp()
        fit = weighted_lstsq(decays, features[: t + 1], a.v[1, : t + 1, 2], prior)
        torch.testing.assert_close(got[1, t, 2], fit.T @ queries[t], **exact)


def cholesky_features(a, kernel, b, h):
    """Finite features of keys and queries whose inner products are the kernel."""
    points = torch.cat([a.k[b, :, h], a.q[b, :, h]])
    if kernel == "exponential":
        gram = (points @ points.T / math.sqrt(K)).exp()
    else:
        distance = (points[:, None] - points).norm(dim=-1)
        gram = (-0.5 * distance**2).exp() if kernel == "gaussian" else (-distance).exp()
    factor = torch.linalg.cholesky(gram)
    return factor[: a.k.shape[1]], factor[a.k.shape[1] :]


@pytest.mark.parametrize("rule", ["explicit", "implicit", "normalised"])
@pytest.mark.parametrize("kernel", ["gaussian", "exponential"])
def test_descent_in_a_kernel_class_is_descent_in_the_features_of_the_kernel(kernel, rule, rng, exact):
    config = Sgd(minibatch=2, momentum=0.5, rule=rule)
    composition = composed(GatedDecay(), KernelRidge(kernel=kernel), config)
    a, constants = posed(composition, rng, 5)
    got, _ = online_loop(composition).read(a, constants, None, None)
    features, queries = cholesky_features(a, kernel, 1, 2)
    step, square = a.step, torch.ones_like(a.step)
    if kernel == "exponential":
        square = (a.k.square().sum(-1) / math.sqrt(K)).exp()
    if rule != "explicit":
        step = step / (1 + step * square) if rule == "implicit" else step / (square + 1e-6)
    alone = Associations(
        q=queries[None, :, None],
        k=features[None, :, None],
        v=a.v[1:2, :, 2:3],
        g=a.g[1:2, :, 2:3],
        step=step[1:2, :, 2:3],
        momentum=a.momentum[1:2, :, 2:3],
    )
    linear = composed(GatedDecay(), Linear(), Sgd(minibatch=2, momentum=0.5))
    expected, _ = online_loop(linear).read(alone, Constants(), None, None)
    torch.testing.assert_close(got[1, :, 2], expected[0, :, 0], **exact)


def after_rule(rule, weight, step, square):
    """The explicit step: of the proximal point, or of the error that a share of which is removed."""
    if rule == "implicit":
        return weight * step / (1 + weight * step * square)
    return min(weight, 1) * step / (square + 1e-6)


@pytest.mark.parametrize("weights", [Importance(), GatedDecay() * Importance()], ids=str)
@pytest.mark.parametrize("solver", [online_loop, per_query_loop])
def test_an_implicit_step_is_the_proximal_point_of_the_weighted_loss(solver, weights, rng, exact):
    r"""The least $|S - S'|^2 + \eta w |v - S^T k|^2$ solves $(I + \eta w k k^T) S = S' + \eta w k v^T$."""
    composition = composed(weights, Linear(), Sgd(rule="implicit"))
    a, constants = posed(composition, rng, 6)
    a = a._replace(k=3 * a.k, log_importance=3 * a.log_importance)
    got, _ = solver(composition).read(a, constants, None, None)
    S = torch.zeros(K, V, dtype=torch.float64)
    for t in range(6):
        S = S if a.g is None else a.g[1, t, 2].exp() * S
        k, size = a.k[1, t, 2], a.step[1, t, 2] * a.log_importance[1, t, 2].exp()
        curvature = torch.eye(K, dtype=torch.float64) + size * torch.outer(k, k)
        S = torch.linalg.solve(curvature, S + size * torch.outer(k, a.v[1, t, 2]))
        torch.testing.assert_close(got[1, t, 2], S.T @ a.q[1, t, 2], **exact)


@pytest.mark.parametrize("rule", ["implicit", "normalised"])
def test_weights_by_similarity_enter_the_rule_of_a_step(rule, rng, exact):
    composition = composed(Similarity() * Importance(), Linear(), Sgd(rule=rule))
    a, constants = posed(composition, rng, 5)
    a = a._replace(k=2 * a.k)
    got, _ = per_query_loop(composition).read(a, constants, None, None)
    for t in range(5):
        S = torch.zeros(K, V, dtype=torch.float64)
        for i in range(t + 1):
            k, v = a.k[1, i, 2], a.v[1, i, 2]
            near = (a.q[1, t, 2] @ k / math.sqrt(K) / constants.bandwidth[2]).exp()
            weight = near * a.log_importance[1, i, 2].exp()
            S = S + after_rule(rule, weight, a.step[1, i, 2], k @ k) * torch.outer(k, v - S.T @ k)
        torch.testing.assert_close(got[1, t, 2], S.T @ a.q[1, t, 2], **exact)


@pytest.mark.parametrize("rule", ["implicit", "normalised"])
@pytest.mark.parametrize(
    "function_class", [Linear(), KernelRidge(kernel="exponential"), LocalLinear()], ids=str
)
def test_no_weight_is_so_large_that_a_ruled_step_diverges(function_class, rule, rng):
    """Each step shrinks the error on its own association, so answers stay near the values."""
    composition = composed(Importance(activation="exp"), function_class, Sgd(rule=rule))
    a, constants = posed(composition, rng, 40)
    heavy = a._replace(log_importance=a.log_importance + 10)
    outputs, _ = solver_of(composition).read(heavy, constants, None, None)
    assert outputs.abs().max() < 10 * a.v.abs().max()


CLASSES_WITH_ONE_CHAIN = [Linear(), MLP(depth=2, expansion=2, layer_norm=True), KernelRidge()]
ONLINE = [Sgd(), Sgd(retrieve="before"), Sgd(num_steps=2, minibatch=2, momentum=0.5, weight_decay=0.1)]


@pytest.mark.parametrize("function_class", CLASSES_WITH_ONE_CHAIN, ids=str)
@pytest.mark.parametrize("optimizer", ONLINE, ids=str)
def test_a_chain_for_each_query_is_one_chain_where_the_weights_multiply(
    function_class, optimizer, rng, exact
):
    composition = composed(GatedDecay() * Importance(), function_class, optimizer)
    a, constants = posed(composition, rng, 6)
    expected, _ = online_loop(composition).read(a, constants, None, None)
    got, _ = per_query_loop(composition).read(a, constants, None, None)
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("function_class", CLASSES_WITH_ONE_CHAIN, ids=str)
@pytest.mark.parametrize("optimizer", [*ONLINE[:2], Sgd(num_steps=2, momentum=0.5)], ids=str)
def test_a_window_is_a_sequence_that_starts_where_the_window_does(function_class, optimizer, rng, exact):
    size, n = 3, optimizer.num_steps
    windowed = composed(GatedDecay() * Window(size=size), function_class, optimizer)
    plain = composed(GatedDecay(), function_class, optimizer)
    a, constants = posed(windowed, rng, 7)
    got, _ = per_query_loop(windowed).read(a, constants, None, None)
    shift = int(optimizer.retrieve == "before")
    for t in range(7):
        alone = cut(a, max(t - size + 1 - shift, 0), t + 1, n)
        expected, _ = online_loop(plain).read(alone, constants, None, None)
        torch.testing.assert_close(got[:, t], expected[:, -1], **exact)


def test_a_minibatch_also_starts_where_the_sight_of_a_query_does(rng, exact):
    config = MLP(depth=1)
    composition = composed(GatedDecay() * Window(size=4), config, Sgd(minibatch=3))
    a, constants = posed(composition, rng, 7)
    got, _ = per_query_loop(composition).read(a, constants, None, None)
    for t in range(7):
        first, network = max(t - 3, 0), Network(constants, config, head=2)
        parts = [part.detach() for part in network.parts]
        for i in range(first, t + 1):
            parts = [a.g[1, i, 2].exp() * part for part in parts]
            if i % 3 == 0 or i == first:
                anchor = parts
            W, c = anchor
            residual = a.k[1, i, 2] @ W + c - a.v[1, i, 2]
            gradients = torch.outer(a.k[1, i, 2], residual), residual
            parts = [part - a.step[1, i, 2] * x for part, x in zip(parts, gradients, strict=True)]
        torch.testing.assert_close(got[1, t, 2], a.q[1, t, 2] @ parts[0] + parts[1], **exact)


def test_descent_on_a_local_constant_is_a_chain_of_means(rng, exact):
    composition = composed(Similarity(), LocalConstant(), Sgd(rule="implicit"))
    a, constants = posed(composition, rng, 5)
    got, _ = per_query_loop(composition).read(a, constants, None, None)
    for t in range(5):
        c = torch.zeros(V, dtype=torch.float64)
        for i in range(t + 1):
            weight = (a.q[0, t, 1] @ a.k[0, i, 1] / math.sqrt(K) / constants.bandwidth[1]).exp()
            step = weight * a.step[0, i, 1]
            c = c + step / (1 + step) * (a.v[0, i, 1] - c)
        torch.testing.assert_close(got[0, t, 1], c, **exact)


def test_descent_in_a_local_polynomial_is_descent_in_its_features(rng, exact):
    composition = composed(Uniform(), LocalPolynomial(degree=2), Sgd())
    a, constants = posed(composition, rng, 5)
    got, _ = per_query_loop(composition).read(a, constants, None, None)
    pairs = torch.triu_indices(K, K)
    for t in range(5):
        x = a.k[0, : t + 1, 1] - a.q[0, t, 1]
        rows = torch.cat([torch.ones_like(x[:, :1]), x, x[:, pairs[0]] * x[:, pairs[1]]], 1)
        S = torch.zeros(rows.shape[1], V, dtype=torch.float64)
        for i, row in enumerate(rows):
            S = S + a.step[0, i, 1] * torch.outer(row, a.v[0, i, 1] - S.T @ row)
        torch.testing.assert_close(got[0, t, 1], S[0], **exact)


@pytest.mark.parametrize(
    "memory", [POSITIVE, TAPS, OSCILLATING, Memory(function=Exponential(alpha=0.3))], ids=str
)
@pytest.mark.parametrize("retrieve", ["after", "before"])
def test_one_step_weighs_by_the_memory_function_of_the_age(memory, retrieve, rng):
    composition = composed(memory, Linear(), OneStep(retrieve=retrieve))
    a, constants = posed(composition, rng, 8)
    got, _ = direct(composition).read(a, constants, None, None)
    rho = nn.functional.pad(memory.function.values(memory.length), (0, 8))
    delay = int(retrieve == "before")
    for t in range(8):
        S = torch.zeros(K, V, dtype=torch.float64)
        for i in range(t + 1 - delay):
            S = S + rho[t - delay - i] * torch.outer(a.k[1, i, 0], a.v[1, i, 0])
        error = (got[1, t, 0] - S.T @ a.q[1, t, 0]).norm()
        assert error <= 2 * memory.tolerance * rho.norm() * a.v[1, : t + 1, 0].norm()


def test_one_step_with_a_decay_per_channel_is_gated_linear_attention(rng, exact):
    composition = composed(GatedDecay(per="channel") * Importance(), Linear(), OneStep())
    a, constants = posed(composition, rng, 6)
    a = a._replace(g=80 * a.g)  # decays whose inverse overflows
    got, _ = direct(composition).read(a, constants, None, None)
    S = torch.zeros(K, V, dtype=torch.float64)
    for t in range(6):
        write = a.log_importance[1, t, 2].exp() * torch.outer(a.k[1, t, 2], a.v[1, t, 2])
        S = a.g[1, t, 2].exp()[:, None] * S + write
        torch.testing.assert_close(got[1, t, 2], S.T @ a.q[1, t, 2], **exact)


def test_one_step_in_a_kernel_class_is_a_sum_of_similarities(rng, exact):
    composition = composed(Window(size=3), KernelRidge(), OneStep())
    a, constants = posed(composition, rng, 6)
    got, _ = direct(composition).read(a, constants, None, None)
    for t in range(6):
        seen = slice(max(t - 2, 0), t + 1)
        similarity = (-0.5 * (a.k[0, seen, 1] - a.q[0, t, 1]).square().sum(-1)).exp()
        torch.testing.assert_close(got[0, t, 1], similarity @ a.v[0, seen, 1], **exact)
