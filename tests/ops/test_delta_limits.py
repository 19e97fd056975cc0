"""What the theory says of gated attention and of delta rules: limits, exactness, strong decays, stability."""

import importlib
import math

import pytest
import torch

from recollect import ops
from recollect.ops.decayed_scores import decayed_scores
from recollect.ops.samples import log_decay, normal, step_sizes, unit

B, T, H, K, V = 2, 11, 3, 5, 4
CHUNK = 4
PER_CHANNEL = ("gla", "kda")
DELTA = ("delta_rule", "gated_delta_rule", "kda", "longhorn")
FORMS = ("reference", "recurrent", "parallel", "chunkwise")


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(5)


@pytest.fixture(params=FORMS)
def how(request):
    """Every form, with chunks that do not divide the length."""
    return {"form": request.param, "chunk_size": CHUNK, "output_final_state": True}


def qkv(rng, length=T):
    return normal(rng, B, length, H, K), unit(normal(rng, B, length, H, K)), normal(rng, B, length, H, V)


def agree(got, expected, exact):
    """Outputs and final states."""
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **exact)


def sequences_of(name, rng, length, decay):
    """Arguments of a gated op whose log-decays are `decay(*shape)`."""
    shape = (B, length, H, K) if name in PER_CHANNEL else (B, length, H)
    q, k, v = qkv(rng, length)
    beta = {"beta": step_sizes(rng, B, length, H)} if name in DELTA else {}
    return {"q": q, "k": k, "v": v, "g": decay(*shape)} | beta


def test_gla_with_constant_gates_is_retention(rng, how, exact):
    q, k, v = qkv(rng)
    decay = log_decay(rng, H)
    gates = decay[:, None].expand(B, T, H, K)
    agree(ops.gla(q, k, v, gates, **how), ops.retention(q, k, v, log_decay=decay, **how), exact)


def test_gla_with_equal_channels_is_simple_gla(rng, how, exact):
    q, k, v = qkv(rng)
    g = log_decay(rng, B, T, H)
    agree(ops.gla(q, k, v, g[..., None].expand(B, T, H, K), **how), ops.simple_gla(q, k, v, g, **how), exact)


def test_kda_with_equal_channels_is_the_gated_delta_rule(rng, how, exact):
    q, k, v = qkv(rng)
    g, beta = log_decay(rng, B, T, H), step_sizes(rng, B, T, H)
    gates = g[..., None].expand(B, T, H, K)
    agree(ops.kda(q, k, v, gates, beta, **how), ops.gated_delta_rule(q, k, v, g, beta, **how), exact)


def test_the_gated_delta_rule_without_decay_is_the_delta_rule(rng, how, exact):
    q, k, v = qkv(rng)
    beta = step_sizes(rng, B, T, H)
    agree(
        ops.gated_delta_rule(q, k, v, torch.zeros_like(beta), beta, **how),
        ops.delta_rule(q, k, v, beta, **how),
        exact,
    )


def test_a_delta_product_of_one_step_is_the_gated_delta_rule(rng, how, exact):
    q, k, v = qkv(rng)
    g, beta = log_decay(rng, B, T, H), step_sizes(rng, B, T, H)
    product = ops.gated_delta_product(q, k, v, g, beta, num_steps=1, **how)
    agree(product, ops.gated_delta_rule(q, k, v, g, beta, **how), exact)


@pytest.mark.parametrize("steps", [2, 3, 6])
def test_a_delta_product_is_a_longer_gated_delta_rule_read_after_its_last_steps(rng, how, exact, steps):
    q, k, v = qkv(rng, T * steps)
    g, beta = log_decay(rng, B, T, H), step_sizes(rng, B, T * steps, H)
    last = torch.arange(T) * steps + steps - 1
    gates = torch.zeros(B, T * steps, H, dtype=torch.float64)
    gates[:, last - steps + 1] = g
    outputs, state = ops.gated_delta_rule(q, k, v, gates, beta, **how)
    product = ops.gated_delta_product(q[:, last], k, v, g, beta, num_steps=steps, **how)
    agree(product, (outputs[:, last], state), exact)


