"""Learners by gradient steps: what they must equal, and where a minibatch may be cut."""

from itertools import pairwise

import pytest
import torch
from torch.nn.functional import layer_norm, pad

from recollect.ops import delta_rule, momentum_delta_rule, titans, ttt_linear, ttt_mlp
from recollect.ops.fast_weights import FastMLP, Readout, evaluate, from_layers, gradients, to_layers, with_one
from recollect.ops.momentum_chunks import products_between

B, T, H, K, V, HIDDEN = 2, 9, 3, 5, 4, 6
FORMS = ("reference", "recurrent", "chunkwise")
PLAIN = {"layer_norm": False, "residual": False}


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def normal(rng, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=rng)


def uniform(rng, *shape):
    return torch.rand(*shape, dtype=torch.float64, generator=rng)


def associations(rng, length=T, values=V):
    k = normal(rng, B, length, H, K)
    k = k / k.norm(dim=-1, keepdim=True)
    return {"q": normal(rng, B, length, H, K), "k": k, "v": normal(rng, B, length, H, values)}


def network(rng, values=V):
    shapes = {"w1": (K, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, values), "b2": (values,)}
    return {name: normal(rng, H, *shape) / shape[0] ** 0.5 for name, shape in shapes.items()}


@pytest.mark.parametrize("form", [*FORMS, "parallel"])
def test_without_momentum_the_momentum_delta_rule_is_the_gated_delta_rule(form, rng, exact):
    x = associations(rng)
    g, beta = -uniform(rng, B, T, H), uniform(rng, B, T, H)
    got, _ = momentum_delta_rule(**x, g=g, beta=beta, momentum=torch.zeros_like(g), form=form, chunk_size=4)
    state, outputs = torch.zeros(B, H, K, V, dtype=torch.float64), []
    for t in range(T):
        q, k, v = (x[name][:, t].unsqueeze(-1) for name in "qkv")
        state = g[:, t, :, None, None].exp() * state
        state = state + beta[:, t, :, None, None] * k @ (v - state.mT @ k).mT
        outputs.append((K**-0.5 * state.mT @ q).squeeze(-1))
    torch.testing.assert_close(got, torch.stack(outputs, dim=1), **exact)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_momentum_delta_rule_is_stochastic_gradient_descent_with_momentum(momentum, rng, exact):
    x = associations(rng)
    numbers = torch.ones(B, T, H, dtype=torch.float64)
    got, _ = momentum_delta_rule(
        **x, g=0 * numbers, beta=0.3 * numbers, momentum=momentum * numbers, scale=1.0
    )
    memory = torch.zeros(B, H, K, V, dtype=torch.float64, requires_grad=True)
    expected = _descend([memory], lambda k: torch.einsum("bhk,bhkv->bhv", k, memory), x, 0.3, momentum)
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("form", FORMS)
def test_titans_without_decay_is_stochastic_gradient_descent_on_a_network(form, momentum, rng, exact):
    x, start = associations(rng), network(rng)
    numbers = torch.ones(B, T, H, dtype=torch.float64)
    settings = {"scale": 1.0, "form": form, "minibatch_size": 1}
    got, _ = titans(
        **x, g=0 * numbers, eta=0.1 * numbers, momentum=momentum * numbers, **start, **settings
    )  # fmt: skip
    w1, b1, w2, b2 = learned = [x.expand(B, *x.shape).clone().requires_grad_() for x in start.values()]

    def model(k):
        hidden = torch.nn.functional.gelu(torch.einsum("bhk,bhkm->bhm", k, w1) + b1)
        return torch.einsum("bhm,bhmv->bhv", hidden, w2) + b2

    torch.testing.assert_close(got, _descend(learned, model, x, 0.1, momentum), **exact)


def _descend(learned, model, x, step, momentum):
    """Answers after each step of torch's own optimizer on half the squared error of one position."""
    optimizer = torch.optim.SGD(learned, lr=step, momentum=momentum)
    outputs = []
    for q, k, v in zip(*(x[name].unbind(1) for name in "qkv"), strict=True):
        optimizer.zero_grad()
        (0.5 * (model(k) - v).square().sum()).backward()
        optimizer.step()
        outputs.append(model(q).detach())
    return torch.stack(outputs, dim=1)


def test_a_decay_of_all_parameters_shrinks_the_answers_of_a_network_that_does_not_learn(rng, exact):
    x, start = associations(rng), network(rng)
    numbers = torch.zeros(B, T, H, dtype=torch.float64)
    got, _ = titans(**x, g=numbers - 0.2, eta=numbers, momentum=numbers, **start, scale=1.0)
    for t in range(T):
        left = FastMLP(*(torch.e ** (-0.2 * (t + 1)) * x.expand(B, *x.shape) for x in start.values()))
        expected = evaluate(left, Readout(layer_norm=False, residual=False), x["q"][:, t])
        torch.testing.assert_close(got[:, t], expected, **exact)


