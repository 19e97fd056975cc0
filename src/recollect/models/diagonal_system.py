r"""A diagonal linear system that reads and writes all channels.

$$h_t = \lambda \odot h_{t-1} + B x_t, \qquad y_t = \mathrm{Re}(C^* h_t) + d \odot x_t$$
"""

import math
from typing import Literal

import torch
from jaxtyping import Float, Inexact
from torch import Tensor, nn

from recollect.core import causal_convolution
from recollect.core.shapes import Kernel, Sequence, Step
from recollect.models.diagonal_recurrence import diagonal_recurrence
from recollect.ops.powers import powers

Form = Literal["recurrence", "convolution"]
States = Inexact[Tensor, "B N"]
Gain = Float[Tensor, " N"] | None


class DiagonalSystem(nn.Module):
    """The matrices `B`, `C` and `d`, around poles and input gains that the caller parametrises.

    Both forms are the same function. On one CPU core, forward and backward, the `recurrence` alone costs a
    quarter (T = 64) to a tenth (T = 1024) of the `convolution` by FFT, real or complex.

    Args:
        dim: width `D` of input and output.
        num_states: number `N` of poles.
        num_parts: 1 for real states, 2 for complex ones (real and imaginary part).
        form: how a whole sequence is read.
    """

    def __init__(self, dim: int, num_states: int, num_parts: Literal[1, 2], form: Form) -> None:
        super().__init__()
        self.num_states, self.num_parts, self.form = num_states, num_parts, form
        self.input_parts = nn.Parameter(torch.randn(num_states, dim, num_parts) / math.sqrt(dim * num_parts))
        self.output_parts = nn.Parameter(
            torch.randn(dim, num_states, num_parts) / math.sqrt(num_states * num_parts)
        )
        self.feedthrough = nn.Parameter(torch.randn(dim))

    def forward(self, x: Sequence, poles: Inexact[Tensor, " N"], gain: Gain = None) -> Sequence:
        u = self._read(x, gain)
        if self.form == "recurrence":
            return self._write(diagonal_recurrence(poles, u), x)
        return self._write(causal_convolution(u, powers(poles, x.shape[1])), x)

    def initial_state(self, batch_size: int) -> States:
        dtype = self.feedthrough.dtype
        return self.feedthrough.new_zeros(
            batch_size, self.num_states, dtype=dtype.to_complex() if self.num_parts == 2 else dtype
        )

    def step(
        self, x_t: Step, state: States, poles: Inexact[Tensor, " N"], gain: Gain = None
    ) -> tuple[Step, States]:
        state = poles * state + self._read(x_t, gain)
        return self._write(state, x_t), state

    def kernel(self, length: int, poles: Inexact[Tensor, " N"], gain: Gain = None) -> Kernel:
        """`Re(C^* diag(lambda^s) B)`, and `d` at lag 0; O(T D^2 N)."""
        # Copies: parameters are parts of one flat vector, and views as complex begin at even places only.
        parts = self._input_parts(gain).clone(), self.output_parts.clone()
        input_matrix, output_matrix = map(_joined, parts)
        taps = (output_matrix.conj() * powers(poles, length)[:, None, :]) @ input_matrix
        first = torch.diag(self.feedthrough)[None]
        return taps.real + nn.functional.pad(first, (0, 0, 0, 0, 0, length - 1))

    def response(
        self,
        write: Float[Tensor, "D inputs"],
        read: Float[Tensor, "outputs D"],
        length: int,
        poles: Inexact[Tensor, " N"],
        gain: Gain = None,
    ) -> Float[Tensor, "T outputs inputs"]:
        """`read @ kernel @ write` with no matrix a lag; O(T N) powers and O(T N I O) work."""
        entering = self._read(write.T, gain).T
        leaving = _joined(torch.einsum("od,dnp->onp", read, self.output_parts)).conj()
        modes = torch.einsum("on,ni->noi", leaving, entering)
        taps = torch.einsum("tn,noi->toi", powers(poles, length), modes).real
        present = (read * self.feedthrough) @ write
        return taps + nn.functional.pad(present[None], (0, 0, 0, 0, 0, length - 1))

    def _read(self, x: Float[Tensor, "*B D"], gain: Gain) -> Inexact[Tensor, "*B N"]:
        return _joined(torch.einsum("...d,ndp->...np", x, self._input_parts(gain)))

    def _input_parts(self, gain: Gain) -> Float[Tensor, "N D parts"]:
        return self.input_parts if gain is None else self.input_parts * gain[:, None, None]

    def _write(self, states: Inexact[Tensor, "*B N"], x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        parts = torch.view_as_real(states) if self.num_parts == 2 else states[..., None]
        return torch.einsum("...np,dnp->...d", parts, self.output_parts) + self.feedthrough * x


def ring_moduli(count: int, smallest: float, largest: float) -> Float[Tensor, " N"]:
    """Moduli of points drawn evenly over the area of a ring in the complex plane (arXiv:2303.06349)."""
    return torch.sqrt(torch.rand(count) * (largest**2 - smallest**2) + smallest**2)


def _joined(parts: Float[Tensor, "*shape parts"]) -> Inexact[Tensor, "*shape"]:
    """Real and imaginary part as one complex number; a lone part as it is."""
    return torch.view_as_complex(parts.contiguous()) if parts.shape[-1] == 2 else parts.squeeze(-1)
