"""The named regression layers as a table: the three choices of each, its state and its paper."""

import re

from rich.table import Table

from recollect.models import LAYERS, MIXERS
from recollect.regression import CATALOG, Exact, RegressionLayer, Sgd
from recollect.regression.optimizers import TestTimeOptimizer

DIM, LENGTH = 32, 64


def layers_table() -> Table:
    """A row for each named layer, built with its defaults."""
    title = f"layers (state: scalars at dim {DIM} after {LENGTH} positions)"
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in ("name", "weights", "function class", "optimizer", "state", "arXiv"):
        table.add_column(column, no_wrap=column in ("name", "state", "arXiv"))
    for name, build in CATALOG.items():
        table.add_row(*layer_row(name, build(DIM)))
    return table


def find_layer(name: str) -> RegressionLayer | None:
    """A named layer at dim 32, unless the name is that of another mixer."""
    if name not in LAYERS or name in MIXERS:
        return None
    layer = LAYERS[name](DIM)
    return layer if isinstance(layer, RegressionLayer) else None


def layer_row(name: str, layer: RegressionLayer) -> list[str]:
    """Name, the three choices in words, state and paper."""
    composition = layer.composition
    features = getattr(composition.function_class, "features", "none")
    function = _words(composition.function_class.kind)
    paper = re.search(r"arXiv:([\d.]+)", layer.citation or "")
    return [
        name,
        " x ".join(
            _weight(factor.kind, getattr(factor, "per", "head")) for factor in composition.weights.factors
        ),
        function if features == "none" else f"{function} in {_words(features)}",
        _optimizer(composition.optimizer),
        str(layer.state_size(LENGTH)),
        paper[1] if paper else "",
    ]


def _weight(kind: str, per: str) -> str:
    return _words(kind) if per == "head" else f"{_words(kind)} a channel"


def _optimizer(optimizer: TestTimeOptimizer) -> str:
    """The optimizer and what tells it from its like."""
    match optimizer:
        case Exact(prior="fixed"):
            return "exact, fixed prior"
        case Sgd(rule="implicit" | "normalised"):
            return f"{optimizer.rule} sgd"
        case Sgd() if optimizer.momentum != 0:
            return "sgd, momentum"
        case Sgd() if optimizer.minibatch > 1:
            return "sgd, minibatches"
        case Sgd() if optimizer.num_steps > 1:
            return f"sgd, {optimizer.num_steps} steps"
    return _words(optimizer.kind)


def _words(name: str) -> str:
    return name.replace("_", " ")