def test_a_delta_product_of_two_reflections_is_a_rotation_by_twice_the_angle(how, exact):
    angle = 0.3
    keys = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    state = torch.eye(2, dtype=torch.float64).reshape(1, 1, 2, 2)
    _, turned = ops.gated_delta_product(
        torch.ones(1, 1, 1, 2, dtype=torch.float64), keys.reshape(1, 2, 1, 2),
        torch.zeros(1, 2, 1, 2, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64),
        torch.full((1, 2, 1), 2.0, dtype=torch.float64), initial_state=state, **how,
    )  # fmt: skip
    c, s = math.cos(2 * angle), math.sin(2 * angle)
    torch.testing.assert_close(turned[0, 0], torch.tensor([[c, -s], [s, c]], dtype=torch.float64), **exact)


def test_a_delta_product_refuses_lengths_that_do_not_fit(rng):
    q, k, v = qkv(rng)
    g = beta = torch.zeros(B, T, H, dtype=torch.float64)
    with pytest.raises(ValueError, match=f"k: expected num_steps=2 entries for {T} positions, got {T}"):
        ops.gated_delta_product(q, k, v, g, beta, num_steps=2)
    with pytest.raises(ValueError, match="num_steps=0"):
        ops.gated_delta_product(q, k, v, g, beta, num_steps=0)


def test_the_delta_rule_is_one_step_of_gradient_descent_for_each_position(rng, how, exact):
    _, k, v = qkv(rng)
    beta = step_sizes(rng, B, T, H)
    state = torch.zeros(B, H, K, V, dtype=torch.float64)
    for t in range(T):
        state.requires_grad_()
        error = v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], state)
        (gradient,) = torch.autograd.grad(0.5 * error.square().sum(), state)
        state = state.detach() - beta[:, t, :, None, None] * gradient
    torch.testing.assert_close(ops.delta_rule(k, k, v, beta, **how)[1], state, **exact)


def test_small_steps_of_the_delta_rule_are_linear_attention_up_to_their_square(rng, how):
    q, k, v = qkv(rng)

    def error(step):
        steps = torch.full((B, T, H), step, dtype=torch.float64)
        return (ops.delta_rule(q, k, v, steps, **how)[0] - step * ops.linear_attn(q, k, v)[0]).norm().item()

    assert math.log2(error(2e-4) / error(1e-4)) == pytest.approx(2, abs=1e-3)


def test_the_delta_rule_recalls_orthonormal_keys_exactly(rng, how, exact):
    keys = torch.linalg.qr(normal(rng, B, H, K, K)).Q.transpose(1, 2)
    values = normal(rng, B, K, H, V)
    ones = torch.ones(B, K, H, dtype=torch.float64)
    _, state = ops.delta_rule(keys, keys, values, ones, **how)
    recalled = torch.einsum("bthk,bhkv->bthv", keys, state)
    torch.testing.assert_close(recalled, values, **exact)


def test_the_delta_rule_overwrites_the_value_of_a_key_where_linear_attention_adds(rng, how, exact):
    key = unit(normal(rng, B, 1, H, K))
    values = normal(rng, B, T, H, V)
    keys, ones = key.expand(B, T, H, K), torch.ones(B, T, H, dtype=torch.float64)
    read, _ = ops.delta_rule(keys, keys, values, ones, scale=1.0, **how)
    torch.testing.assert_close(read, values, **exact)
    added, _ = ops.linear_attn(keys, keys, values, scale=1.0)
    torch.testing.assert_close(added, values.cumsum(1), **exact)


