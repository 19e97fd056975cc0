"""Objects by import path (`package.module:Name`), and a hash of the source they come from."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from recollect.core.errors import ConfigError
from recollect.core.names import suggestion


def add_working_directory() -> None:
    """Let modules in the working directory be imported, as `python -m` does."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def load_object(path: str) -> Any:
    """The object at `package.module:Name`.

    Raises:
        ConfigError: says whether the form, the module or the name is wrong, and what is there instead.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise ConfigError(f"expected an import path 'package.module:Name', got {path!r}.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"cannot import {module_name!r} ({error}). Run from the directory that holds it, or install it."
        ) from error
    except Exception as error:
        raise ConfigError(f"importing {module_name!r} failed: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        hint = suggestion(name, vars(module))
        raise ConfigError(f"module {module_name!r} has no {name!r}{hint or '.'}")
    return getattr(module, name)


def source_hash(path: str) -> str:
    """SHA-256 over every Python file of the top-level module or package that `path` belongs to.

    Whoever edits a mixer, or a file beside it in the same package, gets a new hash and so a new run.
    """
    top = path.partition(":")[0].partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None:
        raise ConfigError(
            f"cannot find the module {top!r} of {path!r}; run from the directory that holds it."
        )
    roots = [Path(place) for place in spec.submodule_search_locations or []]
    files = sorted(file for root in roots for file in root.rglob("*.py"))
    if not files and spec.origin:
        files = [Path(spec.origin)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
