"""Published layers by name: each is a function that returns a `RegressionLayer`, a point of the space."""

from collections.abc import Callable

from recollect.regression.catalog.decaying import gla, hgrn2, mamba2, mlstm, retnet, rwkv6
from recollect.regression.catalog.diagonal import gateloop, hgrn, lru, mamba
from recollect.regression.catalog.linear import (
    based,
    cosformer,
    dijiang,
    hedgehog,
    linear_attention,
    performer,
    rebased,
    rfa,
)
from recollect.regression.layer import RegressionLayer

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
}

__all__ = ["CATALOG"]
