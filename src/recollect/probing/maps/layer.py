"""A module that maps sequences to sequences: ours, PyTorch's, flash-linear-attention's, mamba's."""

from collections.abc import Callable

from torch import Tensor, nn

from recollect.core import ConfigError
from recollect.probing.maps.reader import (
    Reader,
    first_tensor,
    inferred_input_size,
    inferred_max_length,
    placement,
)


def read_layer(module: nn.Module, input_size: int | None, columns: int | None = None) -> Reader:
    """Of a layer `(B, T, D)` to `(B, T, D)`, whose output may also begin a tuple or lie in an output object.

    A recurrent layer of `torch.nn` that puts time first is given its axes in its order.

    Args:
        module: the layer.
        input_size: channels of the input; if None what the layer says, and if it says nothing `columns`.
        columns: how many its background has.

    Raises:
        ConfigError: the number of inputs is not given and cannot be inferred.
    """
    name = type(module).__name__
    size = next((s for s in (input_size, inferred_input_size(module), columns) if s is not None), None)
    if size is None:
        raise ConfigError(f"{name} does not say how many inputs it reads: give input_size (--input-size).")
    dtype, device = placement(module)
    return Reader(
        apply=_apply(module, name),
        input_size=size,
        name=name,
        module=module,
        dtype=dtype,
        device=device,
        max_length=inferred_max_length(module),
    )


def _apply(module: nn.Module, name: str) -> Callable[[Tensor], Tensor]:
    if isinstance(module, nn.RNNBase) and not module.batch_first:
        return lambda x: first_tensor(module(x.transpose(0, 1)), name).transpose(0, 1)
    return lambda x: first_tensor(module(x), name)
