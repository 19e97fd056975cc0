r"""Draws without replacement, each example from its own counter.

Drawing one after the other, each time among what is left, is the same as

* drawing *with* replacement and passing over what was drawn before; and
* a race: runner $j$ arrives at time $E_j / w_j$ with independent exponential $E_j$, and the order of
  arrival has the law of sequential draws with probabilities proportional to the weights $w_j$
  (the law of Plackett and Luce; Efraimidis and Spirakis 2006 for the race).

The first is the cheaper one where few are drawn of many, the second where most are drawn or where the
weights differ.
"""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from recollect.core import integers, random_words, uniform
from recollect.core.shapes import Indices

Draws = Int64[Tensor, "B n"]
"""Numbers drawn for each example, in the order of the draws."""


def distinct(seed: int, indices: Indices, count: int, high: int) -> Draws:
    """`count` different integers of 0..high-1, every ordered choice with the same probability.

    Cost: O(count log count) an example whatever `high`.

    Raises:
        ValueError: fewer than `count` numbers to draw from.

    Example:
        >>> distinct(0, torch.arange(2), 4, 1000).shape
        torch.Size([2, 4])
    """
    if count > high:
        raise ValueError(f"expected `count` <= `high`, got count={count}, high={high}: draw fewer.")
    if 2 * count > high:
        return random_words(seed, indices, high).argsort(dim=1, stable=True)[:, :count]
    return _first_distinct(seed, indices, count, high, budget=count + count * count // high + 4)


def weighted(seed: int, indices: Indices, count: int, weights: Float64[Tensor, " m"]) -> Draws:
    """`count` different positions of `weights`, drawn in turn with probability proportional to the weight.

    Cost: O(m) draws and one partial sort an example.

    Raises:
        ValueError: fewer than `count` weights.

    Example:
        >>> weights = torch.tensor([1.0, 1e-9, 1.0], dtype=torch.float64)
        >>> weighted(0, torch.arange(5), 3, weights)[:, 2].tolist()
        [1, 1, 1, 1, 1]
    """
    if count > len(weights):
        raise ValueError(f"expected `count` <= {len(weights)} weights, got count={count}: draw fewer.")
    # Only the order counts, so the last bit of a logarithm, in which devices differ, does not matter:
    # two arrivals agree to 16 digits once in 10^13 examples.
    arrivals = uniform(seed, indices, len(weights)).log_().div_(weights)
    return arrivals.topk(count, dim=1).indices


def power_law(seed: int, indices: Indices, count: int, slots: int, power: float) -> Draws:
    r"""`count` different slots of `slots`, slot $j = 1, 2, \dots$ with weight $j^{a-1}$, a = `power`.

    Example:
        >>> power_law(0, torch.arange(3), 2, 10, 0.01).shape
        torch.Size([3, 2])
    """
    ranks = torch.arange(1, slots + 1, dtype=torch.float64, device=indices.device)
    return weighted(seed, indices, count, ranks ** (power - 1))


def _first_distinct(seed: int, indices: Indices, count: int, high: int, budget: int) -> Draws:
    """The first `count` different numbers of an endless row of draws, of which `budget` are looked at."""
    drawn = integers(seed, indices, budget, high)
    is_new = _is_new(drawn)
    rank = is_new.cumsum(dim=1)
    # What is passed over, or comes too late, lands in a last column that is cut off.
    place = torch.where(is_new & (rank <= count), rank - 1, count)
    chosen = drawn.new_empty(len(drawn), count + 1).scatter_(1, place, drawn)[:, :count]
    short = rank[:, -1] < count
    if short.any():
        chosen[short] = _first_distinct(seed, indices[short], count, high, 2 * budget)
    return chosen


def _is_new(drawn: Draws) -> Tensor:
    """Whether a number stands for the first time in its row."""
    ordered, order = drawn.sort(dim=1, stable=True)
    is_new = torch.ones_like(ordered, dtype=torch.bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return torch.empty_like(is_new).scatter_(1, order, is_new)
