r"""Poles for a memory function of several inputs, for one number of states after the other.

A local search begins from several sets of poles: those of the smaller recurrence with what it leaves
(ESPRIT on the residual), those of the leading directions of the Hankel blocks side by side, evenly spaced
frequencies, rates in geometric progression, and sets near a shift register. It runs under a metric that is
cheap, that of filtered noise; the best few are refined under the input's own, and only what was evaluated
there is reported.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.diagnosis.autoregression import FilteredNoise
from recollect.diagnosis.input_metric import InputMetric, Memory
from recollect.diagnosis.shared_poles import PoleProblem, Poles, SharedPoles
from recollect.floors.starting_poles import (
    ArrayOfPoles,
    near_register_poles,
    real_starting_poles,
    shift_poles,
    starting_poles,
)

_ORDER = 8
"""Of the filter that stands for the input while poles are searched for."""

_SCOUTING_STEPS, _STEPS, _LAST_STEPS = 8, 40, 20
_NUM_SCOUTS, _NUM_FINALISTS = 8, 2

_LARGEST_SEARCHED = 16
"""States beyond which only the smaller recurrence and shift registers are starts: steps cost their square."""

_LARGEST_WORK = 4e7
"""Multiplications of a step under the input's own metric, up to which it is taken."""

_NEARNESS_TO_REGISTER = (1e-1, 1e-2, 1e-4)
_LARGEST_MODULUS = 0.999
"""Of a pole to begin from."""


@dataclass(frozen=True, eq=False)
class PoleSearch:
    """A target, the input's metric, and which poles are allowed.

    Attributes:
        memory: the target at lags 0..L-1.
        metric: the input's.
        horizon: lags that the search looks at; what is found is evaluated over all.
        real: whether poles are real.
    """

    memory: Memory
    metric: InputMetric
    horizon: int
    real: bool

    def best(self, size: int, smaller: SharedPoles | None) -> tuple[SharedPoles, float]:
        """The best recurrence found with `size` states, of one pole each, and its cost.

        Never worse than the smaller one, which it contains.
        """
        cheap = PoleProblem(self._part, self._noise, self.real)
        starts = sorted(self._starts(size, smaller), key=lambda poles: cheap.solve(poles)[1])
        scouts = [cheap.refine(start, _SCOUTING_STEPS) for start in starts[:_NUM_SCOUTS]]
        scouts.sort(key=lambda found: found[1])
        finalists = [cheap.refine(poles, _STEPS)[0] for poles, _ in scouts[:_NUM_FINALISTS]]
        if not self.metric.is_white and self._is_small(size):
            finalists = [self._exact.refine(poles, _LAST_STEPS)[0] for poles in finalists]
        fits = [self._exact.solve(poles)[0] for poles in finalists]
        fits += [] if smaller is None else [smaller]
        # The cost of the taps themselves: large residues that cancel show their rounding.
        costs = [self.metric.cost(self.memory - fit.taps(len(self.memory))) for fit in fits]
        best = int(np.argmin(costs))
        return fits[best], costs[best]

    def _is_small(self, size: int) -> bool:
        """Whether a step under the input's own metric is cheap; else only residues are found under it."""
        unknowns = (size * (1 if self.real else 2) + 1) * self.metric.num_inputs
        return self.memory.numel() ** 2 * unknowns <= _LARGEST_WORK

    @cached_property
    def _noise(self) -> FilteredNoise:
        return FilteredNoise.of(self.metric, _ORDER, self.horizon)

    @cached_property
    def _exact(self) -> PoleProblem:
        white = FilteredNoise.of(self.metric, 0, len(self.memory))
        return PoleProblem(self.memory, white if self.metric.is_white else self.metric, self.real)

    @cached_property
    def _mixed(self) -> Memory:
        """The target for inputs that are uncorrelated at one time."""
        return self.memory[: self.horizon] @ self.metric.input_root

    @cached_property
    def _directions(self) -> list[Float64[np.ndarray, "rows directions"]]:
        targets = [self._mixed]
        if not self.metric.is_white:
            targets.append(self._noise.whiten(self._part[..., None])[..., 0])
        return [_joint_directions(target) for target in targets]

    @property
    def _part(self) -> Memory:
        return self.memory[: self.horizon]

    def _starts(self, size: int, smaller: SharedPoles | None) -> Iterator[Poles]:
        if smaller is not None:
            yield from self._extended(size, smaller)
        real_states = size if self.real else 2 * size
        for nearness in _NEARNESS_TO_REGISTER:
            yield self._fitted(near_register_poles(real_states, nearness, real=self.real), size)
        if size > _LARGEST_SEARCHED or not bool(self._mixed.any()):
            return
        main = _main_direction(self._mixed)
        for poles in real_starting_poles(main, size):
            yield self._fitted(poles, size)
        if not self.real:
            sets = starting_poles(main, real_states, [])
            sets += [shift_poles(basis, most) for basis in self._directions for most in (size, real_states)]
            for poles in sets:
                yield self._turned(self._fitted(poles, size))

    def _extended(self, size: int, smaller: SharedPoles) -> Iterator[Poles]:
        """The smaller recurrence's poles, and those of what it leaves."""
        residual = self._mixed - smaller.taps(self.horizon) @ self.metric.input_root
        count = size - len(smaller.poles)
        if count < 1 or not bool(residual.any()):
            return
        for poles in real_starting_poles(_main_direction(residual), count)[: 5 if self.real else 2]:
            yield torch.cat([smaller.poles, self._fitted(poles, count)])
        if not self.real:
            poles = shift_poles(_joint_directions(residual)[:, : 2 * count], 2 * count)
            yield torch.cat([smaller.poles, self._turned(self._fitted(poles, count))])

    def _fitted(self, poles: ArrayOfPoles, count: int) -> Poles:
        """Exactly so many poles inside the unit circle: the slowest of too many, fast ones beside too few."""
        scale = np.minimum(1.0, _LARGEST_MODULUS / np.maximum(np.abs(poles), _LARGEST_MODULUS))
        kept = sorted(poles * scale, key=abs, reverse=True)[:count]
        fast = 0.7 ** np.arange(1, count - len(kept) + 1)
        found = torch.from_numpy(np.concatenate([kept, fast]).astype(complex))
        return torch.complex(found.real.clone(), torch.zeros_like(found.real)) if self.real else found

    def _turned(self, poles: Poles) -> Poles:
        """Off the real axis, which a pole that begins on it does not leave."""
        turned = torch.where(poles.imag.abs() < 1e-9, 0.1 / self.horizon, 0.0)
        return poles * torch.polar(torch.ones_like(turned), turned)


def _main_direction(memory: Memory) -> Float64[np.ndarray, " lags"]:
    """The combination of inputs with the most energy."""
    left, values, _ = torch.linalg.svd(memory, full_matrices=False)
    return (left[:, 0] * values[0]).numpy()


def _joint_directions(memory: Memory) -> Float64[np.ndarray, "rows directions"]:
    """Left singular vectors of the Hankel blocks side by side, the leading ones first."""
    rows = len(memory) // 2 + 1
    hankel: Tensor = memory.unfold(0, len(memory) + 1 - rows, 1).flatten(1)
    _, vectors = torch.linalg.eigh(hankel @ hankel.mT)
    return vectors.flip(1).numpy()
