r"""How the error of linear recurrences on a power law falls with their states, on an infinite horizon.

$$\|e\|_2 \approx C\, m^{0.45} \exp\!\big(-\pi \sqrt{(2\alpha - 1)\, m}\big)$$

for $\rho_s = (1 + c s)^{-\alpha}$ and the best m real states, hence
$m(\varepsilon) \approx \ln^2(1/\varepsilon) / (\pi^2 (2\alpha - 1))$. Derived and checked here, not in the
literature; leading order only, and no bound. The exponent .45 is a fit for few states: between 6 and 12
states the best fits on an infinite horizon have local exponents from .34 (alpha = .6) to .43 (alpha = 1.1),
and the law stays within a third of their norms. On a finite horizon errors fall faster in the end.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import zeta

from recollect.memory import AbstractMemoryFunction, Polynomial


@dataclass(frozen=True)
class PowerLaw:
    r"""The law for one power law $(1 + c s)^{-\alpha}$.

    Its constant C is that of one state, whose best error on an infinite horizon is known: no fit.

    Attributes:
        alpha: the exponent, above 1/2: the energy over all lags is finite.
        one_state: NMSE of the best single state on an infinite horizon.
    """

    alpha: float
    one_state: float

    def nmse(self, num_states: int) -> float:
        """The law's NMSE, for at least one real state.

        Example:
            >>> round(power_law(Polynomial(alpha=1.1)).nmse(1), 4)
            0.0602
        """
        decay = math.pi * math.sqrt(2 * self.alpha - 1) * (math.sqrt(num_states) - 1)
        return self.one_state * num_states**0.9 * math.exp(-2 * decay)


def power_law(memory: AbstractMemoryFunction, *, feed_through: bool = False) -> PowerLaw | None:
    """The law of a memory function, None where none is known: it is a power law with alpha > 1/2 or nothing.

    Args:
        memory: the memory function, at a spacing of 1.
        feed_through: whether lag 0 is had for nothing.

    Example:
        >>> from recollect.memory import Impulse
        >>> power_law(Impulse(alpha=3)) is None
        True
    """
    if not isinstance(memory, Polynomial) or memory.alpha <= 0.5:
        return None
    return PowerLaw(memory.alpha, _one_state_nmse(memory.alpha, 1 / memory.scale, feed_through))


@lru_cache
def _one_state_nmse(alpha: float, offset: float, feed_through: bool) -> float:
    r"""The least error of $c e^{-as}$, relative to the energy of $(o + s)^{-\alpha}$ over all lags.

    The best c explains $(1 - e^{-2a}) \langle \rho, e^{-as} \rangle^2$. Decay rates are sought on a
    logarithmic grid, then around its best.
    """
    first = offset + 1 if feed_through else offset

    def missed(log_rate: float) -> float:
        rate = math.exp(log_rate)
        return float(zeta(2 * alpha, first)) + math.expm1(-2 * rate) * _overlap(alpha, first, rate) ** 2

    grid = np.arange(-300.0, 5.0)
    best = float(grid[np.argmin([missed(log_rate) for log_rate in grid])])
    found = minimize_scalar(missed, bounds=(best - 1, best + 1), method="bounded")
    return float(found.fun / zeta(2 * alpha, offset))


def _overlap(alpha: float, offset: float, rate: float) -> float:
    r"""$\sum_{s \ge 0} (o + s)^{-\alpha} e^{-as}$, as a mixture of geometric series.

    $(o + s)^{-\alpha} = \Gamma(\alpha)^{-1} \int x^{\alpha - 1} e^{-(o + s) x} dx$. In $u = \ln x$ the
    trapezoidal rule converges to rounding at a spacing of 0.2: the integrand is analytic around the axis.
    """
    x = np.exp(np.arange(-340.0, 6.0, 0.2) - math.log(offset))
    series = 1 / -np.expm1(-(x + rate))
    return float(0.2 / math.gamma(alpha) * np.sum(x**alpha * np.exp(-offset * x) * series))
