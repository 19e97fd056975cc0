"""Options of the form NAME=VALUE."""

from collections.abc import Sequence
from typing import Any

import yaml

from recollect.core import ConfigError


def parse_options(texts: Sequence[str], example: str) -> dict[str, Any]:
    """Names and values, each value read as YAML or JSON.

    Raises:
        ConfigError: no `=`, or a value that cannot be read.

    Example:
        >>> parse_options(["dim=16", "positions=alibi"], "dim=16")
        {'dim': 16, 'positions': 'alibi'}
    """
    return dict(_option(text, example) for text in texts)


def read_yaml(text: str) -> Any:
    """YAML or JSON.

    Raises:
        ConfigError: text that is neither.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read {text!r} as YAML or JSON: {' '.join(str(error).split())}") from None


def _option(text: str, example: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--option {text!r}: expected NAME=VALUE, e.g. {example}.")
    return name.strip(), read_yaml(value)
