r"""The floor of one attention layer without positions: it reads its past as a set.

Its output at t is some function of $x_t$ and of the set of all earlier inputs, whatever the content of
queries and keys, the number of heads, and what follows position by position. Exchange $x_{t-s}$ and
$x_{t-r}$, both earlier: the output stays, and so does the law of independent, identically distributed
inputs. So $E[\hat y_t x_{t-s}] = E[\hat y_t x_{t-r}]$: the memory function is constant over all lags from 1
on, and by the risk identity

$$\mathrm{NMSE} \ge \sum_t \sum_{s=1}^{t} (\rho_s - m_t)^2 \Big/ \sum_t E_t, \qquad
  m_t = \frac1t \sum_{s=1}^t \rho_s .$$

It holds for attention that reads content; not for a second layer, whose keys know how many inputs they saw.
A plain average with one gain, and a feed-through for the present, attains it at a single position; over a
window it must share the gain between all positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

from recollect.floors.alibi import HeadsFit, exponential_heads
from recollect.floors.content_free import position_weights, project
from recollect.floors.floor import Floor, check_sizes
from recollect.floors.problem import Problem


@final
@dataclass(frozen=True)
class NoPositions:
    """One layer of `size` heads, reading content or not, without positions.

    All heads that do not read content are the same plain average, so neither bound nor construction depends
    on the size.

    Attributes:
        feed_through: whether the construction adds the present input, as a residual connection does. The
            bound leaves the present free anyway: its query is known.

    Example:
        >>> problem = Problem(torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64))
        >>> floor = NoPositions().floors(problem, [4])[0]
        >>> round(floor.lower, 6), round(floor.attained, 6)
        (0.4, 0.4)
    """

    feed_through: bool = True
    unit: str = "heads"

    def floors(self, problem: Problem, sizes: Sequence[int]) -> list[Floor]:
        """One floor for all sizes; O(T)."""
        check_sizes(sizes, self.unit)
        average = torch.zeros(1, dtype=torch.float64)
        heads = exponential_heads(average, problem.length, sink=False, feed_through=self.feed_through)
        found = project(problem, heads)
        direct = float(found.gains[1]) if self.feed_through else 0.0
        fit = HeadsFit(average, found.gains[:1], direct)
        lower = set_bound(problem)
        how = "without positions the past is a set: all lags from 1 on weigh the same"
        return [Floor(size, lower, found.attained, fit, how) for size in sizes]


def set_bound(problem: Problem) -> float:
    r"""Least NMSE of any function of the present input and the set of earlier ones; i.i.d. inputs.

    Cost O(T). Rounding can move the norm whose square this is by less than $8 T \epsilon$ of the target's,
    which is taken off.
    """
    past, counts = problem.rho[1:], torch.arange(1, problem.length, dtype=torch.float64)
    means = past.cumsum(0) / counts
    # How much the sum of squares about the mean grows with each lag: no difference of large sums.
    growth = (counts - 1) / counts * (past - torch.nn.functional.pad(means, (1, 0))[:-1]).square()
    measured = position_weights(problem)
    missed = (measured[1:] * growth.cumsum(0)).sum().sqrt()
    power = (measured * problem.rho.square().cumsum(0)).sum()
    guard = 8 * problem.length * torch.finfo(torch.float64).eps * power.sqrt()
    return float((missed - guard).clamp(min=0).square() / power)