@pytest.mark.parametrize("minibatch_size", [1, 4])
def test_titans_without_momentum_and_decay_is_ttt_mlp(minibatch_size, rng, exact):
    x, start, eta = associations(rng), network(rng), 0.2 * uniform(rng, B, T, H)
    still = torch.zeros_like(eta)
    got, _ = titans(**x, g=still, eta=eta, momentum=still, **start, minibatch_size=minibatch_size)
    expected, _ = ttt_mlp(**x, eta=eta, **start, **PLAIN, minibatch_size=minibatch_size)
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("form", FORMS)
def test_ttt_linear_of_single_positions_is_the_delta_rule_on_keys_with_a_one(form, rng, exact):
    x, eta = associations(rng), uniform(rng, B, T, H)
    start = {"w1": normal(rng, H, K, V), "b1": normal(rng, H, V)}
    arguments = {"scale": 1.0, "output_final_state": True}
    got, state = ttt_linear(**x, eta=eta, **start, **PLAIN, **arguments, minibatch_size=1, form=form)
    memory = torch.cat([start["w1"], start["b1"].unsqueeze(-2)], dim=-2).expand(B, H, K + 1, V)
    longer = {name: pad(x[name], (0, 1), value=1.0) for name in "qk"} | {"v": x["v"]}
    expected, memory = delta_rule(**longer, beta=eta, initial_state=memory, **arguments)
    torch.testing.assert_close(got, expected, **exact)
    torch.testing.assert_close(state.parameters.w1, memory[..., :-1, :], **exact)
    torch.testing.assert_close(state.parameters.b1, memory[..., -1, :], **exact)


@pytest.mark.parametrize("minibatch_size", [T, T + 1, 10**9])
def test_ttt_linear_of_one_minibatch_is_linear_attention_of_values_times_step_sizes(
    minibatch_size, rng, exact
):
    x, eta = associations(rng), uniform(rng, B, T, H)
    got, _ = ttt_linear(**x, eta=eta, **PLAIN, scale=1.0, minibatch_size=minibatch_size)
    scores = torch.einsum("bthk,bshk->bhts", x["q"], x["k"]) + 1  # the bias reads a 1
    expected = torch.einsum("bhts,bsh,bshv->bthv", scores.tril(), eta, x["v"])
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("normed", ["no", "unit", "learned"])
def test_inner_gradients_are_those_of_automatic_differentiation(normed, residual, rng, exact):
    values = K if residual else V
    x, start = associations(rng, 1, values), network(rng, values)
    parameters = FastMLP(*(x.expand(B, *x.shape) for x in start.values()))
    learned = (normal(rng, H, values), normal(rng, H, values)) if normed == "learned" else (None, None)
    readout = Readout(normed != "no", residual, *learned)
    k, v = x["k"][:, 0], x["v"][:, 0]

    def loss(parameters):
        return 0.5 * (evaluate(parameters, readout, k) - v).square().sum()

    keys, targets = with_one(k).reshape(B * H, 1, -1), readout.target(k, v).reshape(B * H, 1, -1)
    steps = torch.full((B * H, 1, 1), 0.3, dtype=torch.float64)
    inputs, errors = gradients(to_layers(parameters), readout.for_rows(B), keys, targets, steps)
    outer = from_layers([x.mT @ e for x, e in zip(inputs, errors, strict=True)], parameters)
    for got, expected in zip(outer, torch.func.grad(loss)(parameters), strict=True):
        torch.testing.assert_close(got, 0.3 * expected, **exact)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("minibatch_size", [1, 4, T + 3])
def test_a_state_may_cut_a_minibatch_anywhere(minibatch_size, form, rng, exact):
    sequences = associations(rng) | {
        "g": -uniform(rng, B, T, H), "eta": 0.2 * uniform(rng, B, T, H), "momentum": uniform(rng, B, T, H)
    }  # fmt: skip
    settings = network(rng) | {"minibatch_size": minibatch_size, "output_final_state": True}
    whole, _ = titans(**sequences, **settings)
    for cut in range(1, T):
        first = {name: x[:, :cut] for name, x in sequences.items()}
        second = {name: x[:, cut:] for name, x in sequences.items()}
        before, state = titans(**first, **settings, form=form)
        assert state.position.tolist() == [cut % minibatch_size] * B
        after, _ = titans(**second, **settings, initial_state=state)
        torch.testing.assert_close(torch.cat([before, after], dim=1), whole, **exact)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("minibatch_size", [4, 40])
