r"""An interval for the median over seeds that assumes nothing about how scores are distributed.

Over n seeds it lies between two order statistics,

$$P\big(x_{(r)} \le \mathrm{median} \le x_{(n+1-r)}\big) = 1 - 2^{1-n} \sum_{i<r} \binom{n}{i} ,$$

for the largest r that keeps this coverage at 95 %. Scores have two humps where some seeds find the
solution and others do not. Below six seeds no interval reaches 95 %: it is then the whole range, and the
coverage says what that is worth.
"""

import math
from collections.abc import Sequence

COVERAGE = 0.95
"""Asked of an interval; several seeds give as much, or say how little."""


def interval_over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Two order statistics around the median, and the probability with which they enclose it.

    Example:
        >>> interval_over_seeds([0.3, 0.1, 0.2])
        (0.1, 0.3, 0.75)
    """
    ordered = sorted(values)
    count = len(ordered)
    enough = [rank for rank in range(1, count // 2 + 1) if _coverage(rank, count) >= COVERAGE]
    rank = max(enough, default=1)
    return ordered[rank - 1], ordered[count - rank], _coverage(rank, count)


def _coverage(rank: int, count: int) -> float:
    return 1 - 2 * sum(math.comb(count, i) for i in range(rank)) / 2**count
