r"""Rotations of queries and keys: decays that are complex numbers.

A complex decay $r_t e^{i\theta_t}$ is a real one, $r_t$, between queries and keys whose pairs of channels are
turned by the sum of all angles so far: only differences of these sums matter to `q.k`. Constant angles are
rotary positions (arXiv:2104.09864) or a diagonal system with complex poles; angles computed from the input
are GateLoop's (arXiv:2311.01927). Where values turn instead, and answers turn back, a pair of value channels
is a complex number that decays: the diagonal system of LRU (arXiv:2303.06349).
"""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core import ConfigError, one_of
from recollect.core.shapes import Keys, Queries, Sequence, Values
from recollect.regression.constants import keep
from recollect.regression.problem import HeadSizes

RotationName = Literal["none", "rope", "learned", "gated"]
Rotated = Literal["queries_keys", "values"]
Angle = Float[Tensor, "B H pairs"]


class Rotation(nn.Module):
    """Turns the pairs (j, j + K/2) of queries and keys, or of values, by the sum of all angles so far.

    Args:
        kind: `rope`, fixed angles `10000^(-2j/K)`; `learned`, constant angles that are trained; `gated`,
            angles that are linear in the input.
        dim: channels of the input that angles are computed from.
        num_heads: number of heads `H`.
        size: key channels `K` of a head, or value channels, an even number.
        rotated: what turns; the error for an odd size names it.
    """

    angle: Tensor | None

    def __init__(
        self,
        kind: Literal["rope", "learned", "gated"],
        dim: int,
        num_heads: int,
        size: int,
        rotated: Rotated = "queries_keys",
    ) -> None:
        super().__init__()
        if size % 2:
            channels = "value" if rotated == "values" else "key"
            raise ConfigError(
                f"rotation={kind!r} turns pairs of {channels} channels: {channels}_dim={size} must be even."
            )
        self.pairs, self.num_heads = size // 2, num_heads
        if kind == "rope":
            angle = (10000.0 ** (-torch.arange(self.pairs) / self.pairs)).repeat(num_heads, 1)
        else:
            angle = 2 * math.pi * torch.rand(num_heads, self.pairs) if kind == "learned" else None
        keep(self, "angle", angle, learned=kind == "learned")
        self.project = nn.Linear(dim, num_heads * self.pairs) if kind == "gated" else None

    def forward(self, x: Sequence, q: Queries, k: Keys, before: Angle) -> tuple[Queries, Keys, Angle]:
        """Turned queries and keys, and the angle after the last position."""
        total = self._total(x, before)
        return _turn(q, total), _turn(k, total), total[:, -1]

    def values(self, x: Sequence, v: Values, before: Angle) -> tuple[Values, Angle]:
        """Values turned backwards, and the angle after the last position."""
        total = self._total(x, before)
        return _turn(v, -total), total[:, -1]

    def forwards(self, x: Sequence, o: Values, before: Angle) -> Values:
        """Answers turned forwards, so that a value has turned by the angles since it was written; or slopes,
        which then turn with the queries.
        """
        return _turn(o, self._total(x, before))

    def initial_state(self, batch_size: int, like: Tensor) -> Angle:
        """No angle; in double precision, as position by position it would lose digits otherwise."""
        return like.new_zeros(batch_size, self.num_heads, self.pairs, dtype=torch.float64)

    def state_size(self) -> int:
        """Angles of one sequence."""
        return self.num_heads * self.pairs

    def _total(self, x: Sequence, before: Angle) -> Float[Tensor, "B T H pairs"]:
        if self.project is not None:
            steps = self.project(x).unflatten(-1, (self.num_heads, self.pairs))
        else:
            assert self.angle is not None
            steps = self.angle.expand(*x.shape[:2], -1, -1)
        # Whole turns change nothing, and single precision would lose the fraction of a large angle.
        total = before[:, None] + steps.double().cumsum(1)
        return torch.remainder(total, 2 * math.pi)


def build_rotation(
    kind: RotationName, rotated: Rotated, dim: int, stream: int | None, heads: HeadSizes
) -> Rotation | None:
    """The rotation of a layer, of its keys or its values.

    Raises:
        ConfigError: values that turn with a stream.
    """
    one_of(kind, get_args(RotationName), "rotation")
    one_of(rotated, get_args(Rotated), "rotated")
    if kind == "none":
        return None
    if rotated == "values" and stream is not None:
        raise ConfigError("rotated='values' turns with the input: stream must be None.")
    size = heads.value_dim if rotated == "values" else heads.key_dim
    return Rotation(kind, stream or dim, heads.num_heads, size, rotated)


def _turn(x: Queries, angle: Float[Tensor, "B T H pairs"]) -> Queries:
    first, second = x.chunk(2, dim=-1)
    angle = angle.to(x.dtype)
    cosine, sine = angle.cos(), angle.sin()
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
