"""What a feature map offers, and what all of them check."""

import math
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from recollect.core.errors import ConfigError

Inputs = Float[Tensor, "B T H K"]
Features = Float[Tensor, "B T H F"]
Positions = Int[Tensor, " T"]

Role = Literal["query", "key"]
"""What the vector is: a regression fits `phi(key)` and reads `phi(query)`; most maps treat them alike."""


@runtime_checkable
class FeatureMap(Protocol):
    """A map `phi` whose products `phi(q).phi(k)` are, or approximate, a similarity of query and key.

    The features of a position depend on its own vector and position number alone, so one position at a time
    gives what the whole sequence gives; the features of a head depend on that head alone.

    Attributes:
        size: number F of features.
        kernel: what `phi(q).phi(k)` is, in plain text.
        nonnegative: no feature is below 0.
        nonnegative_similarity: `phi(q).phi(k)` is never below 0, so a normaliser `phi(q).sum phi(k)` is safe.
        learned: the map has parameters.
        max_length: number of positions at which the map is defined, `None` where there is no end.
    """

    size: int
    kernel: str
    nonnegative: bool
    nonnegative_similarity: bool
    learned: bool

    @property
    def max_length(self) -> int | None: ...

    def __init__(self, key_dim: int, num_heads: int, *args: Any, **options: Any) -> None: ...

    def __call__(self, x: Inputs, positions: Positions, role: Role) -> Features:
        """Features of all positions, heads and examples."""
        ...


def positive_integer(name: str, value: int) -> int:
    """The value, if it is at least 1.

    Raises:
        ConfigError: it is not.
    """
    if value < 1:
        raise ConfigError(f"{name} must be an integer of at least 1, got {value!r}.")
    return value


def positive_number(name: str, value: float) -> float:
    """The value, if it is finite and above 0.

    Raises:
        ConfigError: it is not.
    """
    if not 0 < value < math.inf:
        raise ConfigError(f"{name} must be a finite number above 0, got {value!r}.")
    return value


def similarity_scale(scale: float | None, key_dim: int) -> float:
    """The factor of `q.k` in a similarity: `K**-0.5` where none is given."""
    return key_dim**-0.5 if scale is None else positive_number("scale", scale)
