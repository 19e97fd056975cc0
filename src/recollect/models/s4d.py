"""The diagonal structured state-space model as a mixer."""

import math
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from recollect.core import causal_convolution
from recollect.core.shapes import Kernel, Sequence, Step
from recollect.models.parametrisation import Parametrisation, decay_rate, from_decay_rate
from recollect.models.vandermonde import vandermonde_kernel

ChannelStates = Complex[Tensor, "B D N"]


class S4D(nn.Module):
    r"""Diagonal structured state space: one complex diagonal system per channel (arXiv:2206.11893). LTI.

    In channel d, with `A = -rate(w) + i omega` and step size `dt`:

    $$h_t = \bar A h_{t-1} + \bar B x_t, \qquad y_t = 2\,\mathrm{Re}\,(C h_t) + D x_t$$

    State `2 D N` real scalars. Training is one FFT convolution, O(D (N T + T log T)) work a sequence at
    most; a step is O(D N). Channels do not mix: that is the backbone's part. With `stable` this is S4 under
    the stable reparametrisation of arXiv:2311.14495. Not to be confused with `ssm`, whose states all read
    all channels.

    Args:
        dim: number of channels `D`.
        num_states: complex states `N` per channel; the paper's default (its N = 64) is 32 conjugate pairs.
        initialisation: `lin`, `A_n = -1/2 + i pi n`; or `inv`, `-1/2 + i (2N/pi) (2N/(2n+1) - 1)`.
        discretisation: `zoh` (exact for a held input) or `bilinear` (Tustin).
        parametrisation: how the decay rate depends on its parameter; all start at the rate 1/2.
        dt_min: smallest step size at the start, in units where the input comes once a unit.
        dt_max: largest; the sizes are spread evenly in the logarithm.

    Example:
        >>> S4D(8, num_states=4)(torch.zeros(2, 5, 8)).shape
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
        initialisation: Literal["lin", "inv"] = "lin",
        discretisation: Literal["zoh", "bilinear"] = "zoh",
        parametrisation: Parametrisation = "exp",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        self.dim, self.num_states = dim, num_states
        self.discretisation = discretisation
        self.parametrisation: Parametrisation = parametrisation
        n = torch.arange(num_states)
        frequency = (
            math.pi * n
            if initialisation == "lin"
            else 2 * num_states / math.pi * (2 * num_states / (2 * n + 1) - 1)
        )
        rate = torch.full((dim, num_states), 0.5)
        span = math.log(dt_max) - math.log(dt_min)
        self.log_dt = nn.Parameter(torch.rand(dim, 1) * span + math.log(dt_min))
        self.decay = nn.Parameter(from_decay_rate(rate, parametrisation))
        self.frequency = nn.Parameter(frequency.repeat(dim, 1))
        self.output_parts = nn.Parameter(torch.randn(dim, num_states, 2) / math.sqrt(2))
        self.feedthrough = nn.Parameter(torch.randn(dim))

    def forward(self, x: Sequence) -> Sequence:
        poles, coefficients = self._discrete()
        taps = vandermonde_kernel(coefficients, poles, x.shape[1]).real
        return causal_convolution(x, taps.T) + self.feedthrough * x

    def initial_state(self, batch_size: int) -> ChannelStates:
        dtype = self.decay.dtype.to_complex()
        return self.decay.new_zeros(batch_size, self.dim, self.num_states, dtype=dtype)

    def step(self, x_t: Step, state: ChannelStates) -> tuple[Step, ChannelStates]:
        poles, coefficients = self._discrete()
        state = poles * state + x_t[..., None]
        return (coefficients * state).sum(-1).real + self.feedthrough * x_t, state

    def state_size(self, length: int) -> int:
        return 2 * self.dim * self.num_states

    def kernel(self, length: int) -> Kernel:
        poles, coefficients = self._discrete()
        taps = vandermonde_kernel(coefficients, poles, length).real
        return torch.diag_embed(taps.T + _at_lag_zero(self.feedthrough, length))

    def response(
        self, write: Float[Tensor, "D inputs"], read: Float[Tensor, "outputs D"], length: int
    ) -> Float[Tensor, "T outputs inputs"]:
        """`read @ kernel @ write`; O(D N sqrt T) powers, no transform."""
        poles, coefficients = self._discrete()
        taps = vandermonde_kernel(coefficients, poles, length).real.T + _at_lag_zero(self.feedthrough, length)
        return torch.einsum("od,td,di->toi", read, taps, write)

    def _discrete(self) -> tuple[Complex[Tensor, "D N"], Complex[Tensor, "D N"]]:
        """Poles, and the factors `2 C B`: the state holds the input unscaled."""
        a = torch.complex(-decay_rate(self.decay, self.parametrisation), self.frequency)
        z = a * self.log_dt.exp()
        # A copy: parameters are parts of one flat vector, and views as complex begin at even places only.
        output = 2 * torch.view_as_complex(self.output_parts.clone())
        if self.discretisation == "zoh":
            return z.exp(), output * torch.expm1(z) / a
        return (1 + z / 2) / (1 - z / 2), output * self.log_dt.exp() / (1 - z / 2)


def _at_lag_zero(value: Tensor, length: int) -> Tensor:
    return nn.functional.pad(value[None], (0, 0, 0, length - 1))
