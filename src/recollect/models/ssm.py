"""The diagonal state-space model in discrete time, under several parametrisations of its poles."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Inexact
from torch import Tensor, nn

from recollect.core.shapes import Kernel, Sequence, Step
from recollect.models.diagonal_system import DiagonalSystem, Form, States, ring_moduli
from recollect.models.parametrisation import Parametrisation, from_modulus, modulus


class SSM(nn.Module):
    r"""Diagonal state-space model, real or complex, whose poles are parametrised as in arXiv:2311.14495. LTI.

    $$h_t = \lambda \odot h_{t-1} + B x_t, \qquad y_t = \mathrm{Re}(C^* h_t) + d \odot x_t, \qquad
    \lambda = f(w)\, e^{i\theta}$$

    with `theta = 0` for real states. State `N` real scalars, `2N` for complex states; work O(T D N). Every
    parametrisation starts at the same poles and with states of unit variance under white input, so that
    what differs afterwards is the parametrisation alone. Not to be confused with `s4d`, which gives every
    channel a system of its own.

    Args:
        dim: width `D` of input and output.
        num_states: number `N` of poles, shared by all channels.
        states: `real` (fading memory only, and alternating signs) or `complex` (oscillating).
        parametrisation: the function `f`: `direct`, `exp`, `softplus` or `stable`, `1 - 1/(w^2 + 1/2)`.
        smallest_modulus: inner radius of the ring the poles start in.
        largest_modulus: outer radius, below 1.
        form: how a whole sequence is read; both are the same function.

    Example:
        >>> SSM(8, num_states=6, states="complex")(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    receptive_field = None
    needs_full_precision = True
    is_lti = True

    def __init__(
        self,
        dim: int,
        *,
        num_states: int = 64,
        states: Literal["real", "complex"] = "real",
        parametrisation: Parametrisation = "stable",
        smallest_modulus: float = 0.4,
        largest_modulus: float = 0.99,
        form: Form = "recurrence",
    ) -> None:
        super().__init__()
        self.parametrisation: Parametrisation = parametrisation
        self.num_scalars = num_states if states == "real" else 2 * num_states
        moduli = ring_moduli(num_states, smallest_modulus, largest_modulus)
        self.pole = nn.Parameter(from_modulus(moduli, parametrisation))
        self.phase = nn.Parameter(torch.rand(num_states) * 2 * math.pi) if states == "complex" else None
        self.system = DiagonalSystem(dim, num_states, 1 if states == "real" else 2, form)
        with torch.no_grad():
            self.system.input_parts.mul_((1 - moduli**2).sqrt()[:, None, None])

    def forward(self, x: Sequence) -> Sequence:
        return self.system(x, self._poles())

    def initial_state(self, batch_size: int) -> States:
        return self.system.initial_state(batch_size)

    def step(self, x_t: Step, state: States) -> tuple[Step, States]:
        return self.system.step(x_t, state, self._poles())

    def state_size(self, length: int) -> int:
        return self.num_scalars

    def kernel(self, length: int) -> Kernel:
        return self.system.kernel(length, self._poles())

    def response(
        self, write: Float[Tensor, "D inputs"], read: Float[Tensor, "outputs D"], length: int
    ) -> Float[Tensor, "T outputs inputs"]:
        return self.system.response(write, read, length, self._poles())

    def _poles(self) -> Inexact[Tensor, " N"]:
        radius = modulus(self.pole, self.parametrisation)
        if self.phase is None:
            return radius
        return torch.complex(radius * self.phase.cos(), radius * self.phase.sin())
