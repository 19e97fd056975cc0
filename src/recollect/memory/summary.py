"""The numbers by which memory functions are compared, since alpha alone is not a difficulty."""

from dataclasses import dataclass

from recollect.core.shapes import Taps
from recollect.memory.energy import effective_taps, energy_horizon
from recollect.memory.hankel import hankel_rank
from recollect.memory.sign_changes import sign_changes
from recollect.memory.tensor_train import tensor_train_ranks


@dataclass(frozen=True)
class MemorySummary:
    """Measures of a memory function over the given taps.

    Attributes:
        length: number of taps.
        h50: lags that hold half of the energy.
        h95: lags that hold 95 % of the energy.
        effective_taps: number of equal taps that would spread the energy as much.
        sign_changes: along the taps.
        hankel_rank: real states of a linear recurrence, up to the tolerance.
        tensor_train_rank: width of a dilated convolution with two taps a level, up to the tolerance.
    """

    length: int
    h50: int
    h95: int
    effective_taps: float
    sign_changes: int
    hankel_rank: int
    tensor_train_rank: int


def summary(rho: Taps, *, tolerance: float = 1e-6) -> MemorySummary:
    """All measures at once. `tolerance` is relative to the largest singular value. Cost O(T^3).

    Example:
        >>> from recollect.memory import Impulse
        >>> summary(Impulse(alpha=5).values(32)).hankel_rank
        6
    """
    return MemorySummary(
        length=len(rho),
        h50=energy_horizon(rho, 0.5),
        h95=energy_horizon(rho, 0.95),
        effective_taps=effective_taps(rho),
        sign_changes=sign_changes(rho),
        hankel_rank=hankel_rank(rho, tolerance),
        tensor_train_rank=max(tensor_train_ranks(rho, 2, tolerance), default=1),
    )
