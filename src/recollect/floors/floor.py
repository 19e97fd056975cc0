"""What a class of models can and cannot do: a proven bound, and a construction that shows how near it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from recollect.core import ConfigError
from recollect.core.shapes import Taps
from recollect.floors.problem import Problem


@runtime_checkable
class Fit(Protocol):
    """An explicit member of a class of models."""

    def taps(self, length: int) -> Taps:
        """Its memory function at lags 0..length-1, at the last of `length` positions."""
        ...


@dataclass(frozen=True, eq=False)
class Floor:
    """The least error of a class of models at one size, enclosed from both sides; both are NMSE.

    Attributes:
        size: of the class, in its own unit (real states, taps, width, heads); None where it has none.
        lower: no model of the class has a smaller error; 0 where nothing better is proven.
        attained: the error of `fit`; None where nothing is constructed.
        fit: the construction.
        how: the theorem behind `lower`, or why there is none.
        binding: whether a theorem bounds this class at all. Where none does, `lower` is 0.
    """

    size: int | None
    lower: float
    attained: float | None
    fit: Fit | None
    how: str
    binding: bool = True


@runtime_checkable
class ModelClass(Protocol):
    """A class of models with a size."""

    @property
    def unit(self) -> str:
        """What the size counts, in the plural."""
        ...

    def floors(self, problem: Problem, sizes: Sequence[int]) -> list[Floor]:
        """One floor for each size, in the order given: what can be shared between sizes is computed once.

        Raises:
            ConfigError: a size below 1.
        """
        ...


def check_sizes(sizes: Sequence[int], unit: str) -> None:
    """Refuse sizes below 1."""
    if any(size < 1 for size in sizes):
        raise ConfigError(f"a size counts {unit}: expected 1 or more, got {min(sizes)}.")
