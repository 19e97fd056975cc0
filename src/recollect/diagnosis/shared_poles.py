r"""A linear recurrence that reads several inputs: poles for all of them, residues for each.

$$k_{s,i} = \mathrm{Re} \sum_j c_{ji} \lambda_j^s + d_i\, \delta_{s0}$$

Given the poles, the residues and the feed-through that cost least are linear least squares in the whitened
domain. The poles are refined by Levenberg and Marquardt with the linear part eliminated, in Kaufman's form
(1975): the derivative of the projection keeps the part that is orthogonal to the columns. A state is one
pole, real or one of a complex pair, as in an LRU; with `real` all poles stay real, as in a real SSM.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from jaxtyping import Complex128, Float64
from torch import Tensor

from recollect.diagnosis.input_metric import Memory, Whitening
from recollect.memory.exponential_sum import powers

Poles = Complex128[Tensor, " N"]
Numbers = Float64[Tensor, " parameters"]

_CUT = 1e-4
"""Directions of the residues below it, relative to the largest, are left out: residues would cancel that are
larger than a model in single precision can hold, let alone find."""

_SLOWEST, _FASTEST = 1e-6, 30.0
"""Decay rates of a pole: between them nothing changes over a horizon."""

_WEAKEST = 1e-2
_REAL = 1e-8
"""A pole of a smaller phase is real: its imaginary part would be read with a residue without bound."""

_CONVERGED = 1e-7
"""A gain below it, relative to the cost, is small; two in a row end a search."""

_EXACT = 1e-26
_LARGEST_DAMPING = 1e8


@final
@dataclass(frozen=True, eq=False)
class SharedPoles:
    """A linear recurrence of several inputs and one output.

    Attributes:
        poles: $\\lambda_j$, one of each complex pair.
        residues: $c_{ji}$, a row for each pole.
        feed_through: $d_i$, added to the tap at lag 0.

    Example:
        >>> pole = torch.full((1,), 0.5, dtype=torch.complex128)
        >>> fit = SharedPoles(pole, pole[:, None], torch.ones(1, dtype=torch.float64))
        >>> fit.taps(3)[:, 0]
        tensor([1.5000, 0.2500, 0.1250], dtype=torch.float64)
    """

    poles: Poles
    residues: Complex128[Tensor, "N inputs"]
    feed_through: Float64[Tensor, " inputs"]

    def taps(self, length: int) -> Memory:
        """Its memory function at lags 0..length-1."""
        values = torch.einsum("ni,ns->si", self.residues, powers(self.poles, length)).real
        values[0] += self.feed_through
        return values


@dataclass(frozen=True, eq=False)
class _Solved:
    """The best residues for given parameters of the poles."""

    fit: SharedPoles
    waves: Complex128[Tensor, "N lags"]
    basis: Float64[Tensor, "rows rank"]
    residual: Float64[Tensor, "rows regressions"]

    @property
    def cost(self) -> float:
        return float(self.residual.square().sum())


@dataclass(frozen=True, eq=False)
class PoleProblem:
    """What the poles are for: a target, and what an error of it costs.

    Attributes:
        memory: the target.
        metric: what an error costs.
        real: whether the poles are real.
    """

    memory: Memory
    metric: Whitening
    real: bool

    def solve(self, poles: Poles) -> tuple[SharedPoles, float]:
        """The best residues for given poles, and the cost of what is left."""
        solved = self._solve(poles)
        return solved.fit, solved.cost

    def refine(self, poles: Poles, max_steps: int) -> tuple[Poles, float]:
        """Poles at a local minimum near given ones, and the cost there; each step costs one projection."""
        at = _parameters(poles, self.real)
        best, damping = self._solve(_poles(at, self.real)), 1e-2
        scale, num_small = float(self._target.square().sum()), 0
        for _ in range(max_steps):
            if best.cost <= _EXACT * scale or damping > _LARGEST_DAMPING or num_small == 2:
                break
            moved = at + self._step(at, best, damping)
            trial = self._solve(_poles(moved, self.real))
            gain = best.cost - trial.cost
            if not gain > 0:
                damping *= 8
                continue
            num_small = num_small + 1 if gain < _CONVERGED * best.cost else 0
            at, best, damping = moved, trial, max(damping / 5, 1e-10)
        return _poles(at, self.real), best.cost

    @cached_property
    def _target(self) -> Float64[Tensor, "rows regressions"]:
        return self.metric.whiten(self.memory[..., None])[..., 0]

    def _solve(self, poles: Poles) -> _Solved:
        lags, count = len(self.memory), len(poles)
        waves = powers(poles, lags)
        # A real pole has no imaginary part to read: its column of zeros is one of the directions left out.
        rows = waves.real if self.real else torch.cat([waves.real, -waves.imag])
        basis = torch.cat([rows, torch.eye(1, lags, dtype=torch.float64)]).mT
        scale = basis.norm(dim=0)
        scale = torch.where(scale > 0, scale, 1.0)
        orthogonal, triangle = torch.linalg.qr(self.metric.design(basis / scale))
        left, singular, right = torch.linalg.svd(triangle)
        rank = int((singular > _CUT * singular[0]).sum())
        left = orthogonal @ left[:, :rank]
        inside = left.mT @ self._target
        solution = right[:rank].mT @ (inside / singular[:rank, None])
        found = self.metric.coefficients(solution) / scale[:, None]
        imaginary = torch.zeros_like(found[:count]) if self.real else found[count:-1]
        fit = SharedPoles(poles, torch.complex(found[:count], imaginary), found[-1])
        return _Solved(fit, waves, left, self._target - left @ inside)

    def _step(self, at: Numbers, best: _Solved, damping: float) -> Numbers:
        change = self.metric.whiten(self._slopes(at, best))
        rows, regressions, count = change.shape
        flat = change.reshape(rows, regressions * count)
        matrix = (flat - best.basis @ (best.basis.mT @ flat)).reshape(rows * regressions, count)
        # Near the real axis a pole hardly depends on its phase: scaled alike, that would rule all steps.
        scale = matrix.norm(dim=0)
        scale = scale.clamp_min(max(_WEAKEST * float(scale.max()), 1e-300))
        matrix = matrix / scale
        normal = matrix.mT @ matrix + damping * torch.eye(count, dtype=torch.float64)
        step = torch.linalg.solve(normal, matrix.mT @ best.residual.flatten()) / scale
        # Half a unit: of the logarithm of a rate, of a phase, of an artanh.
        return step.clamp(-0.5, 0.5)

    def _slopes(self, at: Numbers, best: _Solved) -> Float64[Tensor, "lags inputs parameters"]:
        """Derivatives of the memory function by the parameters of the poles, residues held."""
        lags = torch.arange(len(self.memory), dtype=torch.float64)
        fit, waves = best.fit, lags * best.waves
        if self.real:
            safe = torch.where(fit.poles == 0, 1e-300, fit.poles)
            factors = [(1 - fit.poles.square()) / safe]
        else:
            # A rate at its limit does not move.
            rates = at[: len(fit.poles)].exp()
            moves = (rates >= _SLOWEST) & (rates <= _FASTEST)
            factors = [torch.complex(-rates * moves, 0 * rates), torch.complex(0 * rates, 0 * rates + 1)]
        terms = [torch.einsum("ni,n,ns->sin", fit.residues, factor, waves).real for factor in factors]
        return torch.cat(terms, dim=2)


def _parameters(poles: Poles, real: bool) -> Numbers:
    """Of real poles their artanh; of complex ones the logarithms of their rates, then their phases."""
    if real:
        return torch.atanh(poles.real.clamp(-1 + 2 * _SLOWEST, 1 - 2 * _SLOWEST))
    rates = -poles.abs().clamp_min(1e-13).log()
    return torch.cat([rates.clamp(2 * _SLOWEST, _FASTEST / 2).log(), poles.angle()])


def _poles(at: Numbers, real: bool) -> Poles:
    if real:
        value = torch.tanh(at).clamp(-1 + _SLOWEST, 1 - _SLOWEST)
        return torch.complex(value, 0 * value)
    rates, phases = at.chunk(2)
    moduli = (-rates.exp().clamp(_SLOWEST, _FASTEST)).exp()
    return torch.polar(moduli, torch.where(phases.abs() < _REAL, 0.0, phases))
