"""Looking a name up, and suggesting the nearest one when it is not there."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from recollect.core.errors import ConfigError

Entry = TypeVar("Entry")


def suggestion(name: str, options: Iterable[str]) -> str:
    """`"; did you mean 'length'?"` where one of `options` is near `name`, else an empty string."""
    near = get_close_matches(name, list(options), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def one_of(value: str, allowed: Iterable[str], field: str) -> None:
    """Refuse a value that is not among those allowed.

    Raises:
        ConfigError: names the field, what came, the nearest, and what is allowed.
    """
    options = list(allowed)
    if value not in options:
        hint = suggestion(value, options) or "."
        raise ConfigError(f"{field}={value!r}{hint} Possible: {', '.join(options)}.")


def lookup(registry: Mapping[str, Entry], name: str, kind: str) -> Entry:
    """The entry called `name`; a `ConfigError` that lists the entries of this `kind` if there is none."""
    if name in registry:
        return registry[name]
    hint = suggestion(name, registry)
    raise ConfigError(f"unknown {kind} {name!r}{hint or '.'} Known: {', '.join(sorted(registry))}.")
