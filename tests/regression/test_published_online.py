"""Delta rules of the catalogue against implementations that others wrote, with the same weights."""

import pytest
import torch
from torch import nn

from recollect import ops
from recollect.regression.named import CATALOG

DIM, BATCH, LENGTH = 32, 2, 37
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def taps(convolution):
    """The last tap of a padded convolution meets the present input; here it is the first."""
    return convolution.weight[:, 0].flip(-1)


def qwen(comparison, dtype, key_heads, heads, keys, values):
    config = comparison.modeling("qwen3_5").Qwen3_5TextConfig(
        hidden_size=DIM, linear_num_key_heads=key_heads, linear_num_value_heads=heads,
        linear_key_head_dim=keys, linear_value_head_dim=values, linear_conv_kernel_dim=4,
        num_hidden_layers=1, vocab_size=8, layer_types=["linear_attention"],
    )  # fmt: skip
    return comparison.filled(comparison.modeling("qwen3_5").Qwen3_5GatedDeltaNet(config, layer_idx=0), dtype)


def qwen_parts(theirs, heads):
    return {
        "projections.to_heads.weight": theirs.in_proj_qkv.weight,
        "projections.convolution.taps": taps(theirs.conv1d),
        "signals.step.map.weight": theirs.in_proj_b.weight,
        "signals.step.map.bias": torch.zeros(heads),
        "output.gain": theirs.norm.weight.repeat(heads),
        "output.project.weight": theirs.in_proj_z.weight,
        "project_out.weight": theirs.out_proj.weight,
    }


@pytest.mark.parametrize(("key_heads", "heads"), [(4, 4), (2, 4)])
@every_dtype
def test_gated_deltanet_is_the_published_layer(comparison, dtype, key_heads, heads):
    theirs = qwen(comparison, dtype, key_heads, heads, keys=8, values=6)
    ours = CATALOG["gated_deltanet"](DIM, num_heads=heads, key_dim=8, value_dim=6, num_key_heads=key_heads)
    comparison.copy(ours.to(dtype), **qwen_parts(theirs, heads), **{
        "signals.decays.0.map.weight": theirs.in_proj_a.weight,
        "signals.decays.0.bias": theirs.dt_bias[:, None],
        "signals.decays.0.log_rate": theirs.A_log[:, None],
    })  # fmt: skip
    comparison.same_function(ours, theirs, dtype)


@every_dtype
def test_deltanet_is_the_published_gated_layer_without_decay(comparison, dtype):
    heads, keys, values = 4, 8, 6
    theirs = qwen(comparison, dtype, heads, heads, keys, values)
    nn.init.constant_(theirs.A_log, -torch.inf)
    ours = CATALOG["deltanet"](DIM, num_heads=heads, key_dim=keys, value_dim=values, output_gate="silu")
    ours.output.eps = 1e-6
    comparison.copy(ours.to(dtype), **qwen_parts(theirs, heads))
    comparison.same_function(ours, theirs, dtype)


@every_dtype
def test_gated_deltanet_with_steps_up_to_two_is_the_published_layer(comparison, dtype):
    heads, keys, values = 4, 6, 12
    config = comparison.transformers.OlmoHybridConfig(
        hidden_size=DIM, num_attention_heads=4, linear_num_key_heads=heads, linear_num_value_heads=heads,
        linear_key_head_dim=keys, linear_value_head_dim=values, num_hidden_layers=2, vocab_size=8,
        intermediate_size=32, pad_token_id=0, eos_token_id=1, linear_allow_neg_eigval=True,
        layer_types=["linear_attention", "full_attention"],
    )  # fmt: skip
    layer = comparison.modeling("olmo_hybrid").OlmoHybridGatedDeltaNet(config, layer_idx=0)
    theirs = comparison.filled(layer, dtype)
    ours = CATALOG["gated_deltanet"](
        DIM, num_heads=heads, key_dim=keys, value_dim=values, max_step=2.0, norm_eps=1e-5
    ).to(dtype)
    maps = theirs.q_proj.weight, theirs.k_proj.weight, theirs.v_proj.weight
    comparison.copy(ours, **{
        "projections.to_heads.weight": torch.cat(maps),
        "projections.convolution.taps": taps(theirs.conv1d),
        "signals.decays.0.map.weight": theirs.a_proj.weight,
        "signals.decays.0.bias": theirs.dt_bias[:, None],
        "signals.decays.0.log_rate": theirs.A_log[:, None],
        "signals.step.map.weight": theirs.b_proj.weight,
        "signals.step.map.bias": torch.zeros(heads),
        "output.gain": theirs.o_norm.weight.repeat(heads),
        "output.project.weight": theirs.g_proj.weight,
        "project_out.weight": theirs.o_proj.weight,
    })  # fmt: skip
    comparison.same_function(ours, theirs, dtype)


