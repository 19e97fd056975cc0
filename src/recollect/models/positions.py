r"""What attention knows of positions: sinusoids, rotations and slopes.

Sinusoidal positions (arXiv:1706.03762): `sin(t w_k)`, `cos(t w_k)` with `w_k = 10000^(-2k/D)`.
Rotary positions (arXiv:2104.09864): the pair k of a query or key is turned by the angle `t w_k`.
ALiBi (arXiv:2108.12409): the score of a key `s` steps back loses `m_h s`, `m_h = 2^(-8h/H)`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

BASE = 10000.0


def angles(positions: Float[Tensor, " T"], num_pairs: int) -> Float[Tensor, "T pairs"]:
    """`t w_k` for each position and pair."""
    k = torch.arange(num_pairs, dtype=positions.dtype, device=positions.device)
    return positions[:, None] * BASE ** (-k / num_pairs)


def sinusoids(positions: Float[Tensor, " T"], dim: int) -> Float[Tensor, "T D"]:
    """Sines, then cosines; `dim` is even.

    Example:
        >>> sinusoids(torch.zeros(1), 4)
        tensor([[0., 0., 1., 1.]])
    """
    angle = angles(positions, dim // 2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def rotate(x: Float[Tensor, "*B T K"], positions: Float[Tensor, " T"]) -> Float[Tensor, "*B T K"]:
    """Turn each pair (k, k + K/2) by its angle: inner products then depend on differences of positions."""
    angle = angles(positions, x.shape[-1] // 2)
    cosine, sine = angle.cos(), angle.sin()
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


def alibi_slopes(num_heads: int) -> Float[Tensor, " H"]:
    """`2^(-8h/H)` for h = 1..H.

    Example:
        >>> alibi_slopes(4)
        tensor([0.2500, 0.0625, 0.0156, 0.0039])
    """
    return 2.0 ** (-8 * torch.arange(1, num_heads + 1) / num_heads)