def test_sequences_of_a_batch_may_stand_at_different_positions_of_their_minibatches(
    minibatch_size, form, rng, exact
):
    x, eta = associations(rng), 0.2 * uniform(rng, B, T, H)
    settings = network(rng) | PLAIN | {"minibatch_size": minibatch_size, "output_final_state": True}
    boundaries = [0, 3, T]
    packed = {name: y[:1] for name, y in (x | {"eta": eta}).items()}
    _, states = ttt_mlp(**packed, **settings, cu_seqlens=torch.tensor(boundaries))
    assert states.position.tolist() == [3, (T - 3) % minibatch_size]
    together, finals = ttt_mlp(**x, eta=eta, **settings, initial_state=states, form=form)
    for row, (start, stop) in enumerate(pairwise(boundaries)):
        earlier = {name: y[:, start:stop] for name, y in packed.items()}
        own = {name: y[row : row + 1] for name, y in (x | {"eta": eta}).items()}
        _, state = ttt_mlp(**earlier, **settings)
        alone, final = ttt_mlp(**own, **settings, initial_state=state, form="reference")
        torch.testing.assert_close(together[row : row + 1], alone, **exact)
        for part, expected in zip(finals.start, final.start, strict=True):
            torch.testing.assert_close(part[row : row + 1], expected, **exact)


def test_a_layer_norm_without_gain_answers_with_mean_zero_and_variance_one(rng):
    x, eta = associations(rng), uniform(rng, B, T, H)
    o, _ = ttt_linear(**x, eta=eta, w1=normal(rng, H, K, V), residual=False, minibatch_size=4)
    torch.testing.assert_close(o, layer_norm(o, (V,)), rtol=1e-4, atol=1e-4)  # up to the norm's epsilon


def test_products_are_those_of_the_factors_between_with_gradients_where_factors_are_zero(rng, exact):
    factors = uniform(rng, 3, 6).index_fill(1, torch.tensor([2]), 0.0).requires_grad_()
    rows = [[factors[:, j + 1 : i + 1].prod(-1) * (j <= i) for j in range(6)] for i in range(6)]
    expected = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    got, weights = products_between(factors), normal(rng, 6, 6)
    torch.testing.assert_close(got, expected, **exact)
    for one, other in zip(
        torch.autograd.grad((weights * got).sum(), factors),
        torch.autograd.grad((weights * expected).sum(), factors),
        strict=True,
    ):
        torch.testing.assert_close(one, other, **exact)


@pytest.mark.parametrize("decay", [0.0, -0.01, -30.0])
@pytest.mark.parametrize("momentum", [1e-30, 0.99])
def test_strong_momentum_and_decay_stay_finite_over_long_sequences_in_single_precision(momentum, decay, rng):
    length = 4096
    x = associations(rng, length)
    numbers = torch.ones(B, length, H, dtype=torch.float64)
    arguments = x | {"g": decay * numbers, "beta": 0.02 * numbers, "momentum": momentum * numbers}
    expected, _ = momentum_delta_rule(**arguments)
    single = {name: x.float().requires_grad_() for name, x in arguments.items()}
    got, _ = momentum_delta_rule(**single)
    assert (got - expected).norm() < 1e-5 * expected.norm()
    slopes = torch.autograd.grad(got.square().mean(), list(single.values()))
    assert all(slope.isfinite().all() for slope in slopes)


@pytest.mark.parametrize("decay", [0.0, -0.01, -30.0])
def test_titans_with_strong_momentum_stays_finite_over_long_sequences_in_single_precision(decay, rng):
    length = 4096
    x, start = associations(rng, length), network(rng)
    numbers = torch.ones(B, length, H, dtype=torch.float64)
    arguments = x | start | {"g": decay * numbers, "eta": 3e-4 * numbers, "momentum": 0.99 * numbers}
    expected, _ = titans(**arguments)
    single = {name: x.float().requires_grad_() for name, x in arguments.items()}
    got, _ = titans(**single)
    assert (got - expected).norm() < 1e-5 * expected.norm()
    slopes = torch.autograd.grad(got.square().mean(), list(single.values()))
    assert all(slope.isfinite().all() for slope in slopes)


def test_a_residual_between_unequal_dimensions_is_refused(rng):
    x, eta = associations(rng), uniform(rng, B, T, H)
    with pytest.raises(ValueError, match=r"got V=4 and K=5\. Pass residual=False"):
        ttt_linear(**x, eta=eta)


def test_minibatches_of_nothing_are_refused(rng):
    x, eta = associations(rng), uniform(rng, B, T, H)
    with pytest.raises(ValueError, match="minibatch_size=0: expected at least 1"):
        ttt_linear(**x, eta=eta, residual=False, minibatch_size=0)
