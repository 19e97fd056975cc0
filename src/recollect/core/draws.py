r"""Counter-based random draws: value number `position` of example `index` depends on nothing else.

Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") maps a 64-bit key
and a 128-bit counter to 128 random bits. The key is the stream's seed, the counter is
(position, index), so a batch of any size, cut anywhere, on any device, holds the same examples.

Gaussians come by the Box-Muller transform. Its logarithm, sine and cosine are evaluated with
correctly rounded operations only (+, -, *, /, sqrt, on whole tensors), because a library's own
`log` and `cos` may round differently in vector and scalar code and between devices.
"""

import math

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from recollect.core.shapes import Indices

Words = Int64[Tensor, "B n"]
"""Random 32-bit words, held in int64."""

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox(counter: list[Tensor], key: tuple[int, int]) -> list[Tensor]:
    """Ten rounds of Philox4x32 on four int64 tensors that hold 32-bit words; returns four of the same."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # int64 products wrap modulo 2^64, so both halves of the 32x32-bit product are exact.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        high0, high1 = (p0 >> 32) & _MASK, (p1 >> 32) & _MASK
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, p1 & _MASK, high0 ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _KEY_INCREMENTS[0]) & _MASK, (k1 + _KEY_INCREMENTS[1]) & _MASK
    return [c0, c1, c2, c3]


def random_words(seed: int, indices: Indices, count: int) -> Words:
    """`count` independent 32-bit words for each example. Cost: about 40 integer operations a word."""
    blocks = torch.arange(-(-count // 4), device=indices.device)
    position = blocks.expand(len(indices), -1)
    index = indices[:, None].expand(-1, len(blocks))
    counter = [position & _MASK, position >> 32, index & _MASK, (index >> 32) & _MASK]
    words = torch.stack(philox(counter, (seed & _MASK, (seed >> 32) & _MASK)), dim=-1)
    return words.flatten(1)[:, :count]


def integers(seed: int, indices: Indices, count: int, high: int) -> Words:
    """Integers uniform on 0..high-1 (multiply-shift; bias below `high / 2^32`)."""
    return (random_words(seed, indices, count) * high) >> 32


def uniform(seed: int, indices: Indices, count: int) -> Float64[Tensor, "B n"]:
    """Numbers uniform on the open interval (0, 1), in steps of 2^-32."""
    return (random_words(seed, indices, count).double() + 0.5) * 2.0**-32


def signs(seed: int, indices: Indices, count: int) -> Float64[Tensor, "B n"]:
    """-1 or +1 with equal probability."""
    return (random_words(seed, indices, count) >> 31).double() * 2 - 1


def normal(seed: int, indices: Indices, count: int) -> Float64[Tensor, "B n"]:
    """Standard normal numbers, bitwise the same on every device and for every batch size.

    Example:
        >>> whole = normal(7, torch.arange(5), 3)
        >>> torch.equal(whole[2:4], normal(7, torch.arange(2, 4), 3))
        True
    """
    pairs = -(-count // 2)
    u, v = uniform(seed, indices, 2 * pairs).unflatten(1, (pairs, 2)).unbind(-1)
    radius = (-2 * _log(u)).sqrt()
    cosine, sine = _cosine_and_sine_of_turns(v)
    return torch.stack([radius * cosine, radius * sine], dim=-1).flatten(1)[:, :count]


def _log(x: Float64[Tensor, "B n"]) -> Float64[Tensor, "B n"]:
    """ln x by `x = m 2^e`, sqrt(1/2) <= m < sqrt(2), and the series of 2 artanh((m-1)/(m+1))."""
    mantissa, exponent = torch.frexp(x)
    small = mantissa < math.sqrt(0.5)
    mantissa = torch.where(small, mantissa * 2, mantissa)
    exponent = exponent.double() - small.double()
    z = (mantissa - 1) / (mantissa + 1)
    return exponent * math.log(2) + 2 * z * _polynomial(z * z, _ARTANH)


def _cosine_and_sine_of_turns(
    v: Float64[Tensor, "B n"],
) -> tuple[Float64[Tensor, "B n"], Float64[Tensor, "B n"]]:
    """cos and sin of 2 pi v for v in (0, 1): reduced to an eighth of a turn about a quarter turn."""
    quarter = (v * 4).round()
    x = (v - quarter / 4) * (2 * math.pi)
    square = x * x
    cosine, sine = _polynomial(square, _COSINE), x * _polynomial(square, _SINE)
    odd = (quarter == 1) | (quarter == 3)
    first, second = torch.where(odd, sine, cosine), torch.where(odd, cosine, sine)
    return (
        torch.where((quarter == 1) | (quarter == 2), -first, first),
        torch.where((quarter == 2) | (quarter == 3), -second, second),
    )


_ARTANH = tuple(1 / (2 * k + 1) for k in range(11))
_COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in range(9))
_SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(9))


def _polynomial(x: Float64[Tensor, "B n"], coefficients: tuple[float, ...]) -> Float64[Tensor, "B n"]:
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total.mul_(x).add_(coefficient)
    return total
