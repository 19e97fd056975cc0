"""A filter of several inputs."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.diagnosis.input_metric import Memory


@final
@dataclass(frozen=True, eq=False)
class JointFilter:
    """Taps at lags 0..R-1 of each input.

    Attributes:
        values: the taps.

    Example:
        >>> JointFilter(torch.ones(1, 2, dtype=torch.float64)).taps(2)
        tensor([[1., 1.],
                [0., 0.]], dtype=torch.float64)
    """

    values: Float64[Tensor, "R inputs"]

    def taps(self, length: int) -> Memory:
        """The filter, continued by zeros."""
        return torch.nn.functional.pad(self.values[:length], (0, 0, 0, max(length - len(self.values), 0)))
