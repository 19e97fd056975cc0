"""A plain function of sequences, on tensors or on NumPy arrays."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recollect.core import ConfigError, normal
from recollect.probing.maps.guard import untouched
from recollect.probing.maps.reader import Reader, first_tensor, placement

_LENGTH = 4
_NUMPY = {torch.float64: np.float64, torch.float32: np.float32}


def read_function(function: Callable[..., Any], input_size: int | None) -> Reader:
    """Of a function `(B, T, inputs)` to `(B, T, outputs)`; what it takes is found by trying.

    In this order: tensors with gradients, NumPy arrays, tensors without gradients; in float64, else in
    float32. It must answer in the dtype of its input: nothing is converted behind its back. Of a module's
    method or a `functools.partial` of a module, the module is the one that is left untouched.

    Raises:
        ConfigError: the number of inputs is missing, or it takes none of these; says what each attempt met.
    """
    name = _name(function)
    if input_size is None:
        raise ConfigError(
            f"{name} is a plain function, which says nothing of its inputs: give input_size (--input-size)."
        )
    module = _module_behind(function)
    dtypes, device = (torch.float64, torch.float32), torch.device("cpu")
    if module is not None:
        own, device = placement(module)
        dtypes = (own,)
    met = []
    for attempt, differentiable in ((_on_tensors, True), (_on_arrays, False), (_on_tensors, False)):
        for dtype in dtypes:
            apply = attempt(function, name)
            try:
                with untouched(module):
                    _try(apply, input_size, dtype, device, differentiable)
            except Exception as error:
                kind = "arrays" if attempt is _on_arrays else "tensors"
                met.append(f"{kind} of {str(dtype).removeprefix('torch.')}: {type(error).__name__}: {error}")
                continue
            return Reader(apply, input_size, name, module, dtype, device, differentiable)
    raise ConfigError(
        f"{name} cannot read numbers of shape (batch 2, time {_LENGTH}, inputs {input_size}). It was given "
        + "; ".join(dict.fromkeys(met))
    )


def _name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "the function" if name == "<lambda>" else name


def _module_behind(function: Callable[..., Any]) -> nn.Module | None:
    inner = function.func if isinstance(function, partial) else getattr(function, "__self__", None)
    return inner if isinstance(inner, nn.Module) else None


def _on_tensors(function: Callable[..., Any], name: str) -> Callable[[Tensor], Tensor]:
    return lambda x: first_tensor(function(x), name)


def _on_arrays(function: Callable[..., Any], name: str) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        y = function(x.detach().cpu().numpy().copy())
        if not isinstance(y, np.ndarray):
            raise TypeError(f"expected an array back, got {type(y).__name__}")
        # A copy: what the function keeps of its answer and writes to later is its own.
        return torch.as_tensor(y.copy(), device=x.device)

    return apply


def _try(
    apply: Callable[[Tensor], Tensor],
    input_size: int,
    dtype: torch.dtype,
    device: torch.device,
    differentiable: bool,
) -> None:
    """One short trial; whatever is wrong raises."""
    numbers = normal(0, torch.arange(2), _LENGTH * input_size).unflatten(1, (_LENGTH, input_size))
    x = numbers.to(dtype=dtype, device=device).requires_grad_(differentiable)
    y = apply(x)
    if y.dtype != dtype:
        raise TypeError(f"answered in {str(y.dtype).removeprefix('torch.')}")
    if differentiable and not y.requires_grad:
        raise TypeError("no gradient reaches the input")
