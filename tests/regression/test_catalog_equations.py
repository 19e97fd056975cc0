"""Rows of the catalogue against their equations, written out position by position or pair by pair."""

import math

import pytest
import torch
from torch.nn import functional as F

from recollect.core import seeded_initialisation
from recollect.models import LRU
from recollect.regression.named import CATALOG

DIM, HEADS, KEYS, VALUES, BATCH, LENGTH = 8, 2, 4, 3, 2, 13


def build(name, **options):
    with seeded_initialisation(0):
        layer = CATALOG[name](DIM, **options).double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def sized(name, **options):
    return build(name, num_heads=HEADS, key_dim=KEYS, value_dim=VALUES, **options)


def draw(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


X = draw(BATCH, LENGTH, DIM)


def heads(layer, x, *sizes):
    """The projections of a layer, as many as there are sizes of a head."""
    parts = layer.projections.to_heads(x).split([HEADS * size for size in sizes], dim=-1)
    return [part.unflatten(-1, (HEADS, -1)) for part in parts]


def elu_kernel(layer, q, k):
    return product(F.elu(q) + 1, F.elu(k) + 1)


def performer_kernel(layer, q, k):
    def features(x):
        x = x / KEYS**0.25
        return torch.exp(torch.einsum("bthk,hfk->bthf", x, layer.features.directions) - norm2(x) / 2)

    return product(features(q), features(k))


def cosformer_kernel(layer, q, k):
    age = (torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)).double()
    return product(q.relu(), k.relu()) * torch.cos(math.pi * age / (2 * 16))


def rfa_kernel(layer, q, k):
    q, k = (x / (norm2(x) + 1e-6).sqrt() * layer.features.log_gain.exp() / 2 for x in (q, k))
    difference = q[:, :, None] - k[:, None]
    angles = torch.einsum("btshk,hfk->bhtsf", difference, layer.features.frequencies)
    return angles.cos().mean(-1)


def hedgehog_kernel(layer, q, k):
    def features(x):
        mapped = torch.einsum("bthk,hjk->bthj", x, layer.features.weight) + layer.features.bias
        both = torch.cat([mapped.exp(), (-mapped).exp()], dim=-1)
        return both / both.sum(-1, keepdim=True)

    return product(features(q), features(k))


def based_kernel(layer, q, k):
    u = product(q, k) / KEYS**0.5
    return 1 + u + u**2 / 2


def rebased_kernel(layer, q, k):
    def mapped(x):
        centred = x - x.mean(-1, keepdim=True)
        normal = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return layer.features.gain * normal + layer.features.bias

    return product(mapped(q), mapped(k)) ** 2


def dijiang_kernel(layer, q, k):
    def features(x):
        x = x / KEYS**0.25
        exponent = torch.einsum("bthk,hfk->bthf", x, layer.features.directions) - norm2(x) / 2
        return layer.features.log_weights.exp() * exponent.exp()

    return product(features(q), features(k))


def product(q, k):
    return torch.einsum("bthk,bshk->bhts", q, k)


def norm2(x):
    return x.square().sum(-1, keepdim=True)


KERNELS = {
    "linear_attention": (elu_kernel, {}),
    "performer": (performer_kernel, {"num_features": 6}),
    "cosformer": (cosformer_kernel, {"max_length": 16}),
    "rfa": (rfa_kernel, {"num_features": 64}),
    "hedgehog": (hedgehog_kernel, {}),
    "based": (based_kernel, {}),
    "rebased": (rebased_kernel, {}),
    "dijiang": (dijiang_kernel, {}),
}


@pytest.mark.parametrize("name", KERNELS)
def test_linear_rows_are_means_weighted_by_their_similarity(name):
    kernel, options = KERNELS[name]
    layer = sized(name, **options)
    q, k, v = heads(layer, X, KEYS, KEYS, VALUES)
    similarity = kernel(layer, q, k).tril()
    # A query that is similar to no key, as those of cosFormer may be, is answered by 0.
    weights = (similarity / similarity.sum(-1, keepdim=True)).nan_to_num(0)
    expected = layer.project_out(torch.einsum("bhts,bshv->bthv", weights, v).flatten(-2))
    torch.testing.assert_close(layer(X), expected, rtol=1e-10, atol=1e-10)


