"""What a probe reads: a causal map of sequences of numbers, and the inputs it is read on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class SequenceMap:
    """A causal map of sequences, ready to be probed. Made by `sequence_map`.

    Attributes:
        apply: `(B, T, inputs)` to `(B, T, outputs)`, in the map's own dtype and on its device.
        input_size: channels that it reads.
        output_size: channels that it gives.
        draw: `draw(count, length, seed)` are `(count, length, inputs)` sequences of the background: equal
            seeds give equal numbers, whatever was drawn before.
        background: what `draw` draws, in words.
        input_scale: standard deviation of the background by input channel.
        is_white_gaussian: whether `draw` gives independent Gaussian numbers of mean zero; the mean Jacobian
            is then the `k1` of the risk identity.
        name: of the map, in words.
        module: what must be left untouched; None for a function that is no module's.
        dtype: of what it reads.
        device: of what it reads.
        differentiable: False for a black box, such as a function of NumPy arrays.
        max_length: longest sequence that it can read; None where there is no end.
    """

    apply: Callable[[Tensor], Tensor]
    input_size: int
    output_size: int
    draw: Callable[[int, int, int], Tensor]
    background: str
    input_scale: Float64[Tensor, " inputs"]
    is_white_gaussian: bool
    name: str
    module: nn.Module | None
    dtype: torch.dtype
    device: torch.device
    differentiable: bool = True
    max_length: int | None = None
