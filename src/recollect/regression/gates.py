"""What is computed from the input at each position: decays, importances, step sizes."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core.shapes import ChannelDecay, HeadDecay, Sequence, StepSizes
from recollect.regression.constants import keep
from recollect.regression.output import linear_map
from recollect.regression.weights import ConstantDecay, GatedDecay, Importance

Decay = HeadDecay | ChannelDecay


class DecayGate(nn.Module):
    """The log-decay of `GatedDecay`, and by how much it scales what is written."""

    def __init__(self, config: GatedDecay, dim: int, num_heads: int, key_dim: int) -> None:
        super().__init__()
        self.config, self.num_heads = config, num_heads
        softplus = config.parametrisation == "softplus"
        per_channel = config.per == "channel"
        # A step that scales what is written is one number a head; the decay rates then differ by channel.
        self.width = key_dim if per_channel and not (softplus and config.scales_writes) else 1
        self.map = linear_map(dim, num_heads * self.width, config.rank)
        self.bias = nn.Parameter(_initial_bias(config, num_heads, self.width))
        rates = key_dim if per_channel and softplus and config.scales_writes else 1
        self.log_rate = nn.Parameter(_initial_rates(num_heads, rates)) if softplus else None

    def forward(self, x: Sequence) -> tuple[Decay, Tensor | None]:
        """The log-decay, and the factor `(B, T, H, 1 or K)` of the keys if this decay scales writes."""
        signal = self.map(x).unflatten(-1, (self.num_heads, self.width)) + self.bias
        if self.config.soft_cap is not None:
            signal = self.config.soft_cap * torch.tanh(signal / self.config.soft_cap)
        if self.log_rate is not None:
            step = nn.functional.softplus(signal)
            decay, writes = -self.log_rate.exp() * step, step
        else:
            decay = _log_decay(self.config, signal)
            writes = -torch.expm1(decay)
        if self.config.per == "head":
            decay = decay.squeeze(-1)
        return decay, writes if self.config.scales_writes else None


class FixedDecay(nn.Module):
    """The log-decay of `ConstantDecay`, trained or not."""

    decay: Tensor

    def __init__(self, config: ConstantDecay, num_heads: int, key_dim: int) -> None:
        super().__init__()
        heads = torch.arange(num_heads, dtype=torch.float64)
        if config.decay is None:
            decay = torch.log1p(-(2.0 ** (-5 - heads)))
        elif config.decay == "alibi":
            decay = -(2.0 ** (-8 * (heads + 1) / num_heads))
        elif config.decay == "ring":
            decay = torch.linspace(0.4**2, 0.99**2, num_heads, dtype=torch.float64).log() / 2
        else:
            decay = torch.full_like(heads, math.log(config.decay))
        decay = decay.to(torch.get_default_dtype())
        if config.per == "channel":
            decay = decay[:, None].expand(-1, key_dim).clone()
        # Trained through log(-log(decay)), so that it stays a decay; the bound keeps a decay of 1 finite.
        self.learned, self.scales_writes = config.learned, config.scales_writes
        keep(
            self, "decay", (-decay).clamp(min=1e-8).log() if config.learned else decay, learned=config.learned
        )

    def forward(self, x: Sequence) -> tuple[Decay, Tensor | None]:
        """The log-decay, and the factor `(B, T, H, 1 or K)` of the keys if this decay scales writes."""
        decay = -self.decay.exp() if self.learned else self.decay
        writes = None
        if self.scales_writes:
            writes = (-torch.expm1(2 * decay)).sqrt()
            writes = (writes[:, None] if decay.ndim == 1 else writes).expand(*x.shape[:2], -1, -1)
        return decay.expand(*x.shape[:2], *decay.shape), writes


class ImportanceGate(nn.Module):
    """The logarithm of `Importance`."""

    SOFT_CAP = 15.0

    def __init__(self, config: Importance, dim: int, num_heads: int) -> None:
        super().__init__()
        self.activation = config.activation
        self.map = nn.Linear(dim, num_heads)

    def forward(self, x: Sequence) -> HeadDecay:
        signal = self.map(x)
        if self.activation == "sigmoid":
            return nn.functional.logsigmoid(signal)
        return self.SOFT_CAP * torch.tanh(signal / self.SOFT_CAP)


class Rate(nn.Module):
    """A number up to `largest` for each position and head (or step): constant, or `sigmoid(W x + b)`."""

    def __init__(
        self,
        value: float | Literal["learned"],
        dim: int,
        width: int,
        *,
        largest: float = 1.0,
        start: float = 0.5,
    ) -> None:
        super().__init__()
        self.width, self.largest = width, largest
        self.constant = None if value == "learned" else float(value)
        self.map = nn.Linear(dim, width) if value == "learned" else None
        if self.map is not None:
            nn.init.constant_(self.map.bias, math.log(start / (1 - start)))

    @property
    def is_learned(self) -> bool:
        """Whether it is computed from the input."""
        return self.map is not None

    def forward(self, x: Sequence) -> StepSizes:
        if self.map is None:
            return x.new_full((*x.shape[:2], self.width), self.constant or 0.0)
        return self.largest * torch.sigmoid(self.map(x))

    def log_rest(self, x: Sequence) -> HeadDecay:
        """`log(1 - rate)` of a rate up to 1, which is finite where the rate rounds to 1."""
        if self.map is None:
            return torch.log1p(-self(x))
        return nn.functional.logsigmoid(-self.map(x))


def _log_decay(config: GatedDecay, signal: Float[Tensor, "B T H width"]) -> Float[Tensor, "B T H width"]:
    if config.parametrisation == "sigmoid":
        return nn.functional.logsigmoid(signal) / config.temperature
    if config.parametrisation == "exponential":
        # A decay of e^-1000 is none in any precision; a larger exponent would have no gradient but NaN.
        return -signal.clamp(max=math.log(1000.0)).exp()
    return _log_above(config.lower_bound, signal)


def _log_above(bound: float, signal: Tensor) -> Tensor:
    """`log(bound + (1 - bound) sigmoid(signal))`, with its digits near 0 and finite where the bound is 0."""
    if bound == 0:
        return nn.functional.logsigmoid(signal)
    near_one = torch.log1p((bound - 1) * torch.sigmoid(-signal.clamp(min=0)))
    small = math.log1p(-bound) + nn.functional.logsigmoid(signal.clamp(max=0))
    return torch.where(signal > 0, near_one, torch.logaddexp(small, small.new_tensor(math.log(bound))))


def _initial_bias(config: GatedDecay, num_heads: int, width: int) -> Float[Tensor, "H width"]:
    """Steps between 0.001 and 0.1 for `softplus`; for `exponential`, memories from 3 to 400 positions."""
    if config.initial_bias is not None:
        return torch.linspace(*config.initial_bias, num_heads * width).view(num_heads, width)
    if config.parametrisation == "softplus":
        steps = torch.exp(math.log(1e-3) + math.log(100) * torch.rand(num_heads, width))
        return steps + torch.log(-torch.expm1(-steps))  # the inverse of softplus
    if config.parametrisation == "exponential":
        return torch.linspace(-6, -1, num_heads * width).view(num_heads, width)
    return torch.zeros(num_heads, width)


def _initial_rates(num_heads: int, rates: int) -> Float[Tensor, "H rates"]:
    """Logarithms of 1, 2, ... over the channels (S4D-real), or of 1 to 16 over the heads."""
    if rates > 1:
        return torch.arange(1, rates + 1, dtype=torch.get_default_dtype()).log().repeat(num_heads, 1)
    return (1 + 15 * torch.rand(num_heads, 1)).log()
