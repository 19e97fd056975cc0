"""Classes of models that no theorem bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from recollect.floors.floor import Floor
from recollect.floors.problem import Problem


@final
@dataclass(frozen=True)
class NoFloor:
    """A class of which no floor is claimed.

    Attributes:
        reason: why, as a clause.

    Example:
        >>> import torch
        >>> problem = Problem(torch.ones(4, dtype=torch.float64))
        >>> NoFloor("its gates are not linear").floors(problem, [8])[0].binding
        False
    """

    reason: str
    unit: str = "units"

    def floors(self, problem: Problem, sizes: Sequence[int]) -> list[Floor]:
        """For each size a floor that does not bind."""
        return [Floor(size, 0.0, None, None, self.reason, binding=False) for size in sizes]
