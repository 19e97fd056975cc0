"""The mixers by name: those of this package, whose name is that of the file, and the regression layers."""

from collections.abc import Callable
from typing import Any

from torch import nn

from recollect.models.attention import Attention
from recollect.models.gated_conv import GatedConv
from recollect.models.gru import GRU
from recollect.models.lru import LRU
from recollect.models.lstm import LSTM
from recollect.models.rnn import RNN
from recollect.models.s4d import S4D
from recollect.models.ssm import SSM
from recollect.models.tcn import TCN
from recollect.regression import CATALOG, RegressionLayer

MIXERS: dict[str, type[nn.Module]] = {
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "tcn": TCN,
    "s4d": S4D,
    "ssm": SSM,
    "lru": LRU,
    "attention": Attention,
    "gated_conv": GatedConv,
}

LAYERS: dict[str, Callable[..., nn.Module]] = {"regression": RegressionLayer, **CATALOG}
"""Regression layers: any composition, and the named ones. A name in both registries is `MIXERS`'s."""


def known_mixers() -> dict[str, Callable[..., Any]]:
    """Every mixer that a config can name."""
    return {**LAYERS, **MIXERS}
