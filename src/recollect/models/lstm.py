"""Long short-term memory as a mixer."""

from typing import Literal, NamedTuple

import torch
from torch import nn

from recollect.core.shapes import Sequence, Step
from recollect.models.gates import stacked_matrices
from recollect.models.lstm_recurrence import lstm_recurrence


class LSTMState(NamedTuple):
    """The output `h` and the cell `c`."""

    output: Step
    cell: Step


class LSTM(nn.Module):
    r"""Long short-term memory with a forget gate (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    $$(i, f, g, o) = U x_t + W h_{t-1} + b, \quad c_t = \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g),$$
    $$y_t = h_t = \sigma(o) \odot \tanh(c_t)$$

    State `2D` scalars; work O(T D^2), T sequential steps. Every `W` starts orthogonal, and the forget
    gate's bias starts at 1 (Jozefowicz et al. 2015), so that cells keep what they hold at first.

    Args:
        dim: width `D` of input, state and output.
        form: `fused`, PyTorch's kernel (the better one in float32 on a CPU, and on a GPU); or `loop`, our
            time loop with a hand-written gradient, which also runs under `torch.func.vmap`.

    Example:
        >>> LSTM(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    receptive_field = None
    needs_full_precision = True
    is_lti = False

    def __init__(self, dim: int, *, form: Literal["fused", "loop"] = "fused") -> None:
        super().__init__()
        self.dim, self.form = dim, form
        self.input_matrix = nn.Parameter(stacked_matrices(nn.init.xavier_uniform_, 4, dim))
        self.recurrent_matrix = nn.Parameter(stacked_matrices(nn.init.orthogonal_, 4, dim))
        self.bias = nn.Parameter(torch.cat([torch.zeros(dim), torch.ones(dim), torch.zeros(2 * dim)]))

    def forward(self, x: Sequence) -> Sequence:
        start = self.initial_state(len(x))
        if self.form == "fused":
            tensors = [self.input_matrix, self.recurrent_matrix, self.bias, torch.zeros_like(self.bias)]
            states = [value[None] for value in start]
            return torch.lstm(x, states, tensors, True, 1, 0.0, self.training, False, True)[0]
        u = nn.functional.linear(x, self.input_matrix, self.bias)
        return lstm_recurrence(u, self.recurrent_matrix, *start)

    def initial_state(self, batch_size: int) -> LSTMState:
        zeros = self.recurrent_matrix.new_zeros(batch_size, self.dim)
        return LSTMState(zeros, zeros)

    def step(self, x_t: Step, state: LSTMState) -> tuple[Step, LSTMState]:
        gates = (
            nn.functional.linear(x_t, self.input_matrix, self.bias) + state.output @ self.recurrent_matrix.T
        )
        i, f, g, o = gates.chunk(4, dim=-1)
        cell = torch.sigmoid(f) * state.cell + torch.sigmoid(i) * torch.tanh(g)
        output = torch.sigmoid(o) * torch.tanh(cell)
        return output, LSTMState(output, cell)

    def state_size(self, length: int) -> int:
        return 2 * self.dim
