r"""What a family of models is asked: a memory function, an input, a noise, and an error to reach.

$$\mathrm{NMSE}(k) = \frac{\sigma^2 + (\rho - k)^\top R\, (\rho - k)}{\sigma^2 + \rho^\top R\, \rho}$$

is the total error of a linear model with memory function k over the power of what it is to predict, noise
included. Noise itself is reached by no finite estimate: an error is *reached* at
$\max(\tau, \tfrac43 \tau_0)$, with the asked $\tau$ and the noise's own share $\tau_0$.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from recollect.core import ConfigError
from recollect.diagnosis.input_metric import InputMetric, Memory
from recollect.floors import Problem

NOISE_MARGIN = 4 / 3
"""Noise itself is reached by no finite estimate: an error within this factor of it counts as reached."""

_SMALL_SHARE, _SMALL_PART = 1e-6, 1e-2
_SHORTEST = 16


@dataclass(frozen=True, eq=False)
class Question:
    """A target and the error that a model of it may have.

    Attributes:
        memory: $\\rho$, at lags 0..L-1 of each input.
        metric: the input's, R.
        noise_variance: $\\sigma^2$, of what no model predicts.
        target_nmse: $\\tau$, asked for.

    Raises:
        ConfigError: a noise or target out of range, or a target that is all zero without noise.
    """

    memory: Memory
    metric: InputMetric
    noise_variance: float
    target_nmse: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.target_nmse) and self.target_nmse > 0):
            raise ConfigError(f"expected a target NMSE above 0, got {self.target_nmse}: ask for 0.1, say.")
        if not (math.isfinite(self.noise_variance) and self.noise_variance >= 0):
            raise ConfigError(f"expected a noise variance of at least 0, got {self.noise_variance}.")
        if not 0 < self.variance < math.inf:
            raise ConfigError("nothing is to be predicted: the memory function and the noise are both zero.")

    @cached_property
    def power(self) -> float:
        """$\\rho^\\top R\\, \\rho$."""
        return self.metric.cost(self.memory)

    @property
    def remembers(self) -> bool:
        """Whether there is any memory, in numbers that can be squared."""
        return bool(self.memory.square().sum() > Problem.smallest_energy)

    @property
    def variance(self) -> float:
        """Of the output."""
        return self.noise_variance + self.power

    @property
    def noise_share(self) -> float:
        """$\\tau_0$, the total NMSE of the target's own memory function."""
        return self.noise_variance / self.variance

    @property
    def reach(self) -> float:
        """Total NMSE at which the target counts as reached."""
        return max(self.target_nmse, NOISE_MARGIN * self.noise_share)

    @property
    def allowed(self) -> float:
        """The same as a cost $e^\\top R e$."""
        return self.reach * self.variance - self.noise_variance

    @cached_property
    def horizon(self) -> int:
        """Lags that are worth a search, twice those that matter: none that costs a hundredth of what is
        allowed is left out, and what follows keeps the models from ringing on."""
        limit = max(_SMALL_SHARE * self.power, _SMALL_PART * self.allowed)
        beyond = self.metric.costs_beyond(self.memory)
        field = int((beyond > limit).sum())
        return min(len(self.memory), max(2 * field, _SHORTEST))

    def total(self, cost: float) -> float:
        """Total NMSE of a model whose error of the memory function has this cost."""
        return (self.noise_variance + cost) / self.variance
