r"""What a linear recurrence with m states can do, without finding it: Adamjan, Arov and Krein.

A compact Hankel operator has a best approximation of rank m that is a Hankel operator too, at the distance
$\sigma_{m+1}(H)$ in the operator norm. A column is no longer than the norm, so the first one gives

$$\min_{m\ \text{states}} \sum_{k \ge 0} (\rho_k - \hat\rho_k)^2 \le \sigma_{m+1}(H)^2$$

(Adamjan, Arov and Krein, Mathematics of the USSR-Sbornik 15, 1971). The kernel is taken to be zero beyond the
taps given, so H is a finite matrix, compact, and its singular values are exact ones of the whole operator.
Where the kernel itself is not compact, as $(1 + s)^{-p}$ with $p \le 1$ (p = 1 is Hilbert's matrix), the
bound stays true of the taps, but it does not fall as more of them are taken.
"""

from collections.abc import Sequence

import torch

from recollect.core import ConfigError
from recollect.core.shapes import Taps


def aak_upper(rho_long: Taps, sizes: Sequence[int]) -> list[float]:
    r"""Upper bounds of the least $\sum_k (\rho_k - \hat\rho_k)^2$, not over the energy, by recurrences.

    They hold for every weighting with $w_s \le 1$ and every horizon up to the number of taps: errors at
    fewer lags cost less. Taps beyond the horizon of interest avoid the jump to zero at its end. A rounding
    guard is added. Cost O(T^3).

    Args:
        rho_long: T taps.
        sizes: numbers of real states, at least 1.

    Raises:
        ConfigError: a size below 1, or no taps.

    Example:
        >>> kernel = 0.5 ** torch.arange(60, dtype=torch.float64)
        >>> aak_upper(kernel, [1])[0] < 1e-12
        True
    """
    if not len(rho_long) or any(size < 1 for size in sizes):
        raise ConfigError(
            f"expected taps and sizes of at least 1, got {len(rho_long)} taps and {list(sizes)}."
        )
    length = len(rho_long)
    rho = torch.cat([rho_long.double(), torch.zeros(length - 1, dtype=torch.float64)])
    values = torch.linalg.eigvalsh(rho.unfold(0, length, 1)).abs().sort(descending=True).values
    guard = 2 * length * torch.finfo(torch.float64).eps * float(values.norm())
    return [(float(values[size]) + guard) ** 2 if size < length else 0.0 for size in sizes]
