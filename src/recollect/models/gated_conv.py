"""A short convolution that is multiplied with a linear map of the input."""

from torch import Tensor, nn

from recollect.core.shapes import Sequence, Step
from recollect.regression.short_convolution import ShortConvolution


class GatedConv(nn.Module):
    r"""Gated short convolution (arXiv:2312.04927): mixes neighbours, before a mixer that remembers.

    $$y_t = (W x_t + b) \odot \Big(c + \sum_{j<w} h_j \odot x_{t-j}\Big)$$

    In the spirit of BaseConv with a short filter, as it stands before the mixer in arXiv:2402.18668. State
    `(w - 1) D` scalars; work O(T D^2).

    Args:
        dim: width `D` of input and output.
        width: taps `w` of the convolution, the present input included.

    Example:
        >>> GatedConv(8, width=3)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    is_lti = False

    def __init__(self, dim: int, *, width: int = 3) -> None:
        super().__init__()
        self.dim, self.receptive_field = dim, width
        self.gate = nn.Linear(dim, dim)
        self.convolution = ShortConvolution(dim, window=width, bias=True)

    def forward(self, x: Sequence) -> Sequence:
        return self.gate(x) * self.convolution(x)[0]

    def initial_state(self, batch_size: int) -> Tensor:
        return self.convolution.initial_state(batch_size)

    def step(self, x_t: Step, state: Tensor) -> tuple[Step, Tensor]:
        convolved, state = self.convolution(x_t[:, None], state)
        return self.gate(x_t) * convolved[:, 0], state

    def state_size(self, length: int) -> int:
        return self.convolution.state_size()
