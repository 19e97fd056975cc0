r"""The least error of a linear recurrence on a delay, in closed form.

For $\rho_s = [s = L]$ the Hankel matrix of $n = \min(L + 1, T - L)$ rows and $L + 1$ columns holds n ones,
no two in a row or a column. Under weights constant along its sides all n singular values are equal, so

$$\mathrm{NMSE} \ge 1 - m / n$$

for every recurrence $\hat\rho_s = c^\top A^s b$ with m real states, stable or not. It is the best that
weights of rows and columns can prove, and it holds for equal lag weights and for the window $1 - s/T$
alike. It reads $1 - m/(L + 1)$ only for $T \ge 2L + 1$: on a shorter horizon recurrences are better than
that. With a free tap at lag 0 both L and T fall by one: $n = \min(L, T - L)$.

Derived for this project and checked against a search over models; not found in the literature.
"""

from collections.abc import Sequence

from jaxtyping import Float64
from torch import Tensor


def impulse_bounds(lag: int, length: int, sizes: Sequence[int], *, feed_through: bool = False) -> list[float]:
    r"""$\max(0, 1 - m/n)$ for each size m.

    Args:
        lag: L, of the delay; 0 to length - 1.
        length: T, the horizon.
        sizes: numbers of real states.
        feed_through: whether the tap at lag 0 is free.

    Raises:
        ValueError: a lag outside of the horizon.

    Example:
        >>> impulse_bounds(3, 16, [1, 2, 4])
        [0.75, 0.5, 0.0]
        >>> impulse_bounds(3, 4, [1])
        [0.0]
    """
    if not 0 <= lag < length:
        raise ValueError(f"expected 0 <= lag < {length}, the horizon, got {lag}: take a longer horizon.")
    rank = min(lag, length - lag) if feed_through else min(lag + 1, length - lag)
    return [max(0.0, (rank - size) / rank) if rank else 0.0 for size in sizes]


def impulse_lag(rho: Float64[Tensor, " T"]) -> int | None:
    """The lag of the only tap that is not zero; None where there are more.

    Example:
        >>> impulse_lag(torch.tensor([0.0, 2.0, 0.0], dtype=torch.float64))
        1
    """
    lags = rho.nonzero()[:, 0].tolist()
    return lags[0] if len(lags) == 1 else None
