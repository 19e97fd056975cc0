r"""Energies of memory functions over infinitely many lags, in closed form.

Checks of the measured ones, and answers where no sum over taps can go: the horizon of a slow power
law lies far beyond any grid.
"""

import math

from scipy.special import airy, zeta

from recollect.core import ConfigError


def exponential_horizon(alpha: float, q: float = 0.95) -> float:
    r"""Lags that hold the share q of the energy of $e^{-\alpha s}$: $\ln(1/(1-q)) / (2\alpha)$.

    Real-valued; its ceiling is the number of lags.

    Example:
        >>> round(exponential_horizon(0.1), 4)
        14.9787
    """
    if not (alpha > 0 and 0 < q < 1):
        raise ConfigError(f"expected alpha > 0 and 0 < q < 1, got alpha={alpha} and q={q}.")
    return -math.log1p(-q) / (2 * alpha)


def polynomial_tail(alpha: float, lag: int, scale: float = 1.0) -> float:
    r"""Share of the energy of $(1 + c s)^{-\alpha}$ at lags $s \ge R$.

    $\zeta(2\alpha, R + 1/c) / \zeta(2\alpha, 1/c)$ with Hurwitz's zeta function, finite for alpha > 1/2.

    Example:
        >>> polynomial_tail(1.1, 6) > 0.05 > polynomial_tail(1.1, 7)
        True
    """
    if not (alpha > 0.5 and lag >= 0 and scale > 0):
        raise ConfigError(
            f"expected alpha > 1/2 (below it the energy is infinite), lag >= 0 and scale > 0; "
            f"got alpha={alpha}, lag={lag}, scale={scale}."
        )
    return float(zeta(2 * alpha, lag + 1 / scale) / zeta(2 * alpha, 1 / scale))


def airy_tail(alpha: float, lag: int, width: float = 6.0) -> float:
    r"""Energy of $\mathrm{Ai}((s - \alpha)/w)$ at lags $s \ge R$, by the midpoint rule.

    $w\, F((R - \tfrac12 - \alpha)/w)$ with $F(z) = \int_z^\infty \mathrm{Ai}^2 = \mathrm{Ai}'(z)^2 -
    z\, \mathrm{Ai}(z)^2$: exact for the integral. The relative error for the sum over lags falls as
    $1/w^2$; at the default width it is 0.3 % at lag alpha and 1.1 % at alpha + 2 w.
    """
    if lag < 0 or not width > 0:
        raise ConfigError(f"expected lag >= 0 and width > 0, got lag={lag} and width={width}.")
    z = (lag - 0.5 - alpha) / width
    value, slope, _, _ = airy(z)
    return float(width * (slope**2 - z * value**2))
