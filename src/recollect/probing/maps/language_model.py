"""Causal language models of Hugging Face `transformers`, through their input embeddings."""

import inspect
from typing import Any

from torch import Tensor, nn

from recollect.core import ConfigError
from recollect.probing.maps.reader import Reader, first_tensor, placement
from recollect.probing.maps.readout import Readout, read_tokens_through


def is_language_model(model: Any) -> bool:
    """Whether this is one, as far as its interface says; `transformers` need not be installed."""
    return (
        isinstance(model, nn.Module)
        and callable(getattr(model, "get_input_embeddings", None))
        and "inputs_embeds" in inspect.signature(model.forward).parameters
    )


def read_language_model(model: nn.Module, readout: Readout | None) -> Reader:
    """Of a model of tokens that also reads `inputs_embeds`; nothing is cached between calls.

    Raises:
        ConfigError: a readout that does not fit, or a model whose embeddings are no table.
    """
    name = type(model).__name__
    table = model.get_input_embeddings()  # pyright: ignore[reportCallIssue]
    if not isinstance(weight := getattr(table, "weight", None), Tensor) or weight.ndim != 2:
        raise ConfigError(
            f"{name} has no table of input embeddings: wrap it in a function of (batch, time, inputs) "
            "numbers and give input_size."
        )
    body = getattr(model, "base_model", model)
    config = getattr(model, "config", None)
    dtype, device = placement(model)
    reader = Reader(
        apply=lambda x: first_tensor(_read(body, x), name),
        input_size=weight.shape[1],
        name=name,
        module=model,
        dtype=dtype,
        device=device,
        max_length=getattr(config, "max_position_embeddings", None),
        embed=table,
        vocabulary_size=len(weight),
    )
    return read_tokens_through(reader, lambda x: first_tensor(_read(model, x), name), readout)


def _read(model: Any, x: Tensor) -> Any:
    takes = inspect.signature(model.forward).parameters
    caching = {"use_cache": False} if "use_cache" in takes else {}
    return model(inputs_embeds=x, **caching)