@every_dtype
def test_kda_is_the_published_layer(comparison, dtype):
    heads, width = 4, 8
    config = comparison.transformers.KimiLinearConfig(
        hidden_size=DIM, linear_num_heads=heads, linear_head_dim=width, linear_conv_kernel_dim=4,
        num_hidden_layers=1, vocab_size=8, layer_types=["linear_attention"], pad_token_id=0, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    layer = comparison.modeling("kimi_linear").KimiLinearDeltaAttention(config, layer_idx=0)
    theirs = comparison.filled(layer, dtype)
    ours = CATALOG["kda"](DIM, num_heads=heads).to(dtype)
    gate = theirs.forget_gate
    comparison.copy(ours, **{
        "projections.to_heads.weight": torch.cat(
            [theirs.q_proj.weight, theirs.k_proj.weight, theirs.v_proj.weight]
        ),
        "projections.convolution.taps": taps(theirs.conv1d),
        "signals.decays.0.map.0.weight": gate.f_a_proj.weight,
        "signals.decays.0.map.1.weight": gate.f_b_proj.weight,
        "signals.decays.0.bias": gate.dt_bias.view(heads, width),
        "signals.decays.0.log_rate": gate.A_log.view(heads, 1),
        "signals.step.map.weight": theirs.b_proj.weight,
        "signals.step.map.bias": torch.zeros(heads),
        "output.gain": theirs.o_norm.weight.repeat(heads),
        "output.project.0.weight": theirs.g_a_proj.weight,
        "output.project.1.weight": theirs.g_b_proj.weight,
        "project_out.weight": theirs.o_proj.weight,
    })  # fmt: skip
    comparison.same_function(ours, theirs, dtype)


@pytest.fixture
def associations(comparison):
    heads, keys, values = 3, 8, 5
    draw = comparison.draw
    k = nn.functional.normalize(draw(BATCH, 2 * LENGTH, heads, keys, seed=2), dim=-1)
    v = draw(BATCH, 2 * LENGTH, heads, values, seed=3)
    beta = draw(BATCH, 2 * LENGTH, heads, seed=4).sigmoid()
    return draw(BATCH, LENGTH, heads, keys), k, v, beta


def test_delta_product_is_the_published_delta_rule_on_the_interleaved_sequence(comparison, associations):
    q, k, v, beta = associations
    g = -0.3 * comparison.draw(*q.shape[:3], seed=5).abs()
    steps = [torch.stack([x, torch.zeros_like(x)], dim=2).flatten(1, 2) for x in (q, g)]
    late = torch.roll(
        steps[0], 1, dims=1
    )  # queries at the second step of their position, decays at the first
    published = comparison.modeling("qwen3_5").torch_chunk_gated_delta_rule
    expected = comparison.exactly(published, late, k, v, g=steps[1], beta=2 * beta)[0][:, 1::2]
    o, _ = ops.gated_delta_product(q, k, v, g, 2 * beta, num_steps=2)
    assert comparison.relative(o, expected) < 1e-10


def test_implicit_steps_are_the_published_delta_rule_with_steps_that_know_the_key(comparison, associations):
    q, k, v, beta = (x[:, :LENGTH] for x in associations)
    k = 2 * k * comparison.draw(BATCH, LENGTH, 3, 1, seed=6)
    step = beta / (1 + beta * k.square().sum(-1))
    published = comparison.modeling("qwen3_5").torch_chunk_gated_delta_rule
    expected = comparison.exactly(published, q, k, v, g=torch.zeros_like(beta), beta=step)[0]
    o, _ = ops.longhorn(q, k, v, beta)
    assert comparison.relative(o, expected) < 1e-10
