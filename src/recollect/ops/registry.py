"""The ops by name; the name is that of the file."""

from recollect.ops.delta_rule import SPEC as DELTA_RULE
from recollect.ops.forgetting_attn import SPEC as FORGETTING_ATTN
from recollect.ops.gated_delta_product import SPEC as GATED_DELTA_PRODUCT
from recollect.ops.gated_delta_rule import SPEC as GATED_DELTA_RULE
from recollect.ops.gla import SPEC as GLA
from recollect.ops.kda import SPEC as KDA
from recollect.ops.kernel_attn import SPEC as KERNEL_ATTN
from recollect.ops.kernel_ridge import SPEC as KERNEL_RIDGE
from recollect.ops.linear_attn import SPEC as LINEAR_ATTN
from recollect.ops.local_linear_attn import SPEC as LOCAL_LINEAR_ATTN
from recollect.ops.local_polynomial_attn import SPEC as LOCAL_POLYNOMIAL_ATTN
from recollect.ops.longhorn import SPEC as LONGHORN
from recollect.ops.memory_attn import SPEC as MEMORY_ATTN
from recollect.ops.mesa import SPEC as MESA
from recollect.ops.momentum_delta_rule import SPEC as MOMENTUM_DELTA_RULE
from recollect.ops.parallax import SPEC as PARALLAX
from recollect.ops.retention import SPEC as RETENTION
from recollect.ops.rls import SPEC as RLS
from recollect.ops.simple_gla import SPEC as SIMPLE_GLA
from recollect.ops.softmax_attn import SPEC as SOFTMAX_ATTN
from recollect.ops.spec import OpSpec
from recollect.ops.titans import SPEC as TITANS
from recollect.ops.ttt_linear import SPEC as TTT_LINEAR
from recollect.ops.ttt_mlp import SPEC as TTT_MLP

OPS: dict[str, OpSpec] = {
    "delta_rule": DELTA_RULE,
    "forgetting_attn": FORGETTING_ATTN,
    "gated_delta_product": GATED_DELTA_PRODUCT,
    "gated_delta_rule": GATED_DELTA_RULE,
    "gla": GLA,
    "kda": KDA,
    "kernel_attn": KERNEL_ATTN,
    "kernel_ridge": KERNEL_RIDGE,
    "linear_attn": LINEAR_ATTN,
    "local_linear_attn": LOCAL_LINEAR_ATTN,
    "local_polynomial_attn": LOCAL_POLYNOMIAL_ATTN,
    "longhorn": LONGHORN,
    "memory_attn": MEMORY_ATTN,
    "mesa": MESA,
    "momentum_delta_rule": MOMENTUM_DELTA_RULE,
    "parallax": PARALLAX,
    "retention": RETENTION,
    "rls": RLS,
    "simple_gla": SIMPLE_GLA,
    "softmax_attn": SOFTMAX_ATTN,
    "titans": TITANS,
    "ttt_linear": TTT_LINEAR,
    "ttt_mlp": TTT_MLP,
}
