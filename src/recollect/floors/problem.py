r"""What is to be approximated: a memory function over a horizon, and what an error at each lag costs.

$$\mathrm{NMSE}(k) = \sum_{s<T} w_s (\rho_s - k_s)^2 \Big/ \sum_{s<T} w_s \rho_s^2$$

For white input this is the mean squared error of a linear causal map with memory function k over the
target's power (the risk identity: classical). With `uniform` weights $w_s = 1$ it is the error at position
T - 1; with `window` weights $w_s = 1 - s/T$ the error averaged over the positions 0..T-1 from zero state,
which is what a test split measures.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import ConfigError

Weighting = Literal["uniform", "window"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A memory function and a weighting of its lags.

    Attributes:
        rho: its values at lags 0..T-1, in float64.
        weighting: what an error at each lag costs.

    Raises:
        ConfigError: no taps, taps that are not finite, all of them zero, or squares of them out of range.

    Example:
        >>> problem = Problem(torch.tensor([1.0, 1.0], dtype=torch.float64), "window")
        >>> problem.nmse(torch.tensor([1.0, 0.0], dtype=torch.float64))
        0.3333333333333333
    """

    rho: Float64[Tensor, " T"]
    weighting: Weighting = "uniform"

    def __post_init__(self) -> None:
        if not len(self.rho) or not self.smallest_energy < self.energy < math.inf:
            raise ConfigError(
                f"a floor needs finite taps that are not all zero, with squares in the range of float64; got "
                f"{len(self.rho)} taps with the energy {self.energy:g}: take a larger horizon or another "
                f"alpha, or normalise them."
            )

    smallest_energy: ClassVar[float] = 1e-290
    """Below it, shares of the energy lose digits."""

    def up_to(self, position: int) -> "Problem | None":
        """What counts at one position alone: its lags, equally. None where nothing is asked there."""
        seen = self.rho[: position + 1]
        return Problem(seen) if float(seen.square().sum()) > self.smallest_energy else None

    @property
    def length(self) -> int:
        """T, the horizon."""
        return len(self.rho)

    @property
    def weights(self) -> Float64[Tensor, " T"]:
        """$w_s$ at lags 0..T-1."""
        if self.weighting == "uniform":
            return torch.ones_like(self.rho)
        return 1 - torch.arange(self.length, dtype=torch.float64) / self.length

    @property
    def energy(self) -> float:
        """$\\sum_s w_s \\rho_s^2$, the target's power for input of unit variance."""
        return float((self.weights * self.rho.square()).sum())

    def nmse(self, kernel: Float64[Tensor, " T"]) -> float:
        """Error of a time-invariant map with this memory function."""
        return float((self.weights * (self.rho - kernel).square()).sum()) / self.energy

    def nmse_of_responses(self, responses: Float64[Tensor, "T T"]) -> float:
        """Error of a linear map that changes with time: `responses[t, s]` is $k_t(s)$, lag s at position t.

        `uniform` reads the last position, `window` averages the squared errors of all positions.
        """
        target = self.rho.where(torch.ones_like(responses, dtype=torch.bool).tril(), 0.0)
        by_position = (target - responses).tril().square().sum(1)
        power = target.square().sum(1)
        if self.weighting == "uniform":
            return float(by_position[-1] / power[-1])
        return float(by_position.sum() / power.sum())
