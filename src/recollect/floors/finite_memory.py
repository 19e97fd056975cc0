r"""The floor of every model that forgets: what lies beyond its receptive field is lost.

Let the output at t depend on $x_{t-R+1}, \dots, x_t$ alone, in any way. For zero-mean independent inputs of
unit variance the rest of the target, $\sum_{s \ge R} \rho_s x_{t-s}$, is independent of all that the model
reads, and so is added to its error in full:

$$\mathrm{NMSE} \ge \sum_{s \ge R} w_s \rho_s^2 \Big/ \sum_s w_s \rho_s^2,$$

with equality for the filter of the first R taps. Uncorrelated inputs would not do: a nonlinear model may
predict one from the others. Nor does it hold for a model that normalises over time, which reads everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core.shapes import Taps
from recollect.floors.floor import Floor, check_sizes
from recollect.floors.problem import Problem


@final
@dataclass(frozen=True, eq=False)
class FilterFit:
    """A filter.

    Attributes:
        values: its taps at lags 0..R-1.
    """

    values: Float64[Tensor, " R"]

    def taps(self, length: int) -> Taps:
        """The filter, continued by zeros."""
        return torch.nn.functional.pad(self.values[:length], (0, max(length - len(self.values), 0)))


@final
@dataclass(frozen=True)
class FiniteMemory:
    """Models with a receptive field of `size` taps and any nonlinearity: FIR filters, TCNs.

    `lower` is less than `attained` by rounding alone: both are the tail of the target.

    Example:
        >>> problem = Problem(torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64))
        >>> [round(floor.lower, 6) for floor in FiniteMemory().floors(problem, [1, 2])]
        [0.2, 0.0]
    """

    unit: str = "taps"

    def floors(self, problem: Problem, sizes: Sequence[int]) -> list[Floor]:
        """The energy of the target beyond each receptive field; O(T) for all of them together."""
        check_sizes(sizes, self.unit)
        tails = tail_errors(problem)
        return [self._floor(problem, size, tails) for size in sizes]

    def _floor(self, problem: Problem, size: int, tails: Float64[Tensor, " lags"]) -> Floor:
        fit = FilterFit(problem.rho[:size].clone())
        how = f"the taps beyond a receptive field of {size}; exact for independent input, any nonlinearity"
        # Sums of at most T non-negative terms: each of the two is right to T rounding errors.
        guard = 4 * problem.length * torch.finfo(torch.float64).eps
        lower = float(tails[min(size, problem.length)]) * (1 - guard)
        return Floor(size, lower, problem.nmse(fit.taps(problem.length)), fit, how)


def tail_errors(problem: Problem) -> Float64[Tensor, " lags"]:
    """NMSE that all lags from s on contribute when they are missed, for s = 0..T."""
    energies = problem.weights * problem.rho.square()
    return torch.nn.functional.pad(energies.flip(0).cumsum(0).flip(0), (0, 1)) / problem.energy
