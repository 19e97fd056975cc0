"""The simple recurrent network (Elman 1990) as a mixer."""

import math
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core.errors import ConfigError
from recollect.core.shapes import Kernel, Sequence, Step
from recollect.models.rnn_recurrence import IN_PLACE, Activation, rnn_recurrence
from recollect.models.vandermonde import matrix_powers


class RNN(nn.Module):
    r"""Simple recurrence with a tanh, a hard tanh, or none (a dense linear recurrence, which is LTI).

    $$h_t = \varphi(U x_t + W h_{t-1} + b), \qquad y_t = h_t$$

    State `D` scalars; work O(T D^2), T sequential steps. `W` starts orthogonal (arXiv:1312.6120), so that at
    first the linear recurrence neither forgets nor explodes. The linear one has no bias, which would add
    a constant to a map that is meant to be linear.

    Args:
        dim: width `D` of input, state and output.
        activation: the function `phi`.
        form: `loop`, our time loop with a hand-written gradient, which also runs under `torch.func.vmap`
            (faster than the fused kernel on a CPU); or `fused`, PyTorch's kernel, for `tanh` alone.

    Example:
        >>> RNN(8, activation="hardtanh")(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    receptive_field = None
    needs_full_precision = True

    def __init__(
        self, dim: int, *, activation: Activation = "tanh", form: Literal["fused", "loop"] = "loop"
    ) -> None:
        super().__init__()
        if form == "fused" and activation != "tanh":
            raise ConfigError(
                f"form='fused' exists for activation='tanh', got {activation!r}: use form='loop'."
            )
        self.dim, self.form = dim, form
        self.activation: Activation = activation
        self.is_lti = activation == "linear"
        self.input_matrix = nn.Parameter(nn.init.xavier_uniform_(torch.empty(dim, dim)))
        self.recurrent_matrix = nn.Parameter(nn.init.orthogonal_(torch.empty(dim, dim)))
        self.bias = None if self.is_lti else nn.Parameter(torch.zeros(dim))

    def forward(self, x: Sequence) -> Sequence:
        start = self.initial_state(len(x))
        if self.form == "fused" and self.bias is not None:
            tensors = [self.input_matrix, self.recurrent_matrix, self.bias, torch.zeros_like(self.bias)]
            return torch.rnn_tanh(x, start[None], tensors, True, 1, 0.0, self.training, False, True)[0]
        u = nn.functional.linear(x, self.input_matrix, self.bias)
        return rnn_recurrence(u, self.recurrent_matrix, start, self.activation)

    def initial_state(self, batch_size: int) -> Step:
        return self.recurrent_matrix.new_zeros(batch_size, self.dim)

    def step(self, x_t: Step, state: Step) -> tuple[Step, Step]:
        u = nn.functional.linear(x_t, self.input_matrix, self.bias)
        state = IN_PLACE[self.activation](u + state @ self.recurrent_matrix.T)
        return state, state

    def state_size(self, length: int) -> int:
        return self.dim

    def kernel(self, length: int) -> Kernel:
        """`W^s U`; O(T D^3)."""
        return matrix_powers(self.recurrent_matrix, length) @ self.input_matrix

    def response(
        self, write: Float[Tensor, "D inputs"], read: Float[Tensor, "outputs D"], length: int
    ) -> Float[Tensor, "T outputs inputs"]:
        """`read W^s U write`, as `(read W^(i C)) (W^j U write)` with `C` near `sqrt T`; O(log T D^3)."""
        doublings = math.ceil(math.log2(length) / 2)
        entering, leap = _powers_of(self.recurrent_matrix, self.input_matrix @ write, doublings)
        leaving, _ = _powers_of(leap.T, read.T, doublings)
        taps = rearrange(leaving.T @ entering, "(x o) (y i) -> (x y) o i", o=len(read), i=write.shape[1])
        return taps[:length]


def _powers_of(
    matrix: Float[Tensor, "D D"], columns: Float[Tensor, "D columns"], doublings: int
) -> tuple[Float[Tensor, "D many"], Float[Tensor, "D D"]]:
    """`matrix^s columns` side by side for all s below `2^doublings`, and the matrix to that power."""
    for _ in range(doublings):
        columns = torch.cat([columns, matrix @ columns], dim=1)
        matrix = matrix @ matrix
    return columns, matrix
