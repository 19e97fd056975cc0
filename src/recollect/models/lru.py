"""The linear recurrent unit as a mixer."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from recollect.core.shapes import Kernel, Sequence, Step
from recollect.models.diagonal_system import DiagonalSystem, Form, States, ring_moduli


class LRU(nn.Module):
    r"""Linear recurrent unit: complex diagonal recurrence with normalised input (arXiv:2303.06349). LTI.

    $$h_t = \lambda \odot h_{t-1} + \gamma \odot B x_t, \quad y_t = \mathrm{Re}(C^* h_t) + d \odot x_t, \quad
    \lambda = e^{-e^{\nu} + i e^{\theta}}$$

    State `2N` real scalars; work O(T D N). `gamma` starts at `sqrt(1 - |lambda|^2)`, which gives every state
    unit variance under white input, and is trained on.

    Args:
        dim: width `D` of input and output.
        num_states: number `N` of complex poles, shared by all channels.
        smallest_modulus: inner radius of the ring the poles start in.
        largest_modulus: outer radius, below 1.
        largest_phase: the phases start evenly between 0 and this angle.
        form: how a whole sequence is read; both are the same function.

    Example:
        >>> LRU(8, num_states=6)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    receptive_field = None
    needs_full_precision = True
    is_lti = True

    def __init__(
        self,
        dim: int,
        *,
        num_states: int = 32,
        smallest_modulus: float = 0.4,
        largest_modulus: float = 0.99,
        largest_phase: float = 2 * math.pi,
        form: Form = "recurrence",
    ) -> None:
        super().__init__()
        self.num_states = num_states
        moduli = ring_moduli(num_states, smallest_modulus, largest_modulus)
        # 1 - rand lies in (0, 1]: the logarithm of a phase of exactly 0 would be infinite.
        phases = (1 - torch.rand(num_states)) * largest_phase
        self.log_rate = nn.Parameter((-moduli.log()).log())
        self.log_phase = nn.Parameter(phases.log())
        self.log_gain = nn.Parameter((1 - moduli**2).log() / 2)
        self.system = DiagonalSystem(dim, num_states, 2, form)

    def forward(self, x: Sequence) -> Sequence:
        return self.system(x, *self._poles_and_gain())

    def initial_state(self, batch_size: int) -> States:
        return self.system.initial_state(batch_size)

    def step(self, x_t: Step, state: States) -> tuple[Step, States]:
        return self.system.step(x_t, state, *self._poles_and_gain())

    def state_size(self, length: int) -> int:
        return 2 * self.num_states

    def kernel(self, length: int) -> Kernel:
        return self.system.kernel(length, *self._poles_and_gain())

    def response(
        self, write: Float[Tensor, "D inputs"], read: Float[Tensor, "outputs D"], length: int
    ) -> Float[Tensor, "T outputs inputs"]:
        return self.system.response(write, read, length, *self._poles_and_gain())

    def _poles_and_gain(self) -> tuple[Complex[Tensor, " N"], Float[Tensor, " N"]]:
        log_pole = torch.complex(-self.log_rate.exp(), self.log_phase.exp())
        return log_pole.exp(), self.log_gain.exp()
