"""How many associations the regression of a layer recalls, untrained, by the law of the keys."""

import math
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float64, Int64
from pydantic import AfterValidator, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from recollect.core import derive_seed, normal, uniform
from recollect.tasks.key_laws import KeyLaw
from recollect.tasks.untrained import UntrainedTask

LOADS = (1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Pairs for each key dimension: powers of 2 and, from 1/4 on, a point between them."""


class CapacityExamples(NamedTuple):
    """Associations, and which of them are asked for.

    Attributes:
        keys: of norm 1.
        values: of norm `sqrt(V)`, so that a channel has mean square 1, as what a layer projects.
        asked: numbers of the associations whose keys are queries; each at most once.
    """

    keys: Float64[Tensor, "B n K"]
    values: Float64[Tensor, "B n V"]
    asked: Int64[Tensor, "B M"]


def _increasing(loads: tuple[float, ...]) -> tuple[float, ...]:
    if not loads or any(a >= b for a, b in pairwise(loads)):
        raise ValueError("expected at least one load, in increasing order")
    return loads


class CapacityTask(UntrainedTask):
    """Give pairs of keys and values to the regressor of a layer, and ask for some; nothing is trained.

    Values are uniform on the sphere and independent of the keys. Nothing is trained: see
    `recollect.regression.reading`. Keys of a smaller load are the first ones of a larger.

    Attributes:
        keys: law of the keys.
        key_dim: channels `K` of a key.
        value_dim: channels `V` of a value.
        loads: pairs for each key dimension, `n / K`, in increasing order.
        num_sequences: sets of associations, which standard errors are over.
        queries: associations asked for in each of them, all if there are fewer.

    Example:
        >>> task = CapacityTask.parse({"keys": {"law": "sphere"}, "key_dim": 4, "loads": [0.5, 2]})
        >>> task.pairs
        (2, 8)
        >>> task.draw(seed=0, start=0, count=3, pairs=8).keys.shape
        torch.Size([3, 8, 4])
    """

    criterion: ClassVar[str] = "capacity"

    kind: Literal["capacity"] = "capacity"
    keys: KeyLaw
    key_dim: PositiveInt = 32
    value_dim: PositiveInt = 32
    loads: Annotated[tuple[PositiveFloat, ...], AfterValidator(_increasing)] = LOADS
    num_sequences: PositiveInt = 64
    queries: PositiveInt = 32

    @model_validator(mode="after")
    def _drawable(self) -> "CapacityTask":
        if self.key_dim < self.keys.least_dim:
            raise ValueError(
                f"`key_dim`={self.key_dim}: {self.keys.law} keys need at least {self.keys.least_dim} "
                f"channels; take more, or another law"
            )
        return self

    @property
    def dim(self) -> int:
        """Width of a layer whose only head has keys of this task."""
        return self.key_dim

    @property
    def pairs(self) -> tuple[int, ...]:
        """The numbers of associations, at least 1."""
        return tuple(sorted({max(1, round(load * self.key_dim)) for load in self.loads}))

    @property
    def steps(self) -> int:
        """Parts that a measurement reports its progress in: the loads."""
        return len(self.pairs)

    @property
    def cost(self) -> float:
        """Associations read, by all sequences and queries."""
        return float(self.num_sequences * sum(n + min(n, self.queries) for n in self.pairs))

    def facts(self) -> dict[str, Any]:
        """What tables and charts sort the task by."""
        return {
            "kind": self.kind, "criterion": self.criterion, "keys": self.keys.law,
            "key_dim": self.key_dim, "value_dim": self.value_dim,
        }  # fmt: skip

    def draw(
        self, seed: int, start: int, count: int, pairs: int, *, device: torch.device | str = "cpu"
    ) -> CapacityExamples:
        """Examples `start .. start+count-1` with this many associations."""
        indices = torch.arange(start, start + count, device=device)
        keys = self.keys.draw(derive_seed(seed, "capacity-keys", "test"), indices, pairs, self.key_dim)
        drawn = normal(derive_seed(seed, "capacity-values", "test"), indices, pairs * self.value_dim)
        values = drawn.unflatten(1, (pairs, self.value_dim))
        values = values * (math.sqrt(self.value_dim) / values.norm(dim=-1, keepdim=True))
        order = uniform(derive_seed(seed, "capacity-queries", "test"), indices, pairs).argsort(dim=-1)
        return CapacityExamples(keys, values, order[:, : self.queries])
