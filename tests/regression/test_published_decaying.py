"""Decaying rows of the catalogue against implementations that others wrote, with the same weights."""

import pytest
import torch
from torch import nn

from recollect import ops
from recollect.regression.layer import RegressionLayer
from recollect.regression.named import CATALOG
from recollect.regression.short_convolution import ShortConvolution
from recollect.regression.weights import ConstantDecay

DIM, BATCH, LENGTH = 32, 2, 37
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def taps(convolution):
    """The last tap of a padded convolution meets the present input; here it is the first."""
    return convolution.weight[:, 0].flip(-1)


@every_dtype
def test_mamba_is_the_published_mixer(dtype, comparison):
    states, rank, inner = 4, 3, 2 * DIM
    config = comparison.transformers.MambaConfig(
        hidden_size=DIM, state_size=states, expand=2, conv_kernel=4, time_step_rank=rank,
        num_hidden_layers=1, vocab_size=8,
    )  # fmt: skip
    theirs = comparison.filled(comparison.modeling("mamba").MambaMixer(config, layer_idx=0), dtype)
    ours = CATALOG["mamba"](DIM, key_dim=states, rank=rank).to(dtype)
    stream, gate = theirs.in_proj.weight.split(inner)
    steps, keys, queries = theirs.x_proj.weight.split([rank, states, states])
    comparison.copy(ours, **{
        "projections.to_stream.weight": stream,
        "projections.stream_convolution.taps": taps(theirs.conv1d),
        "projections.stream_convolution.bias": theirs.conv1d.bias,
        "projections.to_heads.weight": torch.cat([queries, keys]),
        "signals.decays.0.map.0.weight": steps,
        "signals.decays.0.map.1.weight": theirs.dt_proj.weight,
        "signals.decays.0.bias": theirs.dt_proj.bias[:, None],
        "signals.decays.0.log_rate": theirs.A_log,
        "skip": theirs.D[:, None],
        "output.project.weight": gate,
        "project_out.weight": theirs.out_proj.weight,
    })  # fmt: skip
    comparison.same_function(ours, theirs, dtype)


@pytest.mark.parametrize("groups", [1, 2])
@every_dtype
def test_mamba2_is_the_published_mixer(dtype, groups, comparison):
    heads, width, states, inner = 8, 8, 4, 2 * DIM
    config = comparison.transformers.Mamba2Config(
        hidden_size=DIM, expand=2, num_heads=heads, head_dim=width, state_size=states, n_groups=groups,
        conv_kernel=4, chunk_size=4, num_hidden_layers=1, vocab_size=8,
    )  # fmt: skip
    theirs = comparison.filled(comparison.modeling("mamba2").Mamba2Mixer(config, layer_idx=0), dtype)
    ours = CATALOG["mamba2"](DIM, num_heads=heads, key_dim=states, num_key_heads=groups).to(dtype)
    shared = groups * states
    gate, values, keys, queries, steps = theirs.in_proj.weight.split([inner, inner, shared, shared, heads])

    def reordered(x):
        """Queries, keys, values: published values come first."""
        return torch.cat(x.split([inner, shared, shared])[::-1])

    comparison.copy(ours, **{
        "projections.to_heads.weight": torch.cat([queries, keys, values]),
        "projections.convolution.taps": reordered(taps(theirs.conv1d)),
        "projections.convolution.bias": reordered(theirs.conv1d.bias),
        "signals.decays.0.map.weight": steps,
        "signals.decays.0.bias": theirs.dt_bias[:, None],
        "signals.decays.0.log_rate": theirs.A_log[:, None],
        "skip": theirs.D[:, None],
        "output.gain": theirs.norm.weight,
        "output.project.weight": gate,
        "project_out.weight": theirs.out_proj.weight,
    })  # fmt: skip
    comparison.same_function(ours, theirs, dtype)


