"""A short causal convolution over time, channel by channel."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core import ConfigError
from recollect.core.shapes import Sequence

Buffer = Float[Tensor, "B before D"]
"""The last `window - 1` inputs, oldest first."""


class ShortConvolution(nn.Module):
    r"""$y_t = b + \sum_{j<w} c_j \odot x_{t-j}$ with zeros before the first input; work O(T D w).

    It makes keys of neighbours: with it, one regression layer sees which value followed which key.

    Args:
        dim: channels.
        window: number of taps `w`, the present input included.
        bias: whether a constant is added.

    Example:
        >>> y, buffer = ShortConvolution(3, window=4)(torch.zeros(2, 5, 3))
        >>> y.shape, buffer.shape
        (torch.Size([2, 5, 3]), torch.Size([2, 3, 3]))
    """

    def __init__(self, dim: int, *, window: int, bias: bool = False) -> None:
        super().__init__()
        if window < 1:
            raise ConfigError(
                f"short_conv: expected a window of at least 1, got {window}; None leaves it out."
            )
        bound = 1 / math.sqrt(window)
        self.window = window
        self.taps = nn.Parameter(torch.empty(dim, window).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None

    def forward(self, x: Sequence, buffer: Buffer | None = None) -> tuple[Sequence, Buffer]:
        """The filtered sequence, and the buffer for what comes next."""
        past = self.initial_state(len(x)) if buffer is None else buffer
        whole = torch.cat([past, x], dim=1)
        length = x.shape[1]
        lagged = (whole[:, j : j + length] for j in reversed(range(self.window)))
        y = torch.stack([x_lag * self.taps[:, lag] for lag, x_lag in enumerate(lagged)]).sum(0)
        return (y if self.bias is None else y + self.bias), whole[:, length:]

    def initial_state(self, batch_size: int) -> Buffer:
        """Zeros."""
        return self.taps.new_zeros(batch_size, self.window - 1, len(self.taps))

    def state_size(self) -> int:
        """Scalars in the buffer of one sequence."""
        return (self.window - 1) * len(self.taps)
