"""Families of layers, and the names of models that differ in size alone.

A family is a region of the space of test-time regressions: what is fitted, and how. Forty layers make too
many lines for one chart; a family is a panel, or a colour.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from recollect.models import MIXERS
from recollect.regression import CATALOG

FAMILIES = {
    "linear": "linear attention and features",
    "decaying": "decaying matrix state",
    "diagonal": "diagonal recurrence",
    "online": "delta rules",
    "network": "networks as state",
    "exact": "least squares",
    "attention": "attention",
    "local": "local fits",
    "plain": "recurrences and convolutions",
    "other": "other layers",
}
"""Titles, in the order of the charts; the first eight are the parts of the catalogue."""

_SIZES = {
    "dim", "key_dim", "value_dim", "num_heads", "num_key_heads", "num_features", "num_states", "expand",
    "expansion", "rank",
}  # fmt: skip
_NO_MEANING = {"label"}


def layer_family(model: Mapping[str, Any]) -> str:
    """The title of a model's family, from its config.

    Example:
        >>> layer_family({"mixer": "deltanet", "options": {}})
        'delta rules'
    """
    name = model["mixer"]
    if name == "regression":
        return FAMILIES[_part_of(model.get("options", {}))]
    if name == "attention":
        return FAMILIES["attention"]
    if name in MIXERS:
        return FAMILIES["plain"]
    part = CATALOG[name].__module__.rpartition(".")[2] if name in CATALOG else "other"
    return FAMILIES.get(part, FAMILIES["other"])


def _part_of(options: Mapping[str, Any]) -> str:
    """Where a composition belongs, from its three kinds."""
    kinds = {
        axis: (options.get(axis) or {}).get("kind") for axis in ("weights", "function_class", "optimizer")
    }
    match kinds["function_class"], kinds["optimizer"]:
        case "local_constant", _:
            return "attention"
        case "local_linear" | "local_polynomial", _:
            return "local"
        case _, "exact":
            return "exact"
        case "mlp", _:
            return "network"
        case _, "sgd":
            return "online"
    return "linear" if kinds["weights"] in (None, "uniform") else "decaying"


def variant_names(models: Mapping[str, Mapping[str, Any]], hidden: Iterable[str] = ()) -> dict[str, str]:
    """By label a name that models share if they differ in sizes alone, or in the `hidden` options.

    The name is what their labels begin with; where that does not tell variants apart, it is the mixer's with
    the options that differ.

    Args:
        models: configs by label.
        hidden: options beside the sizes that make no variant of their own.

    Example:
        >>> models = {f"RLS, keys of {dim}": {"mixer": "rls", "options": {"key_dim": dim}} for dim in (8, 16)}
        >>> variant_names(models)
        {'RLS, keys of 8': 'RLS', 'RLS, keys of 16': 'RLS'}
    """
    ignored = _SIZES | _NO_MEANING | set(hidden)
    settings = {label: _flat(model, ignored) for label, model in models.items()}
    variants: dict[str, list[str]] = {}
    for label, own in settings.items():
        variants.setdefault(json.dumps(own, sort_keys=True), []).append(label)
    names = [_beginning(labels) for labels in variants.values()]
    if "" in names or len(set(names)) < len(names):
        names = [_mixer_and_options(settings, labels[0]) for labels in variants.values()]
    return {label: name for labels, name in zip(variants.values(), names, strict=True) for label in labels}


def _beginning(labels: Sequence[str]) -> str:
    """The words that labels begin with, up to a comma or bracket; the whole of a single label."""
    if len(labels) == 1:
        return labels[0]
    common = "".join(
        letters[0]
        for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*labels, strict=False))
    )
    return re.split(r"[,(\d]", common)[0].strip(" =-_")


def _mixer_and_options(settings: Mapping[str, Mapping[str, Any]], label: str) -> str:
    own = settings[label]
    rivals = [other for other in settings.values() if other["mixer"] == own["mixer"]]
    keys = sorted({key for rival in rivals for key in rival})
    differing = [key for key in keys if len({str(rival.get(key)) for rival in rivals}) > 1]
    shown = [f"{key.rpartition('.')[2]}={own[key]}" for key in differing if own.get(key) is not None]
    mixer = str(own["mixer"]).rpartition(":")[2]
    return f"{mixer} ({', '.join(shown)})" if shown else mixer


def _flat(value: Mapping[str, Any], ignored: set[str], path: str = "") -> dict[str, Any]:
    """Nested settings by dotted path."""
    found: dict[str, Any] = {}
    for key, part in value.items():
        if key in ignored:
            continue
        if isinstance(part, Mapping):
            found |= _flat(part, ignored, f"{path}{key}.")
        else:
            found[path + key] = part
    return found
