"""The ops by name; the name is that of the file."""

from recollect.ops.linear_attn import SPEC as LINEAR_ATTN
from recollect.ops.retention import SPEC as RETENTION
from recollect.ops.simple_gla import SPEC as SIMPLE_GLA
from recollect.ops.spec import OpSpec

OPS: dict[str, OpSpec] = {
    "linear_attn": LINEAR_ATTN,
    "retention": RETENTION,
    "simple_gla": SIMPLE_GLA,
}
