"""The axis `R` of models trained together, for functions that write their own time loop.

A loop that writes into preallocated tensors cannot be traced by `torch.func.vmap`. So it is written once
with `R` as its first axis, and `vmap` only has to merge the axis it adds into that one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def fold_runs(
    num_runs: int, in_dims: tuple[int | None, ...], values: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Merge the axis that `vmap` adds into the first axis; a value that has none is repeated."""
    return tuple(
        (value.expand(num_runs, *value.shape) if dim is None else value.movedim(dim, 0)).flatten(0, 1)
        for value, dim in zip(values, in_dims, strict=True)
    )


def over_runs(function: Callable[..., tuple[Tensor, ...]], *values: Tensor) -> tuple[Tensor, ...]:
    """`function(*values)`, each with `R` first, also under `torch.func.vmap`; not differentiable."""
    return _OverRuns.apply(function, *values)


def unfold_runs(num_runs: int, values: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """The inverse of `fold_runs`, with the axis that `vmap` added in front: what a `vmap` rule returns."""
    return tuple(value.unflatten(0, (num_runs, -1)) for value in values), (0,) * len(values)


class _OverRuns(torch.autograd.Function):
    @staticmethod
    def forward(function: Callable[..., tuple[Tensor, ...]], *values: Tensor) -> tuple[Tensor, ...]:
        return function(*values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None: ...

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        function, *values = inputs
        folded = fold_runs(info.batch_size, in_dims[1:], tuple(values))
        return unfold_runs(info.batch_size, _OverRuns.apply(function, *folded))


def summed_products(delta: Tensor, states: Tensor, start: Tensor) -> Tensor:
    """`sum_{b,t} delta_t h_{t-1}^T` for `(R, B, T, .)`: the gradient of a recurrent matrix in one product."""
    later = delta[:, :, 1:].transpose(1, 2).flatten(1, 2)
    earlier = states[:, :, :-1].transpose(1, 2).flatten(1, 2)
    return later.mT @ earlier + delta[:, :, 0].mT @ start


def empty_time_first(like: Tensor, width: int) -> Tensor:
    """Unset `(T, R, B, width)` for a sequence `(R, B, T, .)`: every step is then one contiguous piece."""
    runs, batch, length, _ = like.shape
    return like.new_empty(length, runs, batch, width)
