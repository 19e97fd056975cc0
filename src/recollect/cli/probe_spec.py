"""What `recollect probe SPEC` names: a stored run, a checkpoint, an import path, a model, a layer."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recollect.cli.stored_run import find_run
from recollect.core import (
    ConfigError,
    add_working_directory,
    load_object,
    seeded_initialisation,
    suggestion,
)
from recollect.models import MixerConfig
from recollect.models.registry import known_mixers
from recollect.probing.maps import SequenceMap, sequence_map
from recollect.probing.maps.background import Amplitude
from recollect.probing.maps.readout import Readout
from recollect.studies import Record
from recollect.studies.trained import trained_model
from recollect.training.checkpoint import load_model
from recollect.training.trainer import Progress

KINDS = (
    "the id of a stored run (`recollect runs`), a checkpoint of recollect.training.save_model, an import "
    "path 'package.module:attribute', the folder of a Hugging Face model, 'hf:name', or the name of a layer "
    "(`recollect list models`, `recollect list layers`)"
)
DIM = 32
"""Width of a layer that is given by its name."""


def resolve(
    spec: str,
    store_url: str,
    options: dict[str, Any] | None = None,
    on_progress: Progress = lambda step, error: None,
    *,
    input_size: int | None = None,
    background: Any = None,
    amplitude: Amplitude = 1.0,
    readout: Readout | None = None,
) -> SequenceMap:
    """The map that a word on the command line stands for.

    A stored run is trained again, and read on the inputs of its task unless another background is given. A
    layer of ours is built untrained at dim 32. A class or a function without required arguments, by import
    path, is called with the options.

    Args:
        spec: one of `KINDS`; a path wins over the id of a run, a layer's name over both.
        store_url: where stored runs are looked up.
        options: arguments of a class or factory, or of a layer (`dim` among them).
        on_progress: of training a stored run again.
        input_size, background, amplitude, readout: as `sequence_map` takes them.

    Raises:
        ConfigError: nothing of that name, or something that cannot be probed.
    """
    add_working_directory()
    model, name, own_background = _find(spec, store_url, options or {}, on_progress)
    white = not isinstance(amplitude, float | int) or amplitude != 1
    return sequence_map(
        model,
        input_size=input_size,
        background=own_background if background is None and not white else background,
        amplitude=amplitude,
        readout=readout,
        name=name,
    )


def _find(spec: str, store_url: str, options: dict[str, Any], on_progress: Progress) -> tuple[Any, str, Any]:
    """A model, what it is called, and the background it comes with (None: the usual)."""
    path = Path(spec)
    if spec.startswith("hf:"):
        _refuse(options, spec, "a Hugging Face model")
        return _language_model(spec.removeprefix("hf:"), local=False), spec, None
    if ":" in spec and not path.exists():
        return _imported(spec, options), spec, None
    if spec in known_mixers():
        return _layer(spec, options)
    if path.is_dir():
        _refuse(options, spec, "a Hugging Face model")
        return _folder(path), path.resolve().name, None
    if path.exists():
        _refuse(options, spec, "a checkpoint")
        model, facts = load_model(path)
        return model, f"{facts.config.title} from {path.name}", None
    record = _stored(spec, store_url)
    _refuse(options, spec, "a stored run")
    model, task = trained_model(record, on_progress)
    return model, f"{record.model} trained on {record.task}, seed {record.seed}", task


def _refuse(options: dict[str, Any], spec: str, kind: str) -> None:
    if options:
        raise ConfigError(f"{spec} is {kind}, which takes no options; got {', '.join(options)}.")


def _stored(prefix: str, url: str) -> Record:
    record = find_run(prefix, url)
    if record is None:
        hint = suggestion(prefix, known_mixers()) or "."
        raise ConfigError(f"nothing is called {prefix!r}{hint} Expected {KINDS}.")
    return record


def _layer(name: str, options: dict[str, Any]) -> tuple[nn.Module, str, None]:
    others = dict(options)
    dim = others.pop("dim", DIM)
    if not isinstance(dim, int) or dim < 1:
        raise ConfigError(f"{name}: dim={dim!r}; expected a positive whole number.")
    with seeded_initialisation(0):
        layer = MixerConfig.parse({"mixer": name, "options": others}, name).make(dim)
    shown = "".join(f", {option}={value}" for option, value in others.items())
    return layer, f"{name} (untrained, dim {dim}{shown})", None


def _imported(spec: str, options: dict[str, Any]) -> Any:
    found = load_object(spec)
    if isinstance(found, type) or (_is_factory(found, options) and callable(found)):
        return _called(found, spec, options)
    _refuse(options, spec, f"a {type(found).__name__}")
    return found


def _is_factory(found: Any, options: dict[str, Any]) -> bool:
    """Whether a function is to be called for a model: it takes the options, or needs no arguments at all."""
    if isinstance(found, nn.Module | SequenceMap) or not callable(found):
        return False
    if options:
        return True
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # some built-in functions have no signature; none of them makes models
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return not any(p.kind in positional and p.default is p.empty for p in parameters)


def _called(factory: Callable[..., Any], spec: str, options: dict[str, Any]) -> Any:
    try:
        with seeded_initialisation(0):
            return factory(**options)
    except Exception as error:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items()) or "no options"
        raise ConfigError(
            f"{spec} cannot be built with {given}: {type(error).__name__}: {error}. Give its arguments with "
            "--option NAME=VALUE."
        ) from error


def _folder(path: Path) -> Any:
    if not (path / "config.json").is_file():
        raise ConfigError(
            f"the folder {path} has no config.json: expected a Hugging Face model's, or {KINDS}."
        )
    return _language_model(str(path), local=True)


def _language_model(name: str, *, local: bool) -> Any:
    """In float32 at least: in half precision derivatives drown in rounding."""
    try:
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise ConfigError(
            f"{name!r} is a Hugging Face model, which needs transformers: pip install 'recollect[compare]'."
        ) from error
    try:
        return AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, local_files_only=local)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        way = (
            "Expected a folder that save_pretrained wrote, of a causal language model."
            if local
            else "Expected the id of a causal language model on the hub, and a connection to it, or give the "
            "folder of a local copy."
        )
        raise ConfigError(f"cannot load the Hugging Face model {name!r}: {first} {way}") from error