@every_dtype
def test_mlstm_is_the_published_layer(dtype, comparison):
    heads = 4
    config = comparison.transformers.xLSTMConfig(
        hidden_size=DIM, num_heads=heads, num_hidden_layers=1, vocab_size=8, qk_dim_factor=0.5,
        v_dim_factor=1.0, chunk_size=64, mode="inference",
        norm_reduction_force_float32=dtype == torch.float32,
    )  # fmt: skip
    theirs = comparison.filled(comparison.modeling("xlstm").xLSTMLayer(config), dtype)
    for kernel in ("mlstm_sequence_kernel", "mlstm_step_kernel"):
        theirs.mlstm_backend._inference_fn.keywords[kernel].keywords["dtype_state"] = dtype
    ours = CATALOG["mlstm"](DIM, num_heads=heads).to(dtype)
    comparison.copy(ours, **{
        "projections.to_heads.weight": torch.cat([theirs.q.weight, theirs.k.weight, theirs.v.weight]),
        "signals.decays.0.map.weight": theirs.fgate_preact.weight,
        "signals.decays.0.bias": theirs.fgate_preact.bias[:, None],
        "signals.importances.0.map.weight": theirs.igate_preact.weight,
        "signals.importances.0.map.bias": theirs.igate_preact.bias,
        "output.gain": theirs.multihead_norm.weight,
        "output.project.weight": theirs.ogate_preact.weight,
        "project_out.weight": theirs.out_proj.weight,
    })  # fmt: skip
    # Their normaliser has 1e-6 added, a factor that the norm of each head cancels up to its own epsilon.
    bound = 1e-8 if dtype == torch.float64 else None
    comparison.same_function(ours, lambda x: theirs(x)[0], dtype, bound)


@every_dtype
def test_lightning_attention_is_retention_with_a_gate(dtype, comparison):
    """The core of RetNet, its norm and its gate; not its rotation."""
    heads, width = 4, 8
    config = comparison.transformers.MiniMaxConfig(
        hidden_size=DIM, num_attention_heads=heads, num_key_value_heads=heads, head_dim=width,
        num_hidden_layers=2, vocab_size=8, intermediate_size=32, block_size=4,
        layer_types=["linear_attention", "full_attention"],
    )  # fmt: skip
    theirs = comparison.filled(
        comparison.modeling("minimax").MiniMaxLightningAttention(config, layer_idx=0), dtype
    )
    ours = RegressionLayer(
        DIM, num_heads=heads, weights=ConstantDecay(), activation="silu", qk_norm=False,
        output_norm="rms", output_gate="sigmoid", norm_groups=1, norm_eps=1e-6,
    ).to(dtype)  # fmt: skip
    by_head = theirs.qkv_proj.weight.unflatten(0, (heads, 3, width))
    comparison.copy(ours, **{
        "projections.to_heads.weight": by_head.transpose(0, 1).flatten(0, 2),
        "output.gain": theirs.norm.weight,
        "output.project.weight": theirs.output_gate.weight,
        "project_out.weight": theirs.out_proj.weight,
    })  # fmt: skip

    ours.signals.decays[0].decay.copy_(-theirs.slope_rate.flatten())

    def published(x):
        return theirs(x, position_embeddings=None, attention_mask=None)[0]

    # The published decays are kept in float32.
    bound = 1e-6 if dtype == torch.float64 else None
    comparison.same_function(ours, published, dtype, bound)


def inputs(comparison, heads=3, keys=8, values=5, length=LENGTH):
    q, k = comparison.draw(BATCH, length, heads, keys), comparison.draw(BATCH, length, heads, keys, seed=2)
    v = comparison.draw(BATCH, length, heads, values, seed=3)
    return q, nn.functional.normalize(k, dim=-1), v


