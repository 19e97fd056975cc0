"""The gated recurrent unit as a mixer."""

from typing import Literal

import torch
from torch import nn

from recollect.core.shapes import Sequence, Step
from recollect.models.gates import stacked_matrices
from recollect.models.gru_recurrence import gru_recurrence


class GRU(nn.Module):
    r"""Gated recurrent unit (arXiv:1406.1078), with the reset gate applied after the recurrent product.

    $$r = \sigma(U_r x_t + W_r h + b_r), \quad z = \sigma(U_z x_t + W_z h + b_z), \quad
    n = \tanh(U_n x_t + b_n + r \odot (W_n h + b)), \quad h_t = n + z \odot (h - n), \quad y_t = h_t$$

    with `h` the state before. State `D` scalars; work O(T D^2), T sequential steps. Every `W` starts
    orthogonal.

    Args:
        dim: width `D` of input, state and output.
        form: `fused`, PyTorch's kernel (the better one on a GPU); or `loop`, our time loop with a
            hand-written gradient, which also runs under `torch.func.vmap`.

    Example:
        >>> GRU(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    receptive_field = None
    needs_full_precision = True
    is_lti = False

    def __init__(self, dim: int, *, form: Literal["fused", "loop"] = "fused") -> None:
        super().__init__()
        self.dim, self.form = dim, form
        self.input_matrix = nn.Parameter(stacked_matrices(nn.init.xavier_uniform_, 3, dim))
        self.recurrent_matrix = nn.Parameter(stacked_matrices(nn.init.orthogonal_, 3, dim))
        self.bias = nn.Parameter(torch.zeros(3 * dim))
        self.candidate_bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Sequence) -> Sequence:
        start = self.initial_state(len(x))
        if self.form == "fused":
            recurrent_bias = torch.cat([self.bias.new_zeros(2 * self.dim), self.candidate_bias])
            tensors = [self.input_matrix, self.recurrent_matrix, self.bias, recurrent_bias]
            return torch.gru(x, start[None], tensors, True, 1, 0.0, self.training, False, True)[0]
        u = nn.functional.linear(x, self.input_matrix, self.bias)
        return gru_recurrence(u, self.recurrent_matrix, self.candidate_bias, start)

    def initial_state(self, batch_size: int) -> Step:
        return self.recurrent_matrix.new_zeros(batch_size, self.dim)

    def step(self, x_t: Step, state: Step) -> tuple[Step, Step]:
        u_r, u_z, u_n = nn.functional.linear(x_t, self.input_matrix, self.bias).chunk(3, dim=-1)
        p_r, p_z, p_n = (state @ self.recurrent_matrix.T).chunk(3, dim=-1)
        new = torch.tanh(u_n + torch.sigmoid(u_r + p_r) * (p_n + self.candidate_bias))
        state = torch.lerp(new, state, torch.sigmoid(u_z + p_z))
        return state, state

    def state_size(self, length: int) -> int:
        return self.dim
