r"""Least squares over the poles of a sum of exponentials, its linear coefficients eliminated.

$$\min_\lambda \min_c \| y - \Phi(\lambda)\, c \| = \min_\lambda \| (I - \Phi \Phi^+)\, y \|$$

by Levenberg and Marquardt, with the derivative of the projection by Golub and Pereyra (1973). Poles are
held two by two, $\gamma \pm \sqrt\delta$ with real $\gamma$ and $\delta$, so that two real poles can meet
and part as a complex pair. Their two columns of $\Phi$ are

$$p_k = \frac{\lambda_1^k + \lambda_2^k}{2}, \qquad
  q_k = \frac{\lambda_1^k - \lambda_2^k}{\lambda_1 - \lambda_2},$$

which span the right space even where the two poles are one, and of which nothing cancels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float64
from numpy import ndarray

ArrayOfPoles = Complex128[ndarray, " _"]
"""Poles, one of each complex pair."""

Rows = Float64[ndarray, "_ T"]

_CONVERGED = 1e-8
_SMALLEST_DAMPING, _LARGEST_DAMPING = 1e-12, 1e10


@dataclass(frozen=True, eq=False)
class PolePairs:
    """Poles in pairs, real or conjugate, then real poles alone.

    Attributes:
        centres: of the pairs, then the poles that are alone.
        spreads: of the pairs, the square of half the distance: negative where they are conjugate.
    """

    centres: Float64[ndarray, " F"]
    spreads: Float64[ndarray, " pairs"]

    @classmethod
    def of(cls, poles: ArrayOfPoles, *, real: bool) -> "PolePairs":
        """Given poles; with `real` each of them alone, so that they stay real."""
        oscillates = np.imag(poles) != 0
        alone = np.sort(np.real(poles[~oscillates]))
        if real:
            return cls(alone, np.empty(0))
        conjugate = poles[oscillates]
        first, second, left = alone[0:-1:2], alone[1::2], alone[len(alone) // 2 * 2 :]
        centres = np.concatenate([np.real(conjugate), (first + second) / 2, left])
        return cls(centres, np.concatenate([-(np.imag(conjugate) ** 2), ((second - first) / 2) ** 2]))

    @property
    def num_states(self) -> int:
        """Number of real states."""
        return len(self.centres) + len(self.spreads)

    def poles(self) -> ArrayOfPoles:
        """All poles, one of each conjugate pair."""
        centres, alone = np.split(self.centres, [len(self.spreads)])
        half = np.sqrt(np.abs(self.spreads))
        real = self.spreads >= 0
        conjugate = centres[~real] + 1j * half[~real]
        return np.concatenate([conjugate, (centres + half)[real], (centres - half)[real], alone])

    def moved(self, step: Float64[ndarray, " parameters"], largest: float) -> "PolePairs":
        """Changed by a step, then scaled, pair by pair, until no pole exceeds a modulus."""
        count = len(self.spreads)
        centres, spreads = self.centres + step[: len(self.centres)], self.spreads + step[len(self.centres) :]
        modulus, half = np.abs(centres), np.sqrt(np.abs(spreads))
        modulus[:count] = np.where(spreads >= 0, modulus[:count] + half, np.hypot(modulus[:count], half))
        scale = np.minimum(1, largest / np.maximum(modulus, largest / 2))
        return PolePairs(centres * scale, spreads * scale[:count] ** 2)

    def columns(self, length: int) -> tuple[Rows, Rows, Rows]:
        r"""$p$, $q$ and $\partial q / \partial \delta$ at lags 0..length-1, by doubling.

        $p_{n+k} = p_n p_k + \delta q_n q_k$ and $q_{n+k} = p_n q_k + q_n p_k$;
        $\partial p_k / \partial \delta = k q_{k-1} / 2$.
        """
        centres = self.centres[:, None]
        spreads = np.concatenate([self.spreads, np.zeros(len(self.centres) - len(self.spreads))])[:, None]
        zero, one = np.zeros_like(centres), np.ones_like(centres)
        p, q = np.concatenate([one, centres], axis=1), np.concatenate([zero, one], axis=1)
        w = np.concatenate([zero, zero], axis=1)
        while p.shape[1] < length:
            n = p.shape[1] - 1
            k = np.arange(1, n + 1)
            p_k, q_k, w_k = p[:, 1:], q[:, 1:], w[:, 1:]
            p_n, q_n, w_n = p[:, n:], q[:, n:], w[:, n:]
            new_w = p_n * w_k + w_n * p_k + (n * q[:, n - 1, None] * q_k + k * q[:, :-1] * q_n) / 2
            new_p, new_q = p_n * p_k + spreads * q_n * q_k, p_n * q_k + q_n * p_k
            p, q, w = (np.concatenate(x, axis=1) for x in ((p, new_p), (q, new_q), (w, new_w)))
        return p[:, :length], q[: len(self.spreads), :length], w[: len(self.spreads), :length]


@dataclass(frozen=True, eq=False)
class Projection:
    """The best linear coefficients for given poles.

    Attributes:
        residual: what they leave of the weighted target.
        coefficients: of all p, then of all q.
        basis: orthonormal, of the space that the columns span.
        inverse: `basis @ inverse.T` is the transposed pseudo-inverse of the columns.
        columns: p, q and the derivative of q by the spread.
    """

    residual: Float64[ndarray, " T"]
    coefficients: Float64[ndarray, " N"]
    basis: Float64[ndarray, "T rank"]
    inverse: Float64[ndarray, "N rank"]
    columns: tuple[Rows, Rows, Rows]

    @property
    def cost(self) -> float:
        """The squared residual."""
        return float(self.residual @ self.residual)


def project(
    target: Float64[ndarray, " T"], root_weights: Float64[ndarray, " T"], pairs: PolePairs
) -> Projection:
    """Eliminates the linear coefficients; directions below rounding are left out."""
    columns = pairs.columns(len(target))
    weighted = np.concatenate(columns[:2]) * root_weights
    scale = np.linalg.norm(weighted, axis=1)
    scale[scale == 0] = 1
    q, r = np.linalg.qr((weighted / scale[:, None]).T)
    left, singular, right = np.linalg.svd(r)
    rank = int((singular > len(target) * np.finfo(float).eps * singular[0]).sum())
    basis = q @ left[:, :rank]
    inverse = right[:rank].T / singular[:rank] / scale[:, None]
    inside = basis.T @ target
    return Projection(target - basis @ inside, inverse @ inside, basis, inverse, columns)


def refine(
    target: Float64[ndarray, " T"],
    root_weights: Float64[ndarray, " T"],
    pairs: PolePairs,
    *,
    largest_modulus: float,
    max_steps: int,
) -> tuple[PolePairs, float]:
    """The poles at a local minimum near given ones, and the squared residual there.

    Args:
        target: times `root_weights` already.
        root_weights: the root of what an error at each lag costs.
        pairs: where to begin.
        largest_modulus: of a pole; a step beyond is cut back.
        max_steps: trial steps, each O(T m^2).
    """
    pairs = pairs.moved(np.zeros(pairs.num_states), largest_modulus)
    best = project(target, root_weights, pairs)
    damping, growth, small_gains = 1e-3, 2.0, 0
    system = _linearised(best, root_weights)
    floor = (len(target) * np.finfo(float).eps) ** 2 * float(target @ target)
    for _ in range(max_steps):
        if best.cost <= floor or small_gains == 3 or damping > _LARGEST_DAMPING:
            break
        step, predicted = _damped_step(*system, damping)
        moved = pairs.moved(step, largest_modulus)
        trial = project(target, root_weights, moved)
        gain = best.cost - trial.cost
        if not gain > 0:
            damping, growth = damping * growth, growth * 2
            continue
        small_gains = small_gains + 1 if gain < _CONVERGED * best.cost else 0
        shrink = max(1 / 5, 1 - (2 * gain / max(predicted, gain / 2) - 1) ** 3)
        damping = max(damping * shrink, _SMALLEST_DAMPING)
        growth, pairs, best = 2.0, moved, trial
        system = _linearised(best, root_weights)
    return pairs, best.cost


def _linearised(
    at: Projection, root_weights: Float64[ndarray, " T"]
) -> tuple[Float64[ndarray, "rows parameters"], Float64[ndarray, " rows"]]:
    """A small least-squares problem for the step: `matrix @ step` is to be `right`.

    The derivative of the residual has one part orthogonal to the columns (a triangular factor of it
    stands for it here) and one inside their span, on which the residual does not depend.
    """
    p, q, by_spread = at.columns
    lags = np.arange(p.shape[1])
    late_p, late_q = np.zeros_like(p), np.zeros_like(q)
    for late, on_time in ((late_p, p), (late_q, q)):
        late[:, 1:] = on_time[:, :-1] * (lags * root_weights)[1:]
    # Derivatives: of p and of q by the centre, of p and of q by the spread.
    slopes = (late_p, late_q, late_q / 2, by_spread * root_weights)
    of_p, of_q = np.split(at.coefficients[:, None], [len(p)])
    by_centre = of_p * slopes[0]
    by_centre[: len(q)] += of_q * slopes[1]
    change = np.concatenate([by_centre, of_p[: len(q)] * slopes[2] + of_q * slopes[3]]).T
    outside = change - at.basis @ (at.basis.T @ change)
    triangle = np.asarray(np.linalg.qr(np.column_stack([outside, at.residual]), mode="r"))
    inside = at.inverse.T @ _alignment(slopes, at.residual)
    matrix = np.concatenate([triangle[:, :-1], inside])
    return matrix, np.concatenate([triangle[:, -1], np.zeros(len(inside))])


def _alignment(
    slopes: tuple[Rows, Rows, Rows, Rows], residual: Float64[ndarray, " T"]
) -> Float64[ndarray, "N parameters"]:
    """Products of the residual with the derivative of each column by each parameter."""
    p_centre, q_centre, p_spread, q_spread = (x @ residual for x in slopes)
    p, q = np.arange(len(p_centre)), np.arange(len(q_centre))
    table = np.zeros((len(p) + len(q), len(p) + len(q)))
    table[p, p] = p_centre
    table[len(p) + q, q] = q_centre
    table[q, len(p) + q] = p_spread
    table[len(p) + q, len(p) + q] = q_spread
    return table


def _damped_step(
    matrix: Float64[ndarray, "rows parameters"], right: Float64[ndarray, " rows"], damping: float
) -> tuple[Float64[ndarray, " parameters"], float]:
    """Marquardt's step, and by how much it should lower the squared residual."""
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1
    scaled = matrix / scale
    count = len(scale)
    rows = np.concatenate([scaled, np.sqrt(damping) * np.eye(count)])
    q, r = np.linalg.qr(rows)
    solution = np.linalg.solve(r, q[: len(right)].T @ right)
    error = right - scaled @ solution
    return solution / scale, float(right @ right - error @ error)
