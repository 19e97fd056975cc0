r"""The energy $\sum_s \rho_s^2$ of a memory function: how far back it reaches, how many taps share it."""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core import ConfigError
from recollect.core.shapes import Taps


def energy_horizon(rho: Taps, q: float = 0.95) -> int:
    r"""H_q: the smallest R with $\sum_{s<R} \rho_s^2 \ge q \sum_{s<T} \rho_s^2$.

    A number of lags, so the last of them is `R - 1`; relative to the T taps that are given. A slow
    power law has an infinite horizon that is astronomically longer.

    Example:
        >>> from recollect.memory import Polynomial
        >>> energy_horizon(Polynomial(alpha=1.1).values(4096))
        7
    """
    if not 0 < q <= 1:
        raise ConfigError(f"expected a share of the energy q with 0 < q <= 1, got {q}.")
    cumulative = _energy(rho).cumsum(0)
    # The slack keeps a share that is met exactly (95 of 100 equal taps) from being missed by rounding.
    return int(torch.searchsorted(cumulative, q * (1 - 1e-12) * cumulative[-1])) + 1


def tail_energy(rho: Taps, lag: int) -> float:
    r"""$\sum_{s \ge \mathrm{lag}} \rho_s^2$: what a window over the last `lag` inputs cannot see."""
    if lag < 0:
        raise ConfigError(f"expected a lag >= 0, got {lag}.")
    return rho[lag:].double().square().sum().item()


def effective_taps(rho: Taps) -> float:
    r"""$(\sum_s \rho_s^2)^2 / \sum_s \rho_s^4$: n for n equal taps, whatever their places and signs.

    Example:
        >>> effective_taps(torch.tensor([0.0, 2.0, 0.0, -2.0]))
        2.0
    """
    energy = _energy(rho)
    return (energy.sum().square() / energy.square().sum()).item()


def _energy(rho: Taps) -> Float[Tensor, " T"]:
    """Squares of the taps, the largest set to 1: a share needs no unit, and small squares underflow."""
    largest = rho.abs().max() if len(rho) else 0
    if not largest > 0:
        raise ConfigError(
            f"the energy of a memory function needs a tap that is not 0, and all {len(rho)} are: "
            f"take a larger `length`, or another alpha."
        )
    return (rho.double() / largest).square()
