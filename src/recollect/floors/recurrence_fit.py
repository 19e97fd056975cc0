r"""Linear recurrences that come as near to a memory function as a search over their poles finds.

$$k_s = \mathrm{Re} \sum_j c_j \lambda_j^s + D\, \delta_{s0}$$

For each number of real states: poles from several starts, refined by variable projection (Golub and
Pereyra 1973), which leaves the residues to weighted least squares. Out of the best local minimum an
exchange leads: each pole in turn makes way for one of what the others leave. A shift register, whose poles
are all 0, holds as many first taps exactly as it has states, and is taken where that is better. What is
found is attained; that nothing is better is not proven.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, final

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from recollect.core import ConfigError
from recollect.core.shapes import Taps
from recollect.floors.problem import Problem
from recollect.floors.starting_poles import (
    hankel_directions,
    near_register_poles,
    real_starting_poles,
    shift_poles,
    starting_poles,
)
from recollect.floors.variable_projection import ArrayOfPoles, PolePairs, project, refine
from recollect.memory import ExponentialSum
from recollect.memory.exponential_sum import powers

PoleKind = Literal["complex", "real"]

# A growing mode must stay finite over the horizon, its square too.
_LARGEST_GROWTH = 1e100
_SAME_MINIMUM = 1e-4
# Errors below it are rounding.
_EXACT = 1e-24
_NUM_FINALISTS = 2
# What a parameter of a model may be off by, relative to its value.
_ROUNDING = 4 * np.finfo(float).eps
# Directions of the residues below a fraction of the largest are left out, one after the other.
_CUTS = (1e-13, 1e-11, 1e-9, 1e-7, 1e-5)
_NEARNESS_TO_REGISTER = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
# Below this error the taps are of low rank, and the search from their Hankel matrix has no need of more.
_LOW_RANK = 1e-3

Minimum = tuple[PolePairs, float]
"""Poles, and the squared residual with the best residues."""


class _Effort(NamedTuple):
    """How far a search goes."""

    scouting_steps: int
    max_steps: int
    max_exchanges: int

    @classmethod
    def at(cls, length: int, size: int) -> "_Effort":
        """One step costs O(T m^2): the more of it, the fewer."""
        work = length * size**2
        if work <= 2**14:
            return cls(30, 200, 4)
        return cls(15, 100, 2) if work <= 2**18 else cls(8, 60, 0)


def _no_taps() -> Float64[Tensor, " N"]:
    return torch.empty(0, dtype=torch.float64)


def _no_sum() -> ExponentialSum:
    none = torch.empty(0, dtype=torch.complex128)
    return ExponentialSum(none, none)


@final
@dataclass(frozen=True, eq=False)
class RecurrenceFit:
    r"""A linear recurrence: a sum of exponentials, a feed-through, and a shift register.

    Attributes:
        sum: poles and residues, one of each complex pair.
        feed_through: $D$, which is added to the first tap.
        register: taps of a shift register, a state for each.
        register_start: lag of the first of them: 0, or 1 beside a feed-through.

    Example:
        >>> one = torch.ones(1, dtype=torch.complex128)
        >>> RecurrenceFit(ExponentialSum(one / 2, one), feed_through=-1.0).taps(3)
        tensor([0.0000, 0.5000, 0.2500], dtype=torch.float64)
    """

    sum: ExponentialSum
    feed_through: float = 0.0
    register: Float64[Tensor, " N"] = field(default_factory=_no_taps)
    register_start: Literal[0, 1] = 0

    @property
    def num_states(self) -> int:
        """Real states: 2 for a complex pole."""
        return self.sum.num_states + len(self.register)

    def taps(self, length: int) -> Taps:
        """Its memory function at lags 0..length-1."""
        values = self.sum.values(length)
        values[0] += self.feed_through
        held = self.register[: length - self.register_start]
        values[self.register_start : self.register_start + len(held)] += held
        return values


def fit_recurrences(
    problem: Problem,
    sizes: Sequence[int],
    *,
    feed_through: bool = False,
    poles: PoleKind = "complex",
    diagonal: bool = False,
    max_modulus: float | None = None,
) -> list[RecurrenceFit]:
    r"""For each size the best linear recurrence found, in the order given.

    Errors do not rise with the size. Where the taps are a sum of so many exponentials, they are found to
    rounding. Cost O(T^3), at T > 1024 O(T^2 m), then O(T m^2) for each of some hundred steps.

    Args:
        problem: taps, and what an error at each lag costs.
        sizes: real states; a complex pair counts 2.
        feed_through: whether the present input reaches the output past the states.
        poles: `real` for real poles alone, as in an SSM of real states.
        diagonal: leave out shift registers, which no diagonal recurrence is (it can come near one).
        max_modulus: of a pole. None lets modes grow, which on a finite horizon is allowed; a stable model
            needs a value below 1. A shift register is stable.

    Raises:
        ConfigError: a size below 1, or a `max_modulus` that is not positive.

    Example:
        >>> from recollect.memory import Polynomial
        >>> problem = Problem(Polynomial(alpha=1.1).values(256))
        >>> fits = fit_recurrences(problem, [1, 4])
        >>> [f"{problem.nmse(fit.taps(256)):.2e}" for fit in fits]
        ['5.95e-02', '3.19e-05']
    """
    if min(sizes, default=1) < 1:
        raise ConfigError(f"a linear recurrence needs at least 1 state, got sizes {list(sizes)}.")
    if max_modulus is not None and not max_modulus > 0:
        raise ConfigError(f"expected max_modulus > 0, or None for no limit, got {max_modulus}.")
    search = _Search.of(problem, max(sizes, default=1), feed_through, poles, max_modulus)
    found: dict[int, RecurrenceFit] = {}
    best = RecurrenceFit(_no_sum(), float(problem.rho[0]) if feed_through else 0.0)
    smaller = best
    for size in sorted({*sizes, *_steps_below(min(sizes, default=1))}):
        smaller = search.best(smaller, search.exponentials(size, smaller, asked=size in sizes))
        registers = [] if diagonal else [search.register(size)]
        best = search.best(best, [smaller, *registers])
        found[size] = best
    return [found[size] for size in sizes]


def _steps_below(size: int) -> list[int]:
    """Sizes on the way to one, the same for all: the search at each begins from the fit before it too."""
    first = (1, 2, 4, 8, 12)
    quarters = [quarter << doublings for doublings in range(2, size.bit_length()) for quarter in (4, 5, 6, 7)]
    return [step for step in (*first, *quarters) if step < size]


@dataclass(frozen=True, eq=False)
class _Search:
    """What all sizes share: the taps that the states are for, and the directions of their Hankel matrix."""

    problem: Problem
    start: Literal[0, 1]
    real: bool
    largest_modulus: float
    rho: Float64[np.ndarray, " T"]
    root_weights: Float64[np.ndarray, " T"]
    directions: list[Float64[np.ndarray, "rows directions"]]

    @classmethod
    def of(
        cls, problem: Problem, largest: int, feed_through: bool, poles: PoleKind, max_modulus: float | None
    ) -> "_Search":
        # A feed-through makes the first tap free: the states are for the others.
        start = 1 if feed_through else 0
        weights = problem.weights[start:].sqrt()
        scale = problem.energy**0.5
        rho = problem.rho[start:].numpy() / scale
        count = min(largest, len(rho) // 2)
        wanted = count > 0 and poles == "complex"
        directions = [hankel_directions(rho, count, balanced=b) for b in (False, True)] if wanted else []
        limit = _LARGEST_GROWTH ** (1 / problem.length)
        modulus = limit if max_modulus is None else min(limit, max_modulus)
        return cls(problem, start, poles == "real", modulus, rho, weights.numpy(), directions)

    def register(self, size: int) -> RecurrenceFit:
        """As many first taps as there are states."""
        d = float(self.problem.rho[0]) if self.start else 0.0
        taps = self.problem.rho[self.start : self.start + size]
        return RecurrenceFit(_no_sum(), d, taps, self.start)

    def best(self, smaller: RecurrenceFit, fits: list[RecurrenceFit]) -> RecurrenceFit:
        """The one of least error in a model whose parameters are rounded: a bad condition shows.

        Nothing counts whose own taps are worse than those of the smaller fit.
        """
        most = self._error(smaller)
        return min([smaller, *(fit for fit in fits if self._error(fit) <= most)], key=self._rounded_error)

    def _error(self, fit: RecurrenceFit) -> float:
        return self.problem.nmse(fit.taps(self.problem.length))

    def _rounded_error(self, fit: RecurrenceFit) -> float:
        """Rounded poles and residues move a tap by a part of what cancels in it."""
        length, residues = self.problem.length, fit.sum.residues.abs()
        magnitudes = residues @ powers(fit.sum.poles, length).abs() * torch.arange(1, length + 1)
        moved = (self.problem.weights * magnitudes.square()).sum() / self.problem.energy
        return (self._error(fit) ** 0.5 + _ROUNDING * float(moved) ** 0.5) ** 2

    def exponentials(self, size: int, smaller: RecurrenceFit, *, asked: bool) -> list[RecurrenceFit]:
        """The finalists among the local minima, and what comes near a shift register.

        None where the taps are too few to tell poles apart, or the smaller fit is exact.
        """
        size = min(size, len(self.rho) // 2)
        if size <= smaller.num_states or self._rounded_error(smaller) < _EXACT:
            return []
        effort = _Effort.at(len(self.rho), size)
        if not asked:  # a size on the way to another
            effort = effort._replace(max_exchanges=0)
        starts = self._starts(size, smaller.sum.poles.numpy())
        scouts = _distinct([self._refined(start, effort.scouting_steps) for start in starts])
        finalists = [self._refined(pairs, effort.max_steps) for pairs, _ in scouts[:_NUM_FINALISTS]]
        finalists.append(self._exchanged(_distinct(finalists)[0], effort))
        near = (near_register_poles(size, nearness, real=self.real) for nearness in _NEARNESS_TO_REGISTER)
        sets = [*(pairs.poles() for pairs, _ in finalists), *near]
        return [fit for poles in sets for fit in self._with_residues(poles)]

    def _starts(self, size: int, smaller: ArrayOfPoles) -> list[PolePairs]:
        """Fresh ones, and the smaller fit with poles of what it leaves."""
        if self.real:
            fresh = real_starting_poles(self.rho, size)
        else:
            fresh = starting_poles(self.rho, size, self.directions)
        starts = [PolePairs.of(poles, real=self.real) for poles in fresh]
        return starts + (self._extended(smaller, size) if len(smaller) else [])

    def _extended(self, poles: ArrayOfPoles, size: int) -> list[PolePairs]:
        """Given poles, up to a number of states together with poles of what they leave."""
        pairs = PolePairs.of(poles, real=self.real)
        residual = project(self._target, self.root_weights, pairs).residual
        count = size - pairs.num_states
        if not residual.any():
            return []
        if self.real:
            added = real_starting_poles(residual, count)[:2]
        else:
            both = (hankel_directions(residual, count, balanced=balanced) for balanced in (False, True))
            added = [shift_poles(directions, count) for directions in both]
        return [PolePairs.of(np.concatenate([poles, others]), real=self.real) for others in added]

    def _exchanged(self, best: Minimum, effort: _Effort) -> Minimum:
        """Out of a local minimum: each pole in turn replaced by those of what the others leave."""
        for _ in range(effort.max_exchanges):
            poles, cost = best[0].poles(), best[1]
            if cost < _LOW_RANK or len(poles) < 2:
                break
            others = [np.delete(poles, place) for place in range(len(poles))]
            starts = [start for left in others for start in self._extended(left, best[0].num_states)]
            trials = _distinct([self._refined(start, effort.scouting_steps) for start in starts])
            if not trials or not trials[0][1] < cost * (1 - _SAME_MINIMUM):
                break
            best = self._refined(trials[0][0], effort.max_steps)
        return best

    def _refined(self, start: PolePairs, max_steps: int) -> Minimum:
        limit = self.largest_modulus
        return refine(self._target, self.root_weights, start, largest_modulus=limit, max_steps=max_steps)

    def _with_residues(self, poles: ArrayOfPoles) -> list[RecurrenceFit]:
        """Weighted least squares in real numbers, with all directions of the residues and with fewer.

        Where poles nearly coincide the last directions win little, and their residues cancel.
        """
        taps = powers(torch.from_numpy(poles), self.problem.length).numpy()
        rows = taps[:, self.start :] * self.root_weights
        oscillates = np.imag(poles) != 0
        columns = np.concatenate([np.real(rows), -np.imag(rows[oscillates])])
        scale = np.linalg.norm(columns, axis=1)
        scale[scale == 0] = 1
        left, singular, right = np.linalg.svd((columns / scale[:, None]).T, full_matrices=False)
        inside = left.T @ (self.problem.rho[self.start :].numpy() * self.root_weights)
        cuts = (len(inside) * np.finfo(float).eps, *_CUTS)
        ranks = sorted({int((singular > cut * singular[0]).sum()) for cut in cuts})
        solutions = (right[:rank].T @ (inside[:rank] / singular[:rank]) / scale for rank in ranks)
        return [self._fit(poles, oscillates, solution) for solution in solutions]

    def _fit(
        self, poles: ArrayOfPoles, oscillates: Bool[np.ndarray, " _"], solution: Float64[np.ndarray, " _"]
    ) -> RecurrenceFit:
        """Of the real parts of all residues, then the imaginary parts of those that have one."""
        residues = solution[: len(poles)].astype(complex)
        residues[oscillates] += 1j * solution[len(poles) :]
        total = ExponentialSum(torch.from_numpy(poles), torch.from_numpy(residues))
        d = float(self.problem.rho[0]) - np.real(residues).sum() if self.start else 0.0
        return RecurrenceFit(total, float(d))

    @property
    def _target(self) -> Float64[np.ndarray, " T"]:
        return self.rho * self.root_weights


def _distinct(minima: list[Minimum]) -> list[Minimum]:
    """The best first; of those at the same error, which are on the way to one minimum, the first."""
    kept: list[Minimum] = []
    for pairs, cost in sorted(minima, key=lambda minimum: minimum[1]):
        if not kept or cost > kept[-1][1] * (1 + _SAME_MINIMUM):
            kept.append((pairs, cost))
    return kept
