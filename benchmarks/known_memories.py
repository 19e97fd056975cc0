"""Systems whose memory is known in closed form, to hold the estimators against."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import causal_convolution, normal
from recollect.models import Attention, SequenceModel

LAGS = 16

Taps = Float64[Tensor, " lags"]
Memory = Float64[Tensor, "lags outputs inputs"]
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class KnownMemory:
    """A map, its linear memory function at lags 0..LAGS-1, and what jumps of one unit do to it.

    Attributes:
        read: the map.
        memory: `k1` for white Gaussian input of unit variance; of a map that changes with the position, at
            position LAGS - 1.
        after_impulse: mean central difference for an impulse of size 1 (at position 0 where positions count).
        after_step: growth of the mean effect of a step of size 1; None where it is not known.
        is_invariant: whether all positions answer alike.
    """

    read: Function
    memory: Memory
    after_impulse: Memory
    after_step: Memory | None
    is_invariant: bool = True

    def truth(self, estimator: str) -> Memory | None:
        """What this estimator should find."""
        return {"impulse": self.after_impulse, "step": self.after_step}.get(estimator, self.memory)


def known_memories() -> dict[str, KnownMemory]:
    """Linear ones, static nonlinearities behind a filter, and maps with gates."""
    lags = torch.arange(256, dtype=torch.float64)
    short = normal(0, torch.arange(1), 6)[0]
    return {
        "six taps": _linear(short),
        "delay by 11": _linear((lags == 11).double()),
        "state space, poles .9 and -.6": _linear(0.7 * 0.9**lags - 0.4 * (-0.6) ** lags),
        "ALiBi heads without content": _alibi_heads(),
        "tanh(w * x)": _static(short, torch.tanh),
        "relu(w * x)": _static(short, torch.relu),
        "(w * x)^3": _static(short, lambda z: z**3),
        "x_t x_(t-1)": _without_linear_part(),
        "h_t = sigmoid(x_t) h_(t-1) + x_t": _gated(),
    }


def _linear(taps: Taps) -> KnownMemory:
    seen = _one_channel(taps)
    return KnownMemory(lambda x: _filtered(taps, x), seen, seen, seen)


def _static(taps: Taps, bend: Function) -> KnownMemory:
    r"""`y = f(w * x)`: jumps see $m(a) = E f(z + a)$, `z` Gaussian of variance `|w|^2`, `k1 = m'(0) w`."""
    scale = taps.norm()
    grid = torch.linspace(-12, 12, 48001, dtype=torch.float64)
    density = torch.exp(-grid.square() / 2)
    density /= density.sum()

    def mean(shift: Taps) -> Taps:
        return bend(scale * grid + shift[:, None]) @ density

    # Stein: E f'(z) = E[z f(z)] / |w|^2, which holds for kinks too.
    slope = (grid * bend(scale * grid)) @ density / scale
    levels = torch.cat([torch.zeros(1, dtype=torch.float64), taps.cumsum(0)])
    return KnownMemory(
        lambda x: bend(_filtered(taps, x)),
        _one_channel(slope * taps),
        _one_channel((mean(taps) - mean(-taps)) / 2),
        _one_channel(mean(levels).diff()),
    )


def _without_linear_part() -> KnownMemory:
    """Products of neighbours: every mean Jacobian is 0, every rms at lags 0 and 1 is 1."""
    silent = _one_channel(torch.zeros(1, dtype=torch.float64))
    after_step = _one_channel(torch.tensor([0.0, 1.0], dtype=torch.float64))
    return KnownMemory(lambda x: x * _delayed(x), silent, silent, after_step)


def _gated() -> KnownMemory:
    """`k1(s) = E[sigmoid]^s = 2^-s`: inputs inside gates are independent of the input that is carried."""

    def read(x: Tensor) -> Tensor:
        state, states = torch.zeros_like(x[:, 0]), []
        for x_t in x.unbind(1):
            state = torch.sigmoid(x_t) * state + x_t
            states.append(state)
        return torch.stack(states, dim=1)

    halves = _one_channel(0.5 ** torch.arange(LAGS, dtype=torch.float64))
    return KnownMemory(read, halves, halves, None)


def _alibi_heads() -> KnownMemory:
    """Averages that forget; they change with the position and answer no step."""
    heads = Attention(2, num_heads=2, positions="alibi", content=False)
    for place, matrix in enumerate((heads.project_in.weight, heads.project_out.weight)):
        matrix.data = normal(place, torch.arange(2), 2)
    model = SequenceModel(lambda: heads, 2, 2, dim=2, encoder=False, decoder=False, residual=False)
    kernel = model.double().linear_response(LAGS).kernel.detach()
    return KnownMemory(model, kernel[-1], kernel.diagonal().permute(2, 0, 1), None, is_invariant=False)


def _one_channel(taps: Taps) -> Memory:
    seen = taps[:LAGS]
    return torch.nn.functional.pad(seen, (0, LAGS - len(seen)))[:, None, None]


def _filtered(taps: Taps, x: Tensor) -> Tensor:
    # Taps beyond the sequence would wrap around in the transform.
    return causal_convolution(x, taps[: x.shape[1], None])


def _delayed(x: Tensor) -> Tensor:
    return torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
