"""The first values of gated recurrences' matrices."""

from collections.abc import Callable

import torch
from torch import Tensor


def stacked_matrices(initialise: Callable[[Tensor], Tensor], num_gates: int, dim: int) -> Tensor:
    """One `(num_gates * dim, dim)` matrix whose square blocks are initialised each on its own.

    Initialised as a whole, the fan-in and the orthogonality would be those of the stack.

    Example:
        >>> stacked_matrices(torch.nn.init.orthogonal_, 3, 2).shape
        torch.Size([6, 2])
    """
    return torch.cat([initialise(torch.empty(dim, dim)) for _ in range(num_gates)])
