r"""Where to begin the search for the poles of a linear recurrence.

The error has many local minima over the poles, most of all for a pure delay, and no one start is good for
every memory function. The poles of the leading directions of its Hankel matrix (ESPRIT: Roy and Kailath
1989) are best where few of them suffice, evenly spaced frequencies for a delay, and rates in geometric
progression for a power law.
"""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from recollect.floors.variable_projection import ArrayOfPoles

_DENSE_LENGTH = 1024
_OVERSAMPLING = 12

Taps = Float64[ndarray, " T"]


def starting_poles(
    target: Taps, num_states: int, directions: list[Float64[ndarray, "rows _"]]
) -> list[ArrayOfPoles]:
    """Sets of poles of `num_states` real states, in every case one of each complex pair.

    Args:
        target: taps.
        num_states: to be spread.
        directions: leading directions of the target's Hankel matrix, from `hankel_directions`.
    """
    horizon = _horizon(target)
    circles = [(4, 0.75), (8, 1.0), (16, 0.5)]
    return [
        *(shift_poles(basis, num_states) for basis in directions),
        _comb(horizon, num_states),
        _geometric(0.5 / len(target), 2.0, num_states),
        *(_spectral(target, num_states, decay=rate / horizon, offset=offset) for rate, offset in circles),
    ]


def real_starting_poles(target: Taps, num_states: int) -> list[ArrayOfPoles]:
    """The same of real poles alone: decay rates in geometric progression, of one or of both signs."""
    horizon = _horizon(target)
    wide = _geometric(0.5 / len(target), 2.0, num_states)
    alternating = wide * (-1) ** np.arange(num_states)
    small = near_register_poles(num_states, 1e-4, real=True)
    return [wide, _geometric(0.3 / horizon, 30 / horizon, num_states), alternating, -wide, small]


def near_register_poles(num_states: int, nearness: float, *, real: bool) -> ArrayOfPoles:
    r"""Distinct poles whose recurrence holds as many first taps as it has states, and little after them.

    A shift register has all its poles at 0, where no residues are left; near it they grow as the poles
    shrink. Conjugate poles are roots of $\lambda^m = \pm \text{nearness}$: taps m lags apart have this
    ratio. Real ones are the zeros of a Chebyshev polynomial, the furthest apart in their interval: none of
    them is 0, which beside a feed-through would be no state.
    """
    decay = -np.log(nearness) / num_states
    if not real:
        turns = np.arange(num_states // 2) + (1.0 if num_states % 2 else 0.5)
        return _on_circle(2 * np.pi / num_states * turns, decay, num_states)
    places = (np.arange(num_states) + 0.5) / (num_states + num_states % 2)
    return (min(2 * np.exp(-decay), 0.9) * np.cos(np.pi * places)).astype(complex)


def hankel_directions(target: Taps, count: int, *, balanced: bool) -> Float64[ndarray, "rows directions"]:
    r"""Leading left singular vectors of the Hankel matrix, or of one whose lags weigh alike.

    In the plain matrix a tap in the middle stands in many places and the first in one. Rows and columns
    scaled by $\sqrt{\binom{2i}{i} / 4^i}$, whose square has the self-convolution 1, weigh all taps the same.
    """
    hankel = np.lib.stride_tricks.sliding_window_view(target, len(target) // 2 + 1)
    rows, columns = hankel.shape
    scale = _central_binomial(columns) if balanced else np.ones(columns)
    matrix = scale[:rows, None] * hankel * scale
    if len(target) <= _DENSE_LENGTH:
        left = np.linalg.svd(matrix, full_matrices=False)[0]
    else:
        left = _leading_directions(matrix, min(count + _OVERSAMPLING, rows))
    return left[:, :count] / scale[:rows, None]


def shift_poles(basis: Float64[ndarray, "rows directions"], num_states: int) -> ArrayOfPoles:
    """Poles of the shift that maps the directions one step on (ESPRIT), one of each complex pair."""
    leading = basis[:, :num_states]
    shift = np.linalg.lstsq(leading[:-1], leading[1:], rcond=None)[0]
    poles = np.linalg.eigvals(shift).astype(complex)
    return poles[np.imag(poles) >= 0]


def _horizon(target: Taps) -> float:
    """Number of lags with 95 % of the energy."""
    energy = np.cumsum(target**2)
    return 1.0 + float(np.searchsorted(energy, 0.95 * energy[-1]))


def _leading_directions(
    matrix: Float64[ndarray, "rows columns"], count: int
) -> Float64[ndarray, "rows count"]:
    """Left singular vectors by subspace iteration from a fixed random start (arXiv:0909.4061)."""
    start = np.random.default_rng(0).standard_normal((matrix.shape[1], count))
    basis = np.linalg.qr(matrix @ start)[0]
    for _ in range(2):
        basis = np.linalg.qr(matrix @ np.linalg.qr(matrix.T @ basis)[0])[0]
    return basis @ np.linalg.svd(basis.T @ matrix, full_matrices=False)[0]


def _central_binomial(count: int) -> Taps:
    k = np.arange(1, count)
    return np.sqrt(np.cumprod(np.concatenate([np.ones(1), (2 * k - 1) / (2 * k)])))


def _comb(horizon: float, num_states: int) -> ArrayOfPoles:
    """Frequencies spaced so that the cosines are in phase at the horizon, as for a delay."""
    frequencies = (np.arange(num_states // 2) + 0.5) * 2 * np.pi / horizon
    return _on_circle(np.minimum(frequencies, 3.1), 2 / horizon, num_states)


def _spectral(target: Taps, num_states: int, *, decay: float, offset: float) -> ArrayOfPoles:
    """Frequencies that share the energy of the target's spectrum equally."""
    energy = np.cumsum(np.abs(np.fft.rfft(target, 4 * len(target))) ** 2)
    shares = (np.arange(num_states // 2) + offset) / max(num_states // 2, 1)
    frequencies = np.interp(shares, energy / energy[-1], np.linspace(0, np.pi, len(energy)))
    return _on_circle(frequencies, decay, num_states)


def _on_circle(frequencies: Float64[ndarray, " F"], decay: float, num_states: int) -> ArrayOfPoles:
    """One pair for each frequency, and a real pole beside them where the number of states is odd."""
    radius = np.exp(-decay)
    return np.concatenate([radius * np.exp(1j * frequencies), np.full(num_states % 2, radius)])


def _geometric(slowest: float, fastest: float, num_states: int) -> ArrayOfPoles:
    return np.exp(-np.geomspace(slowest, fastest, num_states + 2)[1:-1]).astype(complex)
