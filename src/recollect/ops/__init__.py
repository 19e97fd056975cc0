"""Tensor functions on `(B, T, H, .)`: one reference each, and recurrent, chunkwise and parallel forms.

The signatures are those of flash-linear-attention: `q, k: (B, T, H, K)`, `v: (B, T, H, V)`, log-decays `g`
at most 0, step sizes `beta` after their sigmoid, `scale=None` for `K**-0.5`, results `(o, state or None)`.
"""

from recollect.ops.associations import Associations
from recollect.ops.delta_rule import delta_rule
from recollect.ops.diagonal_scan import diagonal_scan
from recollect.ops.fast_weights import LearnerState
from recollect.ops.forgetting_attn import forgetting_attn
from recollect.ops.gated_delta_product import gated_delta_product
from recollect.ops.gated_delta_rule import gated_delta_rule
from recollect.ops.gla import gla
from recollect.ops.kda import kda
from recollect.ops.kernel_attn import kernel_attn
from recollect.ops.kernel_ridge import KernelRidgeState, kernel_ridge
from recollect.ops.least_squares import LeastSquaresState
from recollect.ops.linear_attn import linear_attn
from recollect.ops.local_linear_attn import local_linear_attn
from recollect.ops.local_polynomial_attn import local_polynomial_attn
from recollect.ops.longhorn import longhorn
from recollect.ops.memory_attn import MemoryState, memory_attn
from recollect.ops.mesa import mesa, mesa_residual
from recollect.ops.momentum_delta_rule import MomentumState, momentum_delta_rule
from recollect.ops.parallax import parallax
from recollect.ops.registry import OPS
from recollect.ops.retention import retention
from recollect.ops.rls import rls
from recollect.ops.simple_gla import simple_gla
from recollect.ops.softmax_attn import softmax_attn
from recollect.ops.spec import OpSpec
from recollect.ops.titans import titans
from recollect.ops.ttt_linear import ttt_linear
from recollect.ops.ttt_mlp import ttt_mlp

__all__ = [
    "OPS",
    "Associations",
    "KernelRidgeState",
    "LearnerState",
    "LeastSquaresState",
    "MemoryState",
    "MomentumState",
    "OpSpec",
    "delta_rule",
    "diagonal_scan",
    "forgetting_attn",
    "gated_delta_product",
    "gated_delta_rule",
    "gla",
    "kda",
    "kernel_attn",
    "kernel_ridge",
    "linear_attn",
    "local_linear_attn",
    "local_polynomial_attn",
    "longhorn",
    "memory_attn",
    "mesa",
    "mesa_residual",
    "momentum_delta_rule",
    "parallax",
    "retention",
    "rls",
    "simple_gla",
    "softmax_attn",
    "titans",
    "ttt_linear",
    "ttt_mlp",
]
