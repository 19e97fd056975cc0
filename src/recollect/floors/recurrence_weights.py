r"""Weights of the rows and columns of a Hankel matrix under which it bounds every linear recurrence.

If a recurrence of m states has the memory function $\hat\rho$, the Hankel matrix $\hat H_{ij} =
\hat\rho_{i+j}$ has rank m or less, and so has $\mathrm{diag}(a)\,\hat H\,\mathrm{diag}(b)$. By Eckart-Young

$$\sum_{j>m} \sigma_j^2\big(\mathrm{diag}(a)\,H\,\mathrm{diag}(b)\big)
  \le \sum_{ij} a_i^2 b_j^2 (\rho - \hat\rho)_{i+j}^2 = \sum_k (a^2 * b^2)_k (\rho - \hat\rho)_k^2,$$

which is at most $\sum_k w_k (\rho - \hat\rho)_k^2$ if $(a^2 * b^2)_k \le w_k$ at every lag: the weights are
then *admissible* for w. Weights admissible for $w = 1$ are not for the window $1 - s/T$. Rows and columns
may be swapped (H is Hankel), so rows <= columns throughout.

Any two vectors can be scaled until they are admissible, so the best pair may be searched for: `ascend`
raises the bound by L-BFGS, with a p-norm of $(a^2 * b^2)_k / w_k$ in the place of its maximum. The
derivative of the bound by $\log a_i^2$ is the energy of row i in what rank m leaves over.

Derived for this project and checked against a search over models; not found in the literature.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from scipy.optimize import minimize
from torch import Tensor

Logs = Float64[np.ndarray, " n"]

DENSE_ROWS = 2048
"""A square Hankel matrix is decomposed densely up to here."""

_WIDE_ROWS = 256
"""Rows of the matrices that are not square: their singular values cost rows^2 columns."""

_NORMS = (20.0, 200.0)
"""Exponents p of the norm that stands for the maximum: round first, then sharp."""

_STEPS = 40
"""L-BFGS steps for each of them."""

_SPARE_VECTORS = 8


@dataclass(frozen=True, eq=False)
class HankelWeights:
    """Squared weights $a^2$ of the rows and $b^2$ of the columns, admissible, and how they were found."""

    rows: Float64[Tensor, " rows"]
    columns: Float64[Tensor, " columns"]
    name: str

    @property
    def how(self) -> str:
        """For a reader: the theorem, the shape and the weights."""
        return (
            f"Eckart-Young on the {len(self.rows)} x {len(self.columns)} Hankel matrix, {self.name} weights"
        )


def admissible(
    rows: Float64[Tensor, " rows"], columns: Float64[Tensor, " columns"], lag_weights: Float64[Tensor, " T"]
) -> tuple[Float64[Tensor, " rows"], Float64[Tensor, " columns"]]:
    r"""The same weights, scaled until $(a^2 * b^2)_k \le w_k$ at every lag in float64 as in exact arithmetic.

    A convolution of n products of non-negative numbers, summed directly, is exact to a relative n + 1
    roundings; the scale leaves room for twice as many.

    Raises:
        ValueError: rows + columns - 1 lags do not fit into the horizon.
    """
    num_lags = len(rows) + len(columns) - 1
    if num_lags > len(lag_weights):
        raise ValueError(
            f"expected rows + columns - 1 <= {len(lag_weights)}, the horizon, got {num_lags}: take a smaller "
            "Hankel matrix."
        )
    used = torch.from_numpy(np.convolve(rows.numpy(), columns.numpy()))
    excess = float((used / lag_weights[:num_lags]).max())
    room = 1.0 + 2 * (min(len(rows), len(columns)) + 4) * torch.finfo(torch.float64).eps
    return rows, columns / (excess * room)


def first_weights(rho: Float64[Tensor, " T"], lag_weights: Float64[Tensor, " T"]) -> list[HankelWeights]:
    r"""Uniform and binomial weights over a grid of shapes.

    Uniform weights suit a kernel spread evenly over its lags, and are the best for a delay. Binomial ones,
    $a_i^2 = b_i^2 = \binom{2i}{i} 4^{-i}$ times $\sqrt{w_{2i}}$, use every lag in full: the coefficients are
    those of $(1 - x)^{-1/2}$, whose square is $1 + x + x^2 + \dots$

    Args:
        rho: the taps, whose largest lag adds its own shape to the grid.
        lag_weights: w, not increasing and above 0.
    """
    length = len(rho)
    found = []
    for num_rows, num_columns in _shapes(length, int(rho.abs().argmax()) + 1):
        sides = torch.ones(num_rows).double(), torch.ones(num_columns).double()
        found.append(HankelWeights(*admissible(*sides, lag_weights), "uniform"))
        if num_rows + num_columns >= length:
            sides = _binomial(num_rows, lag_weights), _binomial(num_columns, lag_weights)
            found.append(HankelWeights(*admissible(*sides, lag_weights), "binomial"))
    return found


def ascend(
    rho: Float64[Tensor, " T"],
    lag_weights: Float64[Tensor, " T"],
    start: HankelWeights,
    num_states: int,
) -> HankelWeights:
    """Weights near `start` that prove more for `num_states`. Cost: some 100 products with m + 8 vectors."""
    logs = torch.cat([start.rows, start.columns]).log().clamp_min(-50.0).numpy()
    shortfall = _Shortfall(rho / rho.norm(), lag_weights, (len(start.rows), len(start.columns)), num_states)
    options: Any = {"maxiter": _STEPS, "maxfun": 2 * _STEPS}
    for norm in _NORMS:
        logs = minimize(shortfall.at, logs, (norm,), "L-BFGS-B", jac=True, options=options).x
    rows, columns = shortfall.sides(logs)
    return HankelWeights(*admissible(rows, columns, lag_weights), "searched")


def _shapes(length: int, peak: int) -> list[tuple[int, int]]:
    """Rows and columns of the Hankel matrices to try; the first is the square one that holds every lag."""
    half = (length + 1) // 2
    grid = sorted({round(2 ** (k / 2)) for k in range(2 * length.bit_length())} | {peak})
    shapes = [(half, half)]
    for rows in grid:
        widest = length + 1 - rows
        if rows <= min(half, _WIDE_ROWS):
            shapes += [(rows, columns) for columns in [*grid, widest] if rows <= columns <= widest]
        elif rows <= min(half, DENSE_ROWS):
            shapes.append((rows, rows))
    if peak > half:
        shapes.append((length + 1 - peak, peak))
    return list(dict.fromkeys(shapes))


def _binomial(count: int, lag_weights: Float64[Tensor, " T"]) -> Float64[Tensor, " count"]:
    """binom(2i, i) / 4^i times sqrt(w_2i): w is linear, so w_2i and w_2j average to w_{i+j}."""
    steps = torch.arange(1, count, dtype=torch.float64)
    coefficients = torch.cat([torch.ones(1).double(), ((steps - 0.5) / steps).cumprod(0)])
    slope = (lag_weights[0] - lag_weights[-1]) / max(len(lag_weights) - 1, 1)
    at_twice = lag_weights[0] - 2 * slope * torch.arange(count)
    return coefficients * at_twice.clamp_min(0.0).sqrt()


def weighted_hankel(
    rho: Float64[Tensor, " T"], rows: Float64[Tensor, " rows"], columns: Float64[Tensor, " columns"]
) -> Float64[Tensor, "rows columns"]:
    r"""$\mathrm{diag}(a)\,H\,\mathrm{diag}(b)$ from the squares of a and b, dense."""
    hankel = rho[: len(rows) + len(columns) - 1].unfold(0, len(columns), 1)
    return rows.sqrt()[:, None] * hankel * columns.sqrt()


class _Shortfall:
    """Minus the logarithm of the bound as a function of the logarithms of both sides' squared weights.

    The leading singular vectors are followed from one call to the next by subspace iteration, and what they
    leave of each row's and each column's energy is found by subtraction: good to some 1e-16 of the whole.
    """

    def __init__(
        self,
        rho: Float64[Tensor, " T"],
        lag_weights: Float64[Tensor, " T"],
        shape: tuple[int, int],
        num_states: int,
    ) -> None:
        self._shape, self._num_states = shape, num_states
        self._lag_weights = lag_weights[: sum(shape) - 1]
        self._hankel = rho[: sum(shape) - 1].unfold(0, shape[1], 1).contiguous()
        self._squares = self._hankel.square()
        generator = torch.Generator().manual_seed(0)
        width = min(num_states + _SPARE_VECTORS, *shape)
        self._basis = torch.randn(shape[1], width, generator=generator, dtype=torch.float64)

    def sides(self, logs: Logs) -> tuple[Float64[Tensor, " rows"], Float64[Tensor, " columns"]]:
        """Squared weights of rows and columns, each up to a scale; none below 1e-30 of the largest."""
        rows, columns = torch.from_numpy(logs).split(self._shape)
        return (rows - rows.max()).clamp_min(-69.0).exp(), (columns - columns.max()).clamp_min(-69.0).exp()

    def at(self, logs: Logs, norm: float) -> tuple[float, Logs]:
        """Value and gradient, the maximum over lags read as a p-norm."""
        rows, columns = self.sides(logs)
        left, right = self._leading(rows.sqrt(), columns.sqrt())
        by_row = rows * (self._squares @ columns) - left.square().sum(1)
        by_column = columns * (self._squares.mT @ rows) - right.square().sum(1)
        total = by_row.sum().clamp_min(torch.finfo(torch.float64).tiny)
        used = torch.from_numpy(np.convolve(rows.numpy(), columns.numpy()))
        loads = norm * (used / self._lag_weights).log()
        pull = loads.softmax(0) / used
        up_rows = by_row / total - rows * _correlated(pull, columns)
        up_columns = by_column / total - columns * _correlated(pull, rows)
        value = float(loads.logsumexp(0)) / norm - math.log(total)
        return value, -torch.cat([up_rows, up_columns]).numpy()

    def _leading(
        self, a: Float64[Tensor, " rows"], b: Float64[Tensor, " columns"]
    ) -> tuple[Float64[Tensor, "rows m"], Float64[Tensor, "columns m"]]:
        """Singular vectors times their singular values, the `num_states` largest."""
        matrix = a[:, None] * self._hankel * b
        left = torch.linalg.qr(matrix @ self._basis).Q
        left = torch.linalg.qr(matrix @ (matrix.mT @ left)).Q
        self._basis, remainder = torch.linalg.qr(matrix.mT @ left)
        turn, values, mix = torch.linalg.svd(remainder.mT)
        kept = slice(self._num_states)
        return (left @ turn)[:, kept] * values[kept], (self._basis @ mix.mT)[:, kept] * values[kept]


def _correlated(values: Float64[Tensor, " lags"], weights: Float64[Tensor, " n"]) -> Float64[Tensor, " rest"]:
    """sum_j values[i + j] weights[j]."""
    return torch.from_numpy(np.correlate(values.numpy(), weights.numpy(), "valid"))