def recurrence(layer, q, k, v, decay, read=None):
    """`S_t = decay_t S_{t-1} + k_t v_t^T`, read by `q_t`, after the write unless told otherwise."""
    state, outputs = torch.zeros(*k.shape[::2], k.shape[-1], v.shape[-1], dtype=k.dtype), []
    for q_t, k_t, v_t, decay_t in zip(*(x.unbind(1) for x in (q, k, v, decay)), strict=True):
        write = k_t[..., :, None] * v_t[..., None, :]
        following = decay_t[..., None] * state + write
        seen = following if read is None else read(state, write)
        outputs.append((q_t[..., None] * seen).sum(-2))
        state = following
    return torch.stack(outputs, dim=1)


def normed(layer, o, kind, groups=HEADS):
    parts = o.flatten(-2).unflatten(-1, (groups, -1))
    if kind == "layer":
        parts = parts - parts.mean(-1, keepdim=True)
    scale = (parts.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return (parts / scale).flatten(-2) * layer.output.gain


def gate(layer, x):
    return F.silu(layer.output.project(x))


def check(layer, expected):
    torch.testing.assert_close(layer(X), layer.project_out(expected), rtol=1e-10, atol=1e-10)


def test_gated_random_feature_attention_is_a_leaky_mean_of_features():
    layer = sized("rfa", num_features=64, gated=True)
    q, k, v = heads(layer, X, KEYS, KEYS, VALUES)
    gating = layer.signals.decays[0]
    f = (X @ gating.map.weight.T + gating.bias[:, 0]).sigmoid()
    shares = torch.ones(BATCH, HEADS, LENGTH, LENGTH, dtype=torch.float64).tril()
    for t in range(LENGTH):
        for s in range(t + 1):
            shares[:, :, t, s] = (1 - f[:, s]) * f[:, s + 1 : t + 1].prod(1)
    similarity = rfa_kernel(layer, q, k) * shares
    weights = similarity / similarity.sum(-1, keepdim=True)
    check(layer, torch.einsum("bhts,bshv->bthv", weights, v).flatten(-2))


def test_retnet_decays_and_turns_with_the_age():
    layer = sized("retnet")
    q, k, v = heads(layer, X, KEYS, KEYS, VALUES)
    pairs = KEYS // 2
    theta, gamma = layer.rotation.angle, layer.signals.decays[0].decay.exp()
    single = {"rtol": 1e-6, "atol": 0}
    torch.testing.assert_close(theta, torch.tensor([1.0, 0.01]).double().repeat(HEADS, 1), **single)
    torch.testing.assert_close(gamma, torch.tensor([1 - 1 / 32, 1 - 1 / 64]).double(), **single)
    complex_q, complex_k = (torch.complex(x[..., :pairs], x[..., pairs:]) for x in (q, k))
    turn = torch.polar(gamma[:, None].expand(-1, pairs), -theta)
    decay = turn.expand(BATCH, LENGTH, -1, -1)
    o = recurrence(layer, complex_q.conj(), complex_k, v.to(torch.complex128), decay).real / KEYS**0.5
    check(layer, normed(layer, o, "layer") * gate(layer, X))


def test_gla_decays_by_a_root_of_a_sigmoid():
    layer = sized("gla", rank=2, temperature=4.0)
    q, k, v = heads(layer, X, KEYS, KEYS, VALUES)
    gating = layer.signals.decays[0]
    signal = gating.map(X).unflatten(-1, (HEADS, KEYS)) + gating.bias
    o = recurrence(layer, q / KEYS**0.5, k, v, signal.sigmoid() ** 0.25)
    check(layer, normed(layer, o, "rms") * gate(layer, X))


def test_hgrn_is_a_leaky_mean_of_each_channel():
    layer = build("hgrn", lower_bound=0.3)
    gating = layer.signals.decays[0]
    f = 0.3 + 0.7 * (X @ gating.map.weight.T + gating.bias[:, 0]).sigmoid()
    u = F.silu(layer.projections.to_heads(X))
    h, states = torch.zeros(BATCH, DIM, dtype=torch.float64), []
    for t in range(LENGTH):
        h = f[:, t] * h + (1 - f[:, t]) * u[:, t]
        states.append(h)
    read = torch.stack(states, dim=1) * layer.projections.query.flatten()
    check(layer, normed(layer, read[..., None], "rms", groups=1) * gate(layer, X))


def test_hgrn2_writes_what_its_gates_let_go():
    layer = sized("hgrn2", lower_bound=0.3)
    q, v = heads(layer, X, KEYS, VALUES)
    gating = layer.signals.decays[0]
    f = 0.3 + 0.7 * (gating.map(X).unflatten(-1, (HEADS, KEYS)) + gating.bias).sigmoid()
    o = recurrence(layer, F.silu(q) / KEYS**0.5, 1 - f, v, f)
    check(layer, normed(layer, o, "rms", groups=1))


def test_gateloop_has_complex_decays():
    layer = build("gateloop", num_heads=HEADS, value_dim=VALUES)
    q, k, v = heads(layer, X, 2, 2, VALUES)
    gating = layer.signals.decays[0]
    size = (X @ gating.map.weight.T + gating.bias[:, 0]).sigmoid()
    decay = torch.polar(size, -layer.rotation.project(X))[..., None]
    complex_q, complex_k = (torch.complex(*x.unbind(-1))[..., None] for x in (q, k))
    o = recurrence(layer, complex_q.conj(), complex_k, v.to(torch.complex128), decay).real
    check(layer, o.flatten(-2) * gate(layer, X))


def test_rwkv6_reads_before_it_writes_and_adds_a_bonus():
    layer = sized("rwkv6", rank=2, short_conv=None)
    r, k, v = heads(layer, X, KEYS, KEYS, VALUES)
    gating, bonus = layer.signals.decays[0], layer.constants.bonus
    w = gating.map(X).unflatten(-1, (HEADS, KEYS)) + gating.bias
    decay = torch.exp(-torch.exp(w))
    o = recurrence(layer, r, k, v, decay, read=lambda state, write: state + bonus[..., None] * write)
    check(layer, normed(layer, o, "layer") * gate(layer, X))


def test_complex_hgrn_turns_each_channel_by_a_trained_angle():
    layer = build("hgrn", complex_state=True)
    gating = layer.signals.decays[0]
    f = (X @ gating.map.weight.T + gating.bias[:, 0]).sigmoid()
    turn = torch.polar(torch.ones(DIM, dtype=torch.float64), -layer.rotation.angle[:, 0])
    written = (1 - f) * F.silu(layer.projections.to_heads(X))
    h, states = torch.zeros(BATCH, DIM, dtype=torch.complex128), []
    for t in range(LENGTH):
        h = f[:, t] * turn * h + written[:, t]
        states.append(h)
    read = (torch.complex(*layer.projections.query.unbind(-1)).conj() * torch.stack(states, dim=1)).real
    check(layer, normed(layer, read[..., None], "rms", groups=1) * gate(layer, X))


def test_lru_is_the_mixer_of_that_name():
    states = 5
    with seeded_initialisation(0):
        mixer = LRU(DIM, num_states=states).double()
        layer = CATALOG["lru"](DIM, num_states=states).double()
    rate = mixer.log_rate.exp()
    gain = mixer.log_gain.exp() / (-torch.expm1(-2 * rate)).sqrt()
    same = {
        "projections.query": torch.ones(states, 1),
        "projections.to_heads.weight": (mixer.system.input_parts * gain[:, None, None]).mT.flatten(0, 1),
        "signals.decays.0.decay": mixer.log_rate,
        "rotation.angle": mixer.log_phase.exp()[:, None],
        "project_out.weight": mixer.system.output_parts.flatten(1),
        "input_skip": mixer.system.feedthrough,
    }
    with torch.no_grad():
        for name, value in same.items():
            layer.get_parameter(name).copy_(value)
    assert set(same) == set(dict(layer.named_parameters()))
    x = draw(BATCH, 67, DIM)
    torch.testing.assert_close(layer(x), mixer(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(layer.kernel(20), mixer.kernel(20), rtol=1e-10, atol=1e-10)
