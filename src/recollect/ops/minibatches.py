"""Moving sequences so that their minibatches begin at the same columns, wherever in one they had stopped."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Minibatches:
    """How a batch of sequences is cut into `N` minibatches of `C` columns.

    A sequence that has read `p` positions of its minibatch continues at column `p`. The columns before and
    after it hold copies of other positions, and are not `present`. Batch and heads become one axis.

    Attributes:
        size: the columns of a minibatch.
        length: the positions of a sequence.
        num_heads: the heads of a sequence.
        position: how many positions of its minibatch each sequence has read.
    """

    size: int
    length: int
    num_heads: int
    position: Int64[Tensor, " B"]

    @classmethod
    def of(cls, size: int, position: Int64[Tensor, " B"], length: int, num_heads: int) -> "Minibatches":
        """Minibatches of `size`; no more columns than needed where they are longer than the sequence."""
        unused = max(size - length, 0)
        return cls(size - unused, length, num_heads, (position - unused).clamp(min=0))

    @property
    def num_minibatches(self) -> int:
        """Enough to continue at any column."""
        return -(-(self.length + self.size - 1) // self.size)

    def present(self) -> Bool[Tensor, "heads N C"]:
        """Whether a column holds a position."""
        index = self._positions()
        inside = (index >= 0) & (index < self.length)
        return inside.repeat_interleave(self.num_heads, dim=0).unflatten(1, (-1, self.size))

    def split(self, x: Float[Tensor, "B T H *rest"]) -> Float[Tensor, "heads N C *rest"]:
        """A sequence in columns."""
        batch, head = self._batch(), torch.arange(self.num_heads, device=x.device).unsqueeze(1)
        index = self._positions().clamp(0, self.length - 1).unsqueeze(1)
        rows = (batch * self.length + index) * self.num_heads + head
        columns = x.flatten(0, 2).index_select(0, rows.flatten())
        return columns.unflatten(0, (-1, self.num_minibatches, self.size))

    def merge(self, x: Float[Tensor, "heads N C V"]) -> Float[Tensor, "B T H V"]:
        """The inverse of `split`."""
        batch, head = self._batch(), torch.arange(self.num_heads, device=x.device)
        column = torch.arange(self.length, device=x.device).unsqueeze(1) + self.position[:, None, None]
        rows = (batch * self.num_heads + head) * self.num_minibatches * self.size + column
        return x.flatten(0, 2).index_select(0, rows.flatten()).unflatten(0, rows.shape)

    def _positions(self) -> Int64[Tensor, "B columns"]:
        columns = torch.arange(self.num_minibatches * self.size, device=self.position.device)
        return columns - self.position.unsqueeze(1)

    def _batch(self) -> Int64[Tensor, "B 1 1"]:
        return torch.arange(len(self.position), device=self.position.device)[:, None, None]
