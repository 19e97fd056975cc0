"""How the adapters describe what they have understood of a model, before a background is chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recollect.core import ConfigError, normal
from recollect.models import Attention
from recollect.models.diagonal_system import DiagonalSystem
from recollect.probing.maps.guard import untouched

_SIZES = ("input_size", "dim", "hidden_size", "d_model", "embed_dim")
_TRIAL = 4


@dataclass(frozen=True, eq=False)
class Reader:
    """A map of sequences of numbers; of a model of tokens, of what their embeddings are.

    Attributes:
        apply: `(B, T, inputs)` to `(B, T, outputs)`.
        name: in words.
        part_read: which part of the outputs, in words; empty where all are.
        embed: the embeddings of `(B, T)` tokens; None for a model of numbers.
        vocabulary_size: number of tokens that it knows; 0 for a model of numbers.
    """

    apply: Callable[[Tensor], Tensor]
    input_size: int
    name: str
    module: nn.Module | None
    dtype: torch.dtype
    device: torch.device
    differentiable: bool = True
    max_length: int | None = None
    embed: Callable[[Tensor], Tensor] | None = None
    vocabulary_size: int = 0
    part_read: str = ""


def first_tensor(output: Any, name: str) -> Tensor:
    """The sequence in what a module returns: a tensor, the first of a tuple, logits, or a hidden state.

    Raises:
        ConfigError: none of these.
    """
    if isinstance(output, Tensor):
        return output
    for field in ("logits", "last_hidden_state"):
        if isinstance(found := getattr(output, field, None), Tensor):
            return found
    if isinstance(output, Sequence) and output and isinstance(output[0], Tensor):
        return output[0]
    raise ConfigError(
        f"{name} returned {type(output).__name__}: expected a tensor (batch, time, outputs), a tuple that "
        "begins with one, or an output with `logits` or `last_hidden_state`. Wrap it in a function that "
        "returns the tensor."
    )


def placement(module: nn.Module, otherwise: torch.dtype = torch.float64) -> tuple[torch.dtype, torch.device]:
    """dtype and device of a module: of its first parameter or buffer that holds numbers."""
    tensors = [*module.parameters(), *module.buffers()]
    device = tensors[0].device if tensors else torch.device("cpu")
    real = [tensor for tensor in tensors if tensor.is_floating_point()]
    if real:
        return real[0].dtype, real[0].device
    complex_valued = [tensor for tensor in tensors if tensor.is_complex()]
    return (complex_valued[0].real.dtype if complex_valued else otherwise), device


def inferred_input_size(module: nn.Module) -> int | None:
    """What a module says of its width, else what its first part with parameters reads."""
    for name in _SIZES:
        if isinstance(size := getattr(module, name, None), int) and size > 0:
            return size
    for part in module.modules():
        if isinstance(part, nn.Linear):
            return part.in_features
        if isinstance(part, nn.RNNBase):
            return part.input_size
        if isinstance(part, nn.Conv1d):
            return part.in_channels
        if isinstance(part, DiagonalSystem):
            return len(part.feedthrough)
    return None


def inferred_max_length(module: nn.Module) -> int | None:
    """The smallest end that a part of a module says its sequences have."""
    ends = [end for part in module.modules() if isinstance(end := getattr(part, "max_length", None), int)]
    tables = [part.table for part in module.modules() if isinstance(part, Attention)]
    return min([*ends, *(len(table) for table in tables if table is not None)], default=None)


def tried_output_size(reader: Reader) -> int:
    """Channels that come out, by one short trial.

    Raises:
        ConfigError: it cannot read such a sequence, or gives something else than one output a position.
    """
    length = min(_TRIAL, reader.max_length or _TRIAL)
    numbers = normal(0, torch.arange(2), length * reader.input_size).unflatten(1, (length, -1))
    x = numbers.to(dtype=reader.dtype, device=reader.device)
    with untouched(reader.module), torch.no_grad():
        try:
            y = reader.apply(x)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"{reader.name} cannot read numbers of shape (batch 2, time {length}, inputs "
                f"{reader.input_size}): {type(error).__name__}: {error}. Give another input_size, or wrap "
                "the model in a function that can."
            ) from error
    if y.ndim != 3 or y.shape[:2] != x.shape[:2]:
        raise ConfigError(
            f"{reader.name}: expected outputs of shape (batch 2, time {length}, outputs) for inputs of shape "
            f"{tuple(x.shape)}, got {tuple(y.shape)}: one output at every position, time on axis 1."
        )
    return y.shape[-1]
