r"""State tracking: the product of all group elements so far, asked at every position.

$$s_t = g_t \circ g_{t-1} \circ \dots \circ g_0$$

Parity is the group of two elements, modular sums the cyclic groups; S3 is the smallest group that does not
commute, S5 the smallest symmetric group that is not solvable: tracking it is complete for NC1, out of reach
of a fixed number of linear layers with diagonal, input-independent or non-negative transitions, and of
attention (Merrill, Petty, Sabharwal 2024, arXiv:2404.08819; Grazzi et al. 2024, arXiv:2411.12537).
"""

from functools import lru_cache
from itertools import permutations
from math import factorial
from typing import ClassVar, Literal

import torch
from jaxtyping import Int64
from pydantic import Field, model_validator
from torch import Tensor

from recollect.core import derive_seed, integers
from recollect.core.shapes import Indices, Labels
from recollect.tasks.base import Batch, Split
from recollect.tasks.tokens import TokenTask

Group = Literal["parity", "modular", "s3", "s5"]
Table = Int64[Tensor, "order order"]

_MODULUS = 5
_POINTS = {"s3": 3, "s5": 5}


class StateTracking(TokenTask):
    """Read group elements, give their product up to each position.

    Token 0 is the blank (not used), token 1 + i the group's i-th element, in and out; elements are drawn
    uniformly. Permutations are numbered in lexicographic order, so that token 1 is the identity, and the
    later one is applied after the earlier. Scores are grouped by position.

    Attributes:
        group: `parity` (sum modulo 2), `modular` (sum modulo `modulus`), `s3`, `s5` (permutations).
        modulus: of `modular`.
        length: positions.
        test_lengths: further lengths that a trained model is tested at.

    Example:
        >>> batch = StateTracking(group="parity", length=6).batch(seed=0, split="train", start=0, count=1)
        >>> (batch.inputs - 1).tolist(), (batch.targets - 1).tolist()
        ([[0, 0, 1, 0, 0, 0]], [[0, 0, 1, 1, 1, 1]])
    """

    grouped_by: ClassVar[str | None] = "position"

    kind: Literal["state_tracking"] = "state_tracking"
    group: Group
    modulus: int = Field(default=_MODULUS, ge=2)
    length: int = Field(default=32, ge=1)
    test_lengths: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _meaningful(self) -> "StateTracking":
        if self.group != "modular" and self.modulus != _MODULUS:
            raise ValueError(f"`modulus` is for group='modular' alone, not for {self.group!r}: leave it out")
        if any(length < 1 for length in self.test_lengths):
            raise ValueError(f"`test_lengths`={self.test_lengths} must be positive")
        return self

    @property
    def order(self) -> int:
        """Number of elements of the group."""
        match self.group:
            case "parity":
                return 2
            case "modular":
                return self.modulus
            case permuted:
                return factorial(_POINTS[permuted])

    @property
    def vocabulary_size(self) -> int:
        return 1 + self.order

    @property
    def guess(self) -> float:
        """Accuracy without a memory: the first state is its own input, each later one uniform given it."""
        return (1 + (self.length - 1) / self.order) / self.length

    def test_tasks(self) -> "tuple[StateTracking, ...]":
        """The task itself, then at each of the other lengths."""
        others = [self.model_copy(update={"length": n, "test_lengths": ()}) for n in self.test_lengths]
        return (self, *others)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        elements = integers(derive_seed(seed, "state-tracking", split), indices, length, self.order)
        table = multiplication_table(self.group, self.order).to(indices.device)
        positions = torch.arange(length, device=indices.device).expand(len(indices), -1).clone()
        mask = torch.ones_like(elements, dtype=torch.bool)
        return Batch(1 + elements, 1 + prefix_products(elements, table), mask, positions)


@lru_cache
def multiplication_table(group: Group, order: int) -> Table:
    """`table[b, a]`: the element that is a first, then b.

    Example:
        >>> multiplication_table("modular", 3).tolist()
        [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    """
    if group in ("parity", "modular"):
        elements = torch.arange(order)
        return (elements[:, None] + elements) % order
    points = _POINTS[group]
    images = torch.tensor(list(permutations(range(points))))
    composed = images[:, images]
    digits = points ** torch.arange(points)
    numbers = (images * digits).sum(-1)
    ordered, elements = numbers.sort()
    return elements[torch.searchsorted(ordered, (composed * digits).sum(-1))]


def prefix_products(elements: Labels, table: Table) -> Labels:
    """The product of the elements 0..t for each t: log2(T) passes, the operation being associative."""
    products, reach = elements.clone(), 1
    while reach < elements.shape[1]:
        products[:, reach:] = table[products[:, reach:], products[:, :-reach]]
        reach *= 2
    return products
