r"""Singular values of a long weighted Hankel matrix, from products with it alone.

$M = \mathrm{diag}(a)\,H\,\mathrm{diag}(b)$ with $H_{ij} = \rho_{i+j}$ multiplies a block of p vectors in
O(p T log T) by FFT, since $\sum_j \rho_{i+j} v_j$ is a correlation. Block subspace iteration from random
vectors of a fixed seed finds an orthonormal basis Q near the leading right singular vectors, and

$$\sigma_j(M Q) \le \sigma_j(M) \qquad \text{for every orthonormal } Q,$$

so the singular values of MQ, found with an error that is bounded, are bounds from below whether the
iteration has converged or not (Halko, Martinsson and Tropp 2009, arXiv:0909.4061, for the iteration).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from scipy.fft import next_fast_len
from torch import Tensor

_ITERATIONS = 4
_FFT_ROUNDINGS = 8.0


@dataclass(frozen=True, eq=False)
class WeightedHankel:
    r"""$\mathrm{diag}(a)\,H\,\mathrm{diag}(b)$, held as its taps and weights.

    Attributes:
        rho: the taps, at least rows + columns - 1 of them.
        row_weights: a.
        column_weights: b.

    Example:
        >>> ones = torch.ones(2, dtype=torch.float64)
        >>> matrix = WeightedHankel(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), ones, ones)
        >>> matrix.times(torch.eye(2, dtype=torch.float64))
        tensor([[1., 2.],
                [2., 3.]], dtype=torch.float64)
    """

    rho: Float64[Tensor, " T"]
    row_weights: Float64[Tensor, " rows"]
    column_weights: Float64[Tensor, " columns"]

    def times(self, block: Float64[Tensor, "columns p"]) -> Float64[Tensor, "rows p"]:
        """M times a block of vectors."""
        weighted = self.column_weights[:, None] * block
        return self.row_weights[:, None] * _correlate(self._taps, weighted, len(self.row_weights))

    def transposed_times(self, block: Float64[Tensor, "rows p"]) -> Float64[Tensor, "columns p"]:
        """M transposed times a block of vectors."""
        weighted = self.row_weights[:, None] * block
        return self.column_weights[:, None] * _correlate(self._taps, weighted, len(self.column_weights))

    def product_error(self, block: Float64[Tensor, "columns p"]) -> float:
        r"""Bound on the Frobenius norm of the rounding error of `times`.

        An FFT of n points errs by a few $\epsilon \log_2 n$ in the 2-norm, so the correlation of $\rho$ with
        v errs by at most $8 \epsilon \log_2 n\,(|\rho|_1 |v|_2 + |\rho|_2 |v|_1)$.
        """
        weighted = self.column_weights[:, None] * block
        by_column = self._taps.norm(p=1) * weighted.norm(dim=0)
        by_column = by_column + self._taps.norm() * weighted.norm(p=1, dim=0)
        unit = _FFT_ROUNDINGS * torch.finfo(torch.float64).eps * math.log2(2 * len(self._taps))
        return unit * float(self.row_weights.abs().max() * by_column.norm())

    @property
    def _taps(self) -> Float64[Tensor, " lags"]:
        return self.rho[: len(self.row_weights) + len(self.column_weights) - 1]


def leading_singular_values(
    matrix: WeightedHankel, count: int, *, seed: int = 0
) -> tuple[Float64[Tensor, " p"], float]:
    r"""At most `count` values that are no larger than the leading singular values, each at its place.

    The second result bounds by how much rounding may have raised them, as the Frobenius norm of an error of
    the matrix: subtract it from the norm of any part of them. They sum to less than the whole: what lies
    beyond `count` is left out, which loses nothing where the singular values fall fast.

    Cost O(count T log T + count^2 T), against O(T^3) for the dense matrix.

    Args:
        matrix: M.
        count: at least 1; more than the places that are needed, since the last ones converge slowly.
        seed: of the random start.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"expected at least 1 singular value, got count = {count}.")
    num_columns = len(matrix.column_weights)
    size = min(count, len(matrix.row_weights), num_columns)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(num_columns, size, generator=generator, dtype=torch.float64)
    for _ in range(_ITERATIONS):
        left = torch.linalg.qr(matrix.times(torch.linalg.qr(basis).Q)).Q
        basis = matrix.transposed_times(left)
    basis = torch.linalg.qr(basis).Q
    image = matrix.times(basis)
    rounding = (len(image) + num_columns) * torch.finfo(torch.float64).eps * float(image.norm())
    return torch.linalg.svdvals(image), matrix.product_error(basis) + rounding


def _correlate(
    taps: Float64[Tensor, " lags"], block: Float64[Tensor, "n p"], num_rows: int
) -> Float64[Tensor, "rows p"]:
    """sum_j taps[i + j] block[j] for i below `num_rows`; no lag wraps round, since rows + n - 1 = lags."""
    points = next_fast_len(len(taps), real=True)
    spectrum = torch.fft.rfft(taps, n=points)[:, None] * torch.fft.rfft(block, n=points, dim=0).conj()
    return torch.fft.irfft(spectrum, n=points, dim=0)[:num_rows]
