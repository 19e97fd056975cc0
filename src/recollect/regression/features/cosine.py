"""Positive parts reweighted by the cosine of the distance: cosFormer (Qin et al. 2022, arXiv:2202.08791)."""

import math
from typing import final

import torch
from torch import nn

from recollect.core.errors import NotDefinedError
from recollect.regression.features.feature_map import Features, Inputs, Positions, Role, positive_integer


@final
class Cosine(nn.Module):
    r"""$$\phi_t(x) = [\max(x, 0) \cos(\pi t / 2M), \max(x, 0) \sin(\pi t / 2M)], \qquad
    \phi_t(q)^\top \phi_s(k) = \mathrm{relu}(q)^\top \mathrm{relu}(k) \cos(\pi (t-s) / 2M).$$

    Near positions count more. The map is defined at positions 0..M-1, where all features are at least 0:
    from M on the weight of a distant pair would be negative. A longer sequence is refused; a single position
    beyond, as in streaming, gives NaN rather than a wrong number, since its value is not looked at (a device
    would have to wait for it).

    Size 2 K, work O(K).

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.
        max_length: M, the number of positions.

    Raises:
        ConfigError: a size below 1.
        NotDefinedError: (when called) more than M positions.

    Example:
        >>> features = Cosine(1, 1, max_length=2)
        >>> features(torch.ones(1, 2, 1, 1), torch.arange(2), "key").flatten(1)
        tensor([[1.0000, 0.0000, 0.7071, 0.7071]])
    """

    kernel = "relu(q).relu(k) cos(pi (t - s) / (2 max_length))"
    nonnegative = True
    nonnegative_similarity = True
    learned = False

    def __init__(self, key_dim: int, num_heads: int, *, max_length: int = 2048) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        self.size = 2 * positive_integer("key_dim", key_dim)
        self.max_length = positive_integer("max_length", max_length)

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        if len(positions) > self.max_length:
            raise NotDefinedError(
                f"cosine features are defined at positions 0..{self.max_length - 1}, got {len(positions)} "
                f"positions; build them with max_length={len(positions)} or more."
            )
        # Low precision cannot hold positions: bfloat16 has no integer between 256 and 258.
        angles = positions.to(torch.promote_types(x.dtype, torch.float32)) * (math.pi / (2 * self.max_length))
        angles = torch.where(positions < self.max_length, angles, math.nan)[:, None, None]
        positive = x.relu()
        return torch.cat([positive * angles.cos().to(x.dtype), positive * angles.sin().to(x.dtype)], dim=-1)
