"""What solves a regression while a sequence is read: an op, or the general path."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from recollect.core.shapes import Values
from recollect.regression.problem import Associations, Constants, HeadSizes

State = Any
"""What a solver carries: a tensor, or a NamedTuple of tensors."""

Read = Callable[[Associations, Constants, State | None, str | None], tuple[Values, State]]
"""`read(associations, constants, state, form)`: outputs and final state; the empty state and default form for
`None`."""


@dataclass(frozen=True)
class Solver:
    """How a composition runs.

    Attributes:
        name: the op, or the general path, by name.
        forms: forms it has; the last one is the default. Streaming takes `recurrent` where there is one.
        read: runs it.
        initial_state: `(batch_size, sizes, constants, like)` to the state before the first association.
        state_size: `(sizes, length)` to the scalars carried for one sequence after `length` positions.
        cost: work for a sequence, in the letters of the axis legend.
    """

    name: str
    forms: tuple[str, ...]
    read: Read
    initial_state: Callable[[int, HeadSizes, Constants, Tensor], State]
    state_size: Callable[[HeadSizes, int], int]
    cost: str
