"""The entries that `list` and `show` know, by category, each with its documentation."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from recollect.memory import FAMILIES
from recollect.models import LAYERS, MIXERS
from recollect.studies import STUDIES, Study, find_study
from recollect.tasks import TASKS


def _documented(registry: Mapping[str, Callable[..., Any]]) -> dict[str, str]:
    return {name: inspect.cleandoc(entry.__doc__ or "") for name, entry in registry.items()}


def _studies() -> dict[str, str]:
    return {name: _with_scales(find_study(name)) for name in STUDIES}


def _with_scales(study: Study) -> str:
    scales = f" Scales: {', '.join(study.scales)}." if study.scales else ""
    return study.description + scales


CATEGORIES: dict[str, Callable[[], dict[str, str]]] = {
    "memory": lambda: _documented(FAMILIES),
    "tasks": lambda: _documented(TASKS),
    "models": lambda: _documented(MIXERS),
    "layers": lambda: _documented(LAYERS),
    "studies": _studies,
}


def first_sentence(text: str) -> str:
    """The first line of a documentation string, without its markup."""
    line = text.strip().partition("\n")[0] if "\n\n" not in text else text.strip().partition("\n\n")[0]
    return " ".join(line.replace("`", "").replace("$", "").split())
