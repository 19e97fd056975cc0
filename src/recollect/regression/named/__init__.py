"""Published layers by name: each is a function that returns a `RegressionLayer`, a point of the space."""

from collections.abc import Callable

from recollect.regression.layer import RegressionLayer
from recollect.regression.named.attention import (
    alibi_attention,
    forgetting_attention,
    skyformer,
    soft,
    softmax_attention,
    softmax_attention_qknorm,
)
from recollect.regression.named.decaying import gla, hgrn2, mamba2, mlstm, retnet, rwkv6
from recollect.regression.named.diagonal import gateloop, hgrn, lru, mamba
from recollect.regression.named.exact import intention, kernel_intention, mesa, rls
from recollect.regression.named.linear import (
    based,
    cosformer,
    dijiang,
    hedgehog,
    linear_attention,
    performer,
    rebased,
    rfa,
)
from recollect.regression.named.local import (
    local_linear_attention,
    local_polynomial_attention,
    parallax,
)
from recollect.regression.named.network import titans, ttt_linear, ttt_mlp
from recollect.regression.named.online import delta_product, deltanet, gated_deltanet, kda, longhorn

CATALOG: dict[str, Callable[..., RegressionLayer]] = {
    "linear_attention": linear_attention,
    "performer": performer,
    "cosformer": cosformer,
    "rfa": rfa,
    "hedgehog": hedgehog,
    "based": based,
    "rebased": rebased,
    "dijiang": dijiang,
    "retnet": retnet,
    "gla": gla,
    "mamba": mamba,
    "mamba2": mamba2,
    "hgrn": hgrn,
    "hgrn2": hgrn2,
    "gateloop": gateloop,
    "mlstm": mlstm,
    "rwkv6": rwkv6,
    "lru": lru,
    "deltanet": deltanet,
    "gated_deltanet": gated_deltanet,
    "kda": kda,
    "delta_product": delta_product,
    "longhorn": longhorn,
    "ttt_linear": ttt_linear,
    "ttt_mlp": ttt_mlp,
    "titans": titans,
    "rls": rls,
    "mesa": mesa,
    "intention": intention,
    "kernel_intention": kernel_intention,
    "softmax_attention": softmax_attention,
    "softmax_attention_qknorm": softmax_attention_qknorm,
    "alibi_attention": alibi_attention,
    "forgetting_attention": forgetting_attention,
    "skyformer": skyformer,
    "soft": soft,
    "local_linear_attention": local_linear_attention,
    "local_polynomial_attention": local_polynomial_attention,
    "parallax": parallax,
}

__all__ = ["CATALOG"]
