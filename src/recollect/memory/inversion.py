"""Memory functions by their horizon: alpha such that H95 over a length is the one asked for."""

from collections.abc import Callable
from typing import Any

from recollect.core import ConfigError, lookup
from recollect.memory.algebra import AbstractMemoryFunction
from recollect.memory.energy import energy_horizon
from recollect.memory.families import FAMILIES

_GROWS_WITH_ALPHA = {
    "exponential": False,
    "polynomial": False,
    "damped_cosine": False,
    "impulse": True,
    "airy": True,
    "gaussian_bump": True,
}


def from_horizon(
    family: str, h95: int, length: int, *, dt: float = 1.0, **options: Any
) -> AbstractMemoryFunction:
    r"""The memory function of a family whose first `h95` of `length` lags just hold 95 % of its energy.

    The horizon is an integer and a step function of alpha, so an interval of alphas has it: the middle
    of that interval is taken, to 9 digits (the same on every machine). Alphas are sought from 0 to
    `(length - 1) dt` in families that grow with alpha, and to the first power of two with the horizon 1 in
    families that fade; an interval that reaches further is cut there.

    Args:
        family: name of a family with an `alpha`.
        h95: the horizon asked for, a number of lags.
        length: T; the horizon is relative to the energy over lags 0..T-1.
        dt: lag between two taps, in the units of alpha; horizons count taps.
        options: the family's other fields, e.g. `width=3.0`.

    Raises:
        ConfigError: the family has no alpha, or the horizon is out of reach; says what can be reached.

    Example:
        >>> from_horizon("impulse", h95=17, length=64).label
        'impulse(alpha=16)'
    """
    grows = lookup(_GROWS_WITH_ALPHA, family, "memory function with an alpha")
    if length < 1 or h95 < 1:
        raise ConfigError(f"expected length >= 1 and h95 >= 1, got length={length} and h95={h95}.")

    def build(alpha: float) -> AbstractMemoryFunction:
        return FAMILIES[family].parse({**options, "alpha": alpha}, where=family)

    def horizon(alpha: float) -> int:
        return energy_horizon(build(alpha).values(length, dt=dt))

    def excess(alpha: float) -> int:
        """Lags beyond `h95`, signed so that it never falls as alpha grows."""
        return horizon(alpha) - h95 if grows else h95 - horizon(alpha)

    top = (length - 1.0) * dt if grows else _alpha_of_horizon_one(horizon)
    if excess(0.0) > 0 or excess(top) < 0:
        shortest, longest = sorted((horizon(0.0), horizon(top)))
        raise ConfigError(
            f"no {family} has h95={h95} over length={length}: reachable are {shortest} to {longest}. "
            f"Ask for one of these, or take another length or other options."
        )
    before, first = _crossing(excess, 0, top)
    if excess(first) > 0:
        shorter, longer = sorted((horizon(before), horizon(first)))
        raise ConfigError(
            f"no {family} has h95={h95} over length={length}: its horizon jumps from {shorter} to {longer} "
            f"as alpha varies. Ask for one of these two."
        )
    end = _crossing(excess, 1, top)[1] if excess(top) > 0 else top
    return build(float(f"{(first + end) / 2:.9g}"))


def _alpha_of_horizon_one(horizon: Callable[[float], int]) -> float:
    """The first power of two at which lag 0 holds 95 % of the energy of a function that fades."""
    alpha = 1.0
    while horizon(alpha) > 1:
        alpha *= 2
    return alpha


def _crossing(excess: Callable[[float], int], level: int, top: float) -> tuple[float, float]:
    """The neighbouring alphas in [0, top] below and at which the excess reaches `level`, by bisection."""
    if excess(0.0) >= level:
        return 0.0, 0.0
    low, high = 0.0, top
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if excess(middle) >= level else (middle, high)
    return low, high