def test_scalar_decays_are_those_of_the_state_space_dual(comparison):
    q, k, v = inputs(comparison)
    g = -0.3 * comparison.draw(BATCH, LENGTH, 3, seed=4).abs() - 1e-3
    scan = comparison.modeling("mamba2").mamba2_chunk_scan
    rates = torch.full((3,), -1.0, dtype=torch.float64)
    expected = comparison.exactly(scan, v / -g[..., None], -g, rates, k, q, chunk_size=16)
    o, _ = ops.simple_gla(q, k, v, g, scale=1.0)
    assert comparison.relative(o, expected) < 1e-10


def test_constant_decays_are_those_of_the_state_space_dual(comparison):
    q, k, v = inputs(comparison)
    decay = torch.tensor([-0.1, -0.02, 0.0], dtype=torch.float64)
    scan = comparison.modeling("mamba2").mamba2_chunk_scan
    expected = comparison.exactly(scan, v, torch.ones_like(v[..., 0]), decay, k, q, chunk_size=16)
    o, _ = ops.simple_gla(q, k, v, decay.expand(BATCH, LENGTH, 3), scale=1.0)
    assert comparison.relative(o, expected) < 1e-10
    plain, _ = ops.linear_attn(q, k, v, scale=1.0)
    assert comparison.relative(plain[:, :, 2], expected[:, :, 2]) < 1e-10


def test_channel_decays_are_the_limit_of_delta_rules_of_small_steps(comparison):
    """The core of GLA, HGRN2: a delta rule whose step goes to zero only adds, after the same decay."""
    q, k, v = inputs(comparison)
    g, step = -0.3 * comparison.draw(*k.shape, seed=4).abs(), 1e-8
    delta = comparison.modeling("kimi_linear").chunk_kimi_delta_attention
    beta = torch.full_like(v[..., 0], step)
    expected = comparison.exactly(delta, q * q.shape[-1] ** 0.5, k, v / step, g=g, beta=beta)[0]
    o, _ = ops.gla(q, k, v, g, scale=1.0)
    assert comparison.relative(o, expected) < 1e-6


def test_diagonal_scan_is_the_recurrence_of_the_gated_lru(comparison):
    """The core of HGRN, and of Mamba at one state."""
    config = comparison.transformers.RecurrentGemmaConfig(
        hidden_size=DIM, lru_width=DIM, num_attention_heads=4, num_hidden_layers=1, vocab_size=8
    )
    published = comparison.modeling("recurrent_gemma").RecurrentGemmaRglru(config)
    x, a = comparison.draw(BATCH, LENGTH, DIM), comparison.draw(BATCH, LENGTH, DIM, seed=2).sigmoid()
    reset = torch.zeros(BATCH, LENGTH, 1, dtype=torch.bool)
    expected, _ = published._rnn_scan(x, a, reset, None, acc_dtype=torch.float64)
    states, _ = ops.diagonal_scan(a, x)
    # The published first state is the first input whatever the decay; so it is here, from zero.
    assert comparison.relative(states, expected) < 1e-10


@every_dtype
def test_the_short_convolution_is_the_published_one(dtype, comparison):
    config = comparison.transformers.Lfm2Config(
        hidden_size=DIM, num_hidden_layers=1, vocab_size=8, conv_L_cache=3, conv_bias=True,
        num_attention_heads=4, num_key_value_heads=4, intermediate_size=32, layer_types=["conv"],
    )  # fmt: skip
    theirs = comparison.filled(comparison.modeling("lfm2").Lfm2ShortConv(config, layer_idx=0), dtype)
    ours = ShortConvolution(DIM, window=3, bias=True).to(dtype)
    comparison.copy(ours, taps=taps(theirs.conv), bias=theirs.conv.bias)
    x = comparison.draw(BATCH, LENGTH, DIM).to(dtype)
    before, after, u = theirs.in_proj(x).chunk(3, dim=-1)
    got = theirs.out_proj(after * ours(before * u)[0])
    assert comparison.relative(got, theirs(x)) < (1e-6 if dtype == torch.float32 else 1e-14)