def test_longhorn_minimises_its_proximal_problem(rng, how):
    _, k, v = qkv(rng)
    k, beta = 3 * k, 4 * step_sizes(rng, B, T, H)
    before = ops.longhorn(k[:, :-1], k[:, :-1], v[:, :-1], beta[:, :-1], **how)[1]
    after = ops.longhorn(k, k, v, beta, **how)[1].requires_grad_()
    error = v[:, -1] - torch.einsum("bhk,bhkv->bhv", k[:, -1], after)
    objective = (after - before).square().sum() + (beta[:, -1, :, None] * error.square()).sum()
    (gradient,) = torch.autograd.grad(objective, after)
    assert gradient.abs().max() < 1e-11


def test_longhorn_with_great_importance_is_the_delta_rule_with_the_step_that_projects(rng, how):
    q, k, v = qkv(rng)
    k = k * (0.5 + torch.rand(B, T, H, 1, dtype=torch.float64, generator=rng))
    expected, _ = ops.delta_rule(q, k, v, 1 / k.square().sum(-1))

    def error(importance):
        beta = torch.full((B, T, H), importance, dtype=torch.float64)
        return (ops.longhorn(q, k, v, beta, **how)[0] - expected).norm().item()

    assert math.log10(error(1e5) / error(1e6)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("norm", [0.0, 1.0, 100.0])
def test_longhorn_shrinks_the_error_by_one_plus_importance_times_the_norm_of_the_key(rng, how, exact, norm):
    _, k, v = qkv(rng)
    k, beta = norm * k, 1000 * step_sizes(rng, B, T, H)
    read, _ = ops.longhorn(k, k, v, beta, scale=1.0, **how)
    _, state = ops.longhorn(k[:, :-1], k[:, :-1], v[:, :-1], beta[:, :-1], **how)
    error = v[:, -1] - torch.einsum("bhk,bhkv->bhv", k[:, -1], state)
    shrunk = error / (1 + beta[:, -1, :, None] * norm**2)
    torch.testing.assert_close(v[:, -1] - read[:, -1], shrunk, **exact)


@pytest.mark.parametrize("length", [1, 2, 4, 8, 32])
def test_decayed_scores_are_the_sums_that_define_them(rng, exact, length):
    rows, keys = normal(rng, B, H, 2, length, 3, K), normal(rng, B, H, 2, length, K)
    g = log_decay(rng, B, H, 2, length, K)
    total = g.cumsum(-2)
    difference = total.unsqueeze(-2) - total.unsqueeze(-3)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    decay = difference.masked_fill(future.unsqueeze(-1), -math.inf).exp()
    block = decayed_scores(rows, keys, g)
    expected = torch.einsum("bhnirk,bhnjk,bhnijk->bhnirj", rows, keys, decay)
    torch.testing.assert_close(block.scores, expected, **exact)
    torch.testing.assert_close(block.rows, rows * total.exp().unsqueeze(-2), **exact)
    torch.testing.assert_close(block.keys, keys * (total[..., -1:, :] - total).exp(), **exact)
    torch.testing.assert_close(block.decay, total[..., -1, :].exp(), **exact)


def test_decayed_scores_need_chunks_that_can_be_halved(rng):
    with pytest.raises(ValueError, match=r"expected chunks of 1, 2, 4, 8, \.\.\. positions, got 6"):
        decayed_scores(normal(rng, 1, 1, 1, 6, 1, K), normal(rng, 1, 1, 1, 6, K), normal(rng, 1, 1, 1, 6, K))


def constant_decay(strength):
    return lambda *shape: torch.full(shape, strength, dtype=torch.float64)


def mixed_decay(*shape):
    """Positions and channels that forget everything among others that forget nothing."""
    mixed = torch.zeros(shape, dtype=torch.float64)
    mixed.flatten()[::7] = -50.0  # 7 has no factor in common with the sizes: all channels, at some positions
    return mixed


@pytest.mark.parametrize("decay", [constant_decay(-50.0), constant_decay(-1000.0), mixed_decay])
@pytest.mark.parametrize("name", [*PER_CHANNEL, "gated_delta_rule"])
def test_strong_decays_leave_values_and_gradients_exact(rng, name, decay, exact):
    inputs = sequences_of(name, rng, 70, decay)

    def run(form):
        leaves = {n: x.clone().requires_grad_() for n, x in inputs.items()}
        output, _ = getattr(ops, name)(**leaves, form=form, chunk_size=64)
        return output, *torch.autograd.grad(output.square().sum(), list(leaves.values()))

    for got, expected in zip(run("chunkwise"), run("reference"), strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("name", PER_CHANNEL)
def test_strong_decays_beside_weak_ones_lose_no_precision_in_float32(rng, name):
    """A difference of two sums of decays would: here they reach -450, between steps of -0.01."""
    inputs = sequences_of(name, rng, 64, lambda *shape: torch.where(mixed_decay(*shape) < 0, -50.0, -0.01))
    op = getattr(ops, name)
    single = {n: x.float() for n, x in inputs.items()}
    expected, _ = op(**{n: x.double() for n, x in single.items()}, form="reference")
    got, _ = op(**single)
    assert (got - expected).norm() / expected.norm() < 1e-6


@pytest.mark.parametrize("name", PER_CHANNEL)
def test_a_decay_to_exactly_zero_is_a_state_that_starts_anew(rng, name, exact):
    inputs = sequences_of(name, rng, 2 * T, lambda *shape: log_decay(rng, *shape))
    inputs["g"][:, T] = -math.inf
    op = getattr(ops, name)
    leaves = {n: x.clone().requires_grad_() for n, x in inputs.items()}
    whole, _ = op(**leaves, chunk_size=32)
    alone, _ = op(**{n: x[:, T:] for n, x in inputs.items()})
    torch.testing.assert_close(whole[:, T:], alone, **exact)
    for gradient in torch.autograd.grad(whole[:, T:].sum(), list(leaves.values())):
        assert gradient.isfinite().all()
        assert gradient[:, :T].abs().max() == 0


@pytest.mark.parametrize("rank", [1, 3, 16])
@pytest.mark.parametrize("form", ["recurrent", "chunkwise"])
@pytest.mark.parametrize("name", ["gla", "delta_rule", "gated_delta_rule", "kda", "longhorn"])
def test_long_sequences_with_correlated_keys_stay_near_float64(name, form, rank):
    """Decays of .9 to 1, steps up to 1, keys of norm 1 around a common direction, of full rank or less."""
    rng, length, dim = torch.Generator().manual_seed(11), 2048, 16
    basis = normal(rng, rank, dim)
    keys = unit((1 + 0.3 * normal(rng, 1, length, 2, rank)) @ basis)
    inputs = {"q": keys, "k": keys, "v": normal(rng, 1, length, 2, V)}
    if name in ("gla", "gated_delta_rule", "kda"):
        per = (dim,) if name in PER_CHANNEL else ()
        inputs["g"] = (0.9 + 0.1 * torch.rand(1, length, 2, *per, dtype=torch.float64, generator=rng)).log()
    if name in DELTA:
        inputs["beta"] = torch.rand(1, length, 2, dtype=torch.float64, generator=rng)
    single = {n: x.float() for n, x in inputs.items()}
    expected, final = getattr(ops, name)(
        **{n: x.double() for n, x in single.items()}, output_final_state=True
    )
    got, state = getattr(ops, name)(**single, form=form, output_final_state=True)
    assert got.isfinite().all()
    assert (got - expected).norm() / expected.norm() < 2e-6
    assert (state - final).norm() / final.norm() < 1e-5


@pytest.mark.parametrize("numbers", [1, 2000])
@pytest.mark.parametrize("name", [*PER_CHANNEL, "gated_delta_rule"])
def test_segments_of_a_long_sequence_change_nothing(rng, monkeypatch, name, exact, numbers):
    """With room for 1 number a segment is one chunk, with room for 2,000 it is a few."""
    inputs = sequences_of(name, rng, 6 * CHUNK + 1, lambda *shape: log_decay(rng, *shape))

    def run():
        leaves = {n: x.clone().requires_grad_() for n, x in inputs.items()}
        output, state = getattr(ops, name)(**leaves, chunk_size=CHUNK, output_final_state=True)
        loss = output.square().sum() + state.sum()
        return output, state, *torch.autograd.grad(loss, list(leaves.values()))

    seen, module = [], importlib.import_module(f"recollect.ops.{name}")
    chunks = module._chunks
    monkeypatch.setattr(module, "_chunks", lambda *given: (seen.append(given), chunks(*given))[1])
    expected = run()
    assert len(seen) == 1
    monkeypatch.setattr("recollect.ops.segments.SEGMENT_NUMBERS", numbers)
    agree(run(), expected, exact)
    assert len(seen) > 2


@pytest.mark.parametrize("name", ["simple_gla", "gated_delta_rule", "gla", "kda"])
def test_strong_decays_cost_the_weak_ones_after_them_no_digits(name):
    """Single precision; differences of sums from the start of a chunk would leave five digits."""
    rng = torch.Generator().manual_seed(0)
    inputs = ops.OPS[name].sample_inputs(rng, 64)
    strong = torch.rand(inputs["g"].shape, generator=rng, dtype=torch.float64) < 0.2
    inputs["g"] = torch.where(strong, -50.0, -0.01)
    exact, _ = ops.OPS[name].op(**inputs)
    single, _ = ops.OPS[name].op(**{key: x.float() for key, x in inputs.items()})
    assert (single - exact).norm() / exact.norm() < 5e-7


GATED = [name for name, spec in ops.OPS.items() if "g" in spec.sequences and name != "rls"]
"""All ops with a decay but the one whose prior decays away, too, and leaves nothing to invert."""


@pytest.mark.parametrize("strong", [-1e4, -math.inf])
@pytest.mark.parametrize("name", GATED)
def test_one_strong_decay_costs_later_positions_no_digits(name, strong):
    """What is left of earlier positions is nothing; their sums of decays must not be subtracted again."""
    spec, start = ops.OPS[name], 5
    inputs = {n: x.float() for n, x in spec.sample_inputs(torch.Generator().manual_seed(0), 48).items()}
    errors = {}
    for decay in (inputs["g"][:, start].clone(), strong):
        inputs["g"][:, start] = decay
        exact, _ = spec.op(**{n: x.double() for n, x in inputs.items()}, form="reference")
        single, _ = spec.op(**inputs)
        errors[decay is strong] = (single - exact)[:, start:].norm() / exact[:, start:].norm()
    assert errors[True] < 2e-6 + 4 * errors[False]


@pytest.mark.parametrize("name", GATED)
def test_a_decay_to_nothing_has_finite_gradients_of_every_input(name, exact):
    gradients = []
    for form in (ops.OPS[name].forms[-1], "reference"):
        inputs = ops.OPS[name].sample_inputs(torch.Generator().manual_seed(0), 9)
        inputs["g"][:, 5] = -math.inf
        leaves = [x.requires_grad_() for x in inputs.values()]
        loss = ops.OPS[name].op(**inputs, form=form)[0].square().sum()
        gradients.append(torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True))
    for one, other in zip(*gradients, strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other, **exact)


@pytest.mark.parametrize("name", ["simple_gla", "gated_delta_rule"])
def test_a_decay_to_nothing_starts_anew(name):
    inputs = ops.OPS[name].sample_inputs(torch.Generator().manual_seed(0), 9)
    inputs["g"][:, 5] = -torch.inf
    inputs["g"].requires_grad_()
    whole, _ = ops.OPS[name].op(**inputs)
    late = {key: x[:, 5:] for key, x in inputs.items()}
    torch.testing.assert_close(whole[:, 5:], ops.OPS[name].op(**late)[0], rtol=1e-10, atol=1e-10)
    (gradient,) = torch.autograd.grad(whole.sum(), inputs["g"])
    assert gradient.isfinite().all()
