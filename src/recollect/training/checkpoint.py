"""A model of this package in one file: what builds it, and its parameters. Read without running any code."""

import os
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recollect.core import ConfigError
from recollect.models import ModelConfig, SequenceModel

FORMAT = "recollect model"
VERSION = 1

_ADVICE = (
    "Expected a file of recollect.training.save_model; any other model can be given as "
    "'package.module:function', where the function builds it and loads its parameters."
)


@dataclass(frozen=True)
class ModelFacts:
    """What a checkpoint says of its model.

    Attributes:
        config: builds the model, but for its sizes.
        input_size: channels of the input, or tokens of the vocabulary.
        output_size: channels of the output.
        is_tokens: whether it reads tokens.
        about: whatever its maker wrote down, e.g. the task it was trained on.
    """

    config: ModelConfig
    input_size: int
    output_size: int
    is_tokens: bool
    about: str


def save_model(
    path: str | os.PathLike[str],
    model: SequenceModel,
    config: ModelConfig,
    input_size: int,
    output_size: int,
    *,
    is_tokens: bool = False,
    about: str = "",
) -> None:
    """Write a model that `config.build(input_size, output_size, ...)` made, with the parameters it has now.

    The file is replaced as a whole or not at all. The source of a user's own mixer is not in it.

    Raises:
        ConfigError: sizes that are not the model's.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> config = ModelConfig(mixer="gru", dim=4)
        >>> model = config.build(2, 3, seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_model(f"{folder}/gru.pt", model, config, 2, 3, about="untrained")
        ...     loaded, facts = load_model(f"{folder}/gru.pt")
        >>> facts.about, torch.equal(loaded.decoder.weight, model.decoder.weight)
        ('untrained', True)
    """
    if (input_size, is_tokens) != (model.input_size, model.is_tokens):
        sort = "tokens" if model.is_tokens else "channels"
        raise ConfigError(
            f"the model reads {model.input_size} {sort}, got input_size={input_size}, is_tokens={is_tokens}: "
            "give the numbers that it was built with."
        )
    document = {
        "format": FORMAT,
        "version": VERSION,
        "config": config.model_dump(mode="json"),
        "input_size": input_size,
        "output_size": output_size,
        "is_tokens": is_tokens,
        "about": about,
        "state": {name: value.detach().cpu() for name, value in model.state_dict().items()},
    }
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            torch.save(document, file)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def load_model(path: str | os.PathLike[str]) -> tuple[SequenceModel, ModelFacts]:
    """The model of a file of `save_model`, on the CPU, in evaluation mode and in the dtype it was saved in.

    Raises:
        ConfigError: says what the file is instead, if anything, and what to do.
        OSError: the file cannot be read.
    """
    document = _document(Path(path))
    try:
        facts = ModelFacts(
            config=ModelConfig.parse(document["config"], "config"),
            input_size=document["input_size"],
            output_size=document["output_size"],
            is_tokens=document["is_tokens"],
            about=document["about"],
        )
        model = facts.config.build(facts.input_size, facts.output_size, seed=0, is_tokens=facts.is_tokens)
        _load(model, document["state"])
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return model.eval(), facts


def _document(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings(action="ignore"):  # of pickles that are refused below
                content = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise ConfigError(
                f"{path} holds Python objects or is no PyTorch file; objects are not loaded, since that runs "
                f"their code. {_ADVICE}"
            ) from error
        except (RuntimeError, EOFError, ValueError, KeyError) as error:
            raise ConfigError(f"{path} is no PyTorch file, or a damaged one ({error}). {_ADVICE}") from error
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} holds a {type(content).__name__}, no model. {_ADVICE}")
    if content.get("format") != FORMAT:
        parameters = sum(isinstance(value, Tensor) for value in content.values())
        what = f"{parameters} tensors of a model that it does not name" if parameters else "something else"
        raise ConfigError(f"{path} holds {what}. {_ADVICE}")
    if content.get("version") != VERSION:
        raise ConfigError(
            f"{path} has format version {content.get('version')}, this recollect reads {VERSION}: use the "
            "version of recollect that wrote it."
        )
    return dict(content)


def _load(model: SequenceModel, state: dict[str, Tensor]) -> None:
    # A saved tensor keeps its precision: copied into a float32 parameter it would lose it.
    real = [value.dtype for value in state.values() if value.is_floating_point()]
    widest = max(real, key=lambda dtype: torch.finfo(dtype).bits, default=None)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name in state:
            tensor.data = tensor.data.to(state[name].dtype)
        elif widest is not None and tensor.is_floating_point():
            tensor.data = tensor.data.to(widest)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(
            f"the parameters do not fit the model that its config builds now ({error}). Has the "
            "source of its mixer changed? Use the one it was saved with."
        ) from error
