"""Tensor functions on `(B, T, H, .)`: one reference each, and recurrent, chunkwise and parallel forms.

The signatures are those of flash-linear-attention: `q, k: (B, T, H, K)`, `v: (B, T, H, V)`, log-decays `g`
at most 0, step sizes `beta` after their sigmoid, `scale=None` for `K**-0.5`, results `(o, state or None)`.
"""

from recollect.ops.linear_attn import linear_attn
from recollect.ops.registry import OPS
from recollect.ops.retention import retention
from recollect.ops.simple_gla import simple_gla
from recollect.ops.spec import OpSpec

__all__ = [
    "OPS",
    "OpSpec",
    "linear_attn",
    "retention",
    "simple_gla",
]
