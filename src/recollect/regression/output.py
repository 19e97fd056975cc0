"""What becomes of the values that a regressor answers: norm, gate, and the way past it."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core import ConfigError, one_of
from recollect.core.shapes import Sequence, Values

OutputNorm = Literal["none", "rms", "layer"]
Gate = Literal["none", "silu", "sigmoid"]
Inner = Float[Tensor, "B T inner"]
"""The value channels of all heads side by side."""


class GatedNorm(nn.Module):
    """Norm over the value channels of each head, times a gate that is computed from the input.

    Args:
        norm: `rms` or `layer` over each head's channels, or `none`.
        gate: activation of the gate, or `none`.
        gate_first: whether the gate comes before the norm (Mamba-2) or after it.
        groups: over how many parts of all channels the norm is taken; one a head if `None`.
        dim: channels of the input that the gate is computed from.
        num_heads: number of heads.
        value_dim: channels of a head.
        rank: inner width of the gate's map as a product of two; full if `None`.
        eps: added to the mean square.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        value_dim: int,
        *,
        norm: OutputNorm,
        gate: Gate,
        gate_first: bool,
        groups: int | None = None,
        rank: int | None = None,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        one_of(norm, get_args(OutputNorm), "output_norm")
        one_of(gate, get_args(Gate), "output_gate")
        width = num_heads * value_dim
        self.norm, self.gate, self.gate_first, self.eps = norm, gate, gate_first, eps
        self.groups = num_heads if groups is None else groups
        if norm != "none" and (self.groups < 1 or width % self.groups or width // self.groups < 2):
            raise ConfigError(
                f"output_norm={norm!r} over {self.groups} parts of {width} channels: expected parts of at "
                f"least 2 channels each. Take fewer heads, a larger value_dim, norm_groups=1, or "
                f"output_norm='none'."
            )
        self.gain = None if norm == "none" else nn.Parameter(torch.ones(width))
        self.project = None if gate == "none" else linear_map(dim, width, rank)

    def forward(self, o: Values, x: Sequence) -> Inner:
        y = o.flatten(-2)
        gate = self._gate(x)
        if gate is not None and self.gate_first:
            return self._normalised(y * gate)
        y = self._normalised(y)
        return y if gate is None else y * gate

    def _gate(self, x: Sequence) -> Tensor | None:
        if self.project is None:
            return None
        activation = nn.functional.silu if self.gate == "silu" else torch.sigmoid
        return activation(self.project(x))

    def _normalised(self, y: Inner) -> Inner:
        if self.gain is None:
            return y
        parts = y.unflatten(-1, (self.groups, -1))
        if self.norm == "layer":
            parts = parts - parts.mean(-1, keepdim=True)
        scale = (parts.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return (parts * scale).flatten(-2) * self.gain


def linear_map(dim: int, width: int, rank: int | None, *, bias: bool = False) -> nn.Module:
    """A linear map, or the product of two with `rank` channels between them."""
    if rank is None:
        return nn.Linear(dim, width, bias=bias)
    return nn.Sequential(nn.Linear(dim, rank, bias=False), nn.Linear(rank, width, bias=bias))
