r"""How many states, and what width of a dilated convolution, a memory function certainly needs.

A measured memory function has full rank: its noise does. By Weyl's inequality the singular values of
a sum move by no more than the spectral norm of what is added, so

$$\sigma_j(M(k)) > \|M(e)\|_2 \;\Rightarrow\; \sigma_j(M(\rho)) > 0$$

for every linear arrangement M of the lags in a matrix. The number of singular values of the estimate
above the 95 % quantile of the norm of the errors is therefore a lower confidence bound of the rank of
the truth: it misses small modes, and counts none that are not there.
"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.memory.numerical_rank import numerical_rank
from recollect.probing.profile.energies import Energies, bound_of_next

TOLERANCE = 1e-6
"""Relative: singular values below this share of the largest count as 0 where there are no errors."""

_ENTRIES = 2**18
"""Of the largest matrix; 512 lags of 4 inputs just fit."""

_DRAWS = 32
"""Of the errors that are arranged in a matrix: norms of random matrices hardly vary."""


def hankel_rank(energies: Energies) -> int:
    r"""States of a linear recurrence, at least: rank of the block Hankel matrix $H_{ij} = k_{i+j}$.

    The matrix covers the lags up to twice the last one above the noise (a memory that ends there has all
    its states in them). With many channels, fixed random combinations of them are taken, and with very
    many lags fewer rows: both only lower a rank.
    """
    if energies.last < 0:
        return 0
    lags = min(len(energies.mean), 2 * energies.last + 1)
    rows = min(lags // 2 + 1, max(_ENTRIES // lags, 1))
    channels = max(_ENTRIES // (rows * (lags - rows + 1)), 1)
    kept, *errors = _fewer_channels([energies.values, *energies.errors[:_DRAWS]], channels)
    return _rank(_hankel(kept[:lags], rows), [_hankel(error[:lags], rows) for error in errors])


def tensor_train_rank(energies: Energies) -> int:
    r"""Width of a dilated convolution with two taps a level, at least: the largest rank of an unfolding.

    Unfolding k has the first k binary digits of the lag, with the output, as its row, and the others,
    with the input, as its column; lags are continued by zeros to the next power of two.
    """
    if energies.last < 0:
        return 0
    digits = math.ceil(math.log2(len(energies.mean)))
    padding = (0, 0, 0, 0, 0, 2**digits - len(energies.mean))
    channels = max(_ENTRIES // 2**digits, 1)
    kept, *errors = [
        torch.nn.functional.pad(part, padding)
        for part in _fewer_channels([energies.values, *energies.errors[:_DRAWS]], channels)
    ]
    unfolded = [
        _rank(_unfolding(kept, k), [_unfolding(error, k) for error in errors]) for k in range(1, digits)
    ]
    return max(unfolded, default=1)


def _rank(matrix: Float64[Tensor, "rows columns"], errors: list[Float64[Tensor, "rows columns"]]) -> int:
    values = torch.linalg.svdvals(matrix)
    norms = torch.stack([_spectral_norm(error) for error in errors])
    above = int((values > bound_of_next(norms)).sum())
    return min(above, numerical_rank(values, TOLERANCE))


def _spectral_norm(matrix: Float64[Tensor, "rows columns"]) -> Float64[Tensor, ""]:
    short = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    return torch.linalg.eigvalsh(short @ short.T)[-1].clamp(min=0).sqrt()


def _hankel(values: Float64[Tensor, "lags outputs inputs"], rows: int) -> Float64[Tensor, "_ _"]:
    """Blocks `[outputs, inputs]` of lag i + j at row i, column j."""
    blocks = values.unfold(0, len(values) - rows + 1, 1)
    return torch.einsum("roic->roci", blocks).flatten(2).flatten(0, 1)


def _unfolding(values: Float64[Tensor, "lags outputs inputs"], digits: int) -> Float64[Tensor, "_ _"]:
    split = values.unflatten(0, (2**digits, -1))
    return torch.einsum("hloi->holi", split).flatten(2).flatten(0, 1)


def _fewer_channels(
    drawn: list[Float64[Tensor, "lags outputs inputs"]], most: int
) -> list[Float64[Tensor, "lags _ _"]]:
    """At most `most` pairs of an output and an input: random orthonormal combinations, the same for all."""
    outputs, inputs = drawn[0].shape[1:]
    if outputs * inputs <= most:
        return drawn
    few_outputs = min(outputs, max(math.isqrt(most), most // inputs))
    left = _directions(outputs, few_outputs)
    right = _directions(inputs, min(inputs, most // few_outputs))
    return [torch.einsum("soi,op,iq->spq", part, left, right) for part in drawn]


def _directions(size: int, count: int) -> Float64[Tensor, "size count"]:
    if count == size:
        return torch.eye(size, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(size, count, generator=generator, dtype=torch.float64)).Q
