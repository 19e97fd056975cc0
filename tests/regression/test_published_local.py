"""Attention of the catalogue against implementations that others wrote, with the same weights."""

from types import SimpleNamespace

import pytest
import torch

from recollect import ops
from recollect.regression.named import CATALOG

DIM, BATCH, HEADS, WIDTH, LENGTH = 32, 2, 4, 8, 11
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
every_rotation = pytest.mark.parametrize("rotation", ["none", "rope"])


def causal(length, dtype):
    return torch.full((length, length), torch.finfo(dtype).min, dtype=dtype).triu(1)[None, None]


def llama_like(comparison, name, title, dtype, **options):
    config = getattr(comparison.transformers, f"{title}Config")(
        hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=2, head_dim=WIDTH,
        num_hidden_layers=1, vocab_size=8, intermediate_size=32, **options,
    )  # fmt: skip
    config._attn_implementation = "eager"
    module = comparison.modeling(name)
    layer = comparison.filled(getattr(module, f"{title}Attention")(config, layer_idx=0), dtype)
    rotary = getattr(module, f"{title}RotaryEmbedding")(config)

    def call(x, rotation):
        cosine, sine = rotary(x, torch.arange(x.shape[1])[None])
        if rotation == "none":
            cosine, sine = torch.ones_like(cosine), torch.zeros_like(sine)
        return layer(x, position_embeddings=(cosine, sine), attention_mask=causal(x.shape[1], x.dtype))[0]

    return layer, call


def all_heads(theirs):
    """Keys and values are shared by pairs of heads there, and repeated here."""
    shared = (
        projection.weight.unflatten(0, (2, WIDTH)).repeat_interleave(HEADS // 2, dim=0).flatten(0, 1)
        for projection in (theirs.k_proj, theirs.v_proj)
    )
    return {
        "projections.to_heads.weight": torch.cat([theirs.q_proj.weight, *shared]),
        "project_out.weight": theirs.o_proj.weight,
    }


@every_rotation
@every_dtype
def test_softmax_attention_is_the_published_layer(comparison, dtype, rotation):
    theirs, call = llama_like(comparison, "llama", "Llama", dtype)
    ours = CATALOG["softmax_attention"](DIM, num_heads=HEADS, rotation=rotation).to(dtype)
    comparison.copy(ours, **all_heads(theirs))
    comparison.same_function(ours, lambda x: call(x, rotation), dtype)


@every_rotation
@every_dtype
def test_softmax_attention_of_normed_keys_is_the_published_layer(comparison, dtype, rotation):
    """Where the gains of the published norms are constant: then all keys have one norm."""
    theirs, call = llama_like(comparison, "qwen3", "Qwen3", dtype, rms_norm_eps=1e-6 / WIDTH)
    query_gain, key_gain = 0.8, 1.7
    torch.nn.init.constant_(theirs.q_norm.weight, query_gain)
    torch.nn.init.constant_(theirs.k_norm.weight, key_gain)
    ours = CATALOG["softmax_attention_qknorm"](DIM, num_heads=HEADS, rotation=rotation).to(dtype)
    # The start is that of norms with gains of 1.
    torch.testing.assert_close(ours.constants.log_bandwidth.exp() * WIDTH, torch.ones(HEADS, dtype=dtype))
    bandwidth = torch.tensor(1 / (query_gain * key_gain * WIDTH), dtype=torch.float64)
    comparison.copy(ours, **all_heads(theirs), **{"constants.log_bandwidth": bandwidth.log().expand(HEADS)})
    comparison.same_function(ours, lambda x: call(x, rotation), dtype)


@every_dtype
def test_alibi_attention_is_that_of_bloom(comparison, dtype):
    config = comparison.transformers.BloomConfig(hidden_size=DIM, n_head=HEADS, n_layer=1, vocab_size=8)
    module = comparison.modeling("bloom")
    theirs = comparison.filled(module.BloomAttention(config, layer_idx=0), dtype)
    for projection in (theirs.query_key_value, theirs.dense):
        torch.nn.init.zeros_(projection.bias)
    ours = CATALOG["alibi_attention"](DIM, num_heads=HEADS).to(dtype)
    by_head = theirs.query_key_value.weight.unflatten(0, (HEADS, 3, WIDTH))
    comparison.copy(ours, **{
        "projections.to_heads.weight": by_head.transpose(0, 1).flatten(0, 2),
        "project_out.weight": theirs.dense.weight,
    })  # fmt: skip

    def call(x):
        alibi = module.build_alibi_tensor(torch.ones(x.shape[:2], dtype=torch.long), HEADS, x.dtype)
        mask = causal(x.shape[1], x.dtype)
        return theirs(x, residual=torch.zeros_like(x), alibi=alibi, attention_mask=mask)[0]

    comparison.same_function(ours, call, dtype)


@every_dtype
def test_alibi_attention_is_that_of_mpt(comparison, dtype):
    config = comparison.transformers.MptConfig(
        d_model=DIM, n_heads=HEADS, n_layers=1, vocab_size=8, max_seq_len=64
    )
    module = comparison.modeling("mpt")
    theirs = comparison.filled(module.MptAttention(config, layer_idx=0), dtype)
    ours = CATALOG["alibi_attention"](DIM, num_heads=HEADS).to(dtype)
    comparison.copy(ours, **{
        "projections.to_heads.weight": theirs.Wqkv.weight, "project_out.weight": theirs.out_proj.weight
    })  # fmt: skip

    def call(x):
        bias = module.build_mpt_alibi_tensor(HEADS, x.shape[1])
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)[None, None]
        return theirs(x, position_bias=bias, attention_mask=mask)[0]

    comparison.same_function(ours, call, dtype)


def test_forgetting_attention_is_the_published_attention_with_a_bias(comparison):
    q, k, v = (comparison.draw(BATCH, LENGTH, HEADS, WIDTH, seed=seed) for seed in (1, 2, 3))
    g = torch.nn.functional.logsigmoid(comparison.draw(BATCH, LENGTH, HEADS, seed=4) + 2)
    total = g.cumsum(1).transpose(1, 2)
    bias = total[..., :, None] - total[..., None, :] + causal(LENGTH, torch.float64)
    expected, _ = comparison.exactly(
        comparison.modeling("llama").eager_attention_forward,
        SimpleNamespace(num_key_value_groups=1, training=False),
        *(x.transpose(1, 2) for x in (q, k, v)),
        bias,
        scaling=WIDTH**-0.5,
    )
    o, _ = ops.forgetting_attn(q, k, v, g)
    assert comparison.relative(o, expected) < 1e-10
