"""The smallest size of a class of models that reaches an error: proven from below, shown from above."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import takewhile

from recollect.core import ConfigError
from recollect.floors.alibi import AlibiHeads
from recollect.floors.floor import Floor, ModelClass
from recollect.floors.problem import Problem


@dataclass(frozen=True, eq=False)
class SizeAnswer:
    """Which sizes can reach an error.

    Attributes:
        target: the error, an NMSE.
        max_size: the largest size that was looked at.
        impossible_below: every size below it is proven unable; None where nothing is proven.
        attained_at: the smallest size known to reach it, by construction; None where none was found.
        floors: by size, those that were computed; rising.
    """

    target: float
    max_size: int
    impossible_below: int | None
    attained_at: int | None
    floors: dict[int, Floor]

    @property
    def binding(self) -> bool:
        """Whether a theorem bounds the class at all; else nothing was searched."""
        return all(floor.binding for floor in self.floors.values())

    @property
    def deciding_size(self) -> int:
        """The size that reaches the error, or the largest that was computed."""
        return self.attained_at or max(self.floors)

    @property
    def how(self) -> str:
        """The theorem that excludes the largest size proven unable; of the deciding size if there is none."""
        return self.floors[(self.impossible_below or self.deciding_size + 1) - 1].how


def check_target(target: float) -> None:
    """Refuse a target that no search can have: it must be a number above 0.

    Raises:
        ConfigError: says what came.
    """
    if not (math.isfinite(target) and target > 0):
        raise ConfigError(f"expected a target above 0, got {target:g}: ask for an NMSE such as 1e-3.")


def smallest_size(problem: Problem, model_class: ModelClass, target: float, max_size: int) -> SizeAnswer:
    """Search the sizes 1..max_size, by doubling and bisection where larger models contain smaller ones.

    Cost: about 4 log2(max_size) floors; one of each size in a class whose sizes are not nested.

    Raises:
        ConfigError: a target that is not a number above 0, or `max_size < 1`.

    Example:
        >>> import torch
        >>> from recollect.floors.finite_memory import FiniteMemory
        >>> problem = Problem(torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64))
        >>> answer = smallest_size(problem, FiniteMemory(), 0.5, 4)
        >>> answer.impossible_below, answer.attained_at
        (3, 3)
    """
    check_target(target)
    if max_size < 1:
        raise ConfigError(f"expected sizes of at least 1, got {max_size}.")
    floors = _computed(problem, model_class, target, max_size)
    able = [size for size, floor in floors.items() if _attains(floor, target)]
    unable = [size for size, floor in floors.items() if floor.lower > target]
    if not _is_nested(model_class):
        unable = list(takewhile(lambda size: size in unable, floors))
    impossible_below = max(unable) + 1 if unable else None
    return SizeAnswer(target, max_size, impossible_below, min(able, default=None), floors)


def _computed(problem: Problem, model_class: ModelClass, target: float, max_size: int) -> dict[int, Floor]:
    """The floors that decide, by rising size."""
    if not _is_nested(model_class):
        sizes = range(1, max_size + 1)
        return dict(zip(sizes, model_class.floors(problem, sizes), strict=True))
    floors: dict[int, Floor] = {}

    def at(size: int) -> Floor:
        if size not in floors:
            # With the next smaller size beside it, a construction can start from the smaller one.
            smaller = sorted(other for other in floors if other < size)[-1:]
            found = model_class.floors(problem, [*smaller, size])[-1]
            floors[size] = _at_least(found, floors[smaller[0]]) if smaller else found
        return floors[size]

    if at(1).binding:
        _seek(lambda size: at(size).lower <= target, max_size)
        _seek(lambda size: _attains(at(size), target), max_size)
    return {size: floors[size] for size in sorted(floors)}


def _seek(holds: Callable[[int], bool], max_size: int) -> None:
    """Ask at the sizes that find the first at which a condition holds, if it keeps holding from there on."""
    low, high = 0, 1
    while not holds(high):
        if high == max_size:
            return
        low, high = high, min(2 * high, max_size)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)


def _at_least(floor: Floor, smaller: Floor) -> Floor:
    """The floor, with the construction of a smaller size if that is better: this size holds it too."""
    if smaller.attained is None or (floor.attained is not None and floor.attained <= smaller.attained):
        return floor
    return replace(floor, attained=smaller.attained, fit=smaller.fit)


def _attains(floor: Floor, target: float) -> bool:
    return floor.attained is not None and floor.attained <= target


def _is_nested(model_class: ModelClass) -> bool:
    """Whether a model of the class can be held by a larger one: fixed slopes depend on how many there are."""
    return not (isinstance(model_class, AlibiHeads) and model_class.slopes == "fixed")
