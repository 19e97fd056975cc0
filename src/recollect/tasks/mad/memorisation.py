"""Memorisation: a fixed table of keys and values, learned in the parameters.

In the spirit of mechanistic architecture design (Poli et al. 2024, arXiv:2403.17844).
"""

from typing import Literal

import torch
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor

from recollect.core import derive_seed, integers
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.mad.base import MadTask
from recollect.tasks.sampling import distinct
from recollect.tasks.tokens import BLANK, IGNORED


class Memorisation(MadTask):
    """`k . k . k .`: at each blank the value of the key before it is asked.

    Token 0 is the blank; of the others the first half are keys, the second values. Each key has a value of
    its own, the same in every sequence, split and seed of a run: nothing in the sequence tells it.

    Attributes:
        length: positions, an even number.
        table: seed of the table.

    Example:
        >>> task = Memorisation(length=6, vocabulary=10)
        >>> batch = task.batch(seed=0, split="test", start=0, count=1)
        >>> keys = batch.inputs[0, ::2]
        >>> torch.equal(batch.targets[0, 1::2], task.values()[keys - 1])
        True
    """

    kind: Literal["mad_memorisation"] = "mad_memorisation"
    length: int = Field(default=32, ge=2, multiple_of=2)
    vocabulary: int = Field(default=256, ge=4)
    table: int = Field(default=0, ge=0)

    @property
    def num_keys(self) -> int:
        """Keys of the table."""
        return (self.vocabulary - 1) // 2

    @property
    def guess(self) -> float:
        """Accuracy of any guess that knows nothing of the table but its values."""
        return 1 / self.num_keys

    def values(self, device: torch.device | str = "cpu") -> Int64[Tensor, " keys"]:
        """The value of each key: of token 1, 2, ..."""
        row = torch.arange(1, device=device)
        num_values = self.vocabulary - 1 - self.num_keys
        chosen = distinct(derive_seed(self.table, "mad-table"), row, self.num_keys, num_values)
        return 1 + self.num_keys + chosen[0]

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        slots = length // 2
        keys = integers(derive_seed(seed, "mad-keys", split), indices, slots, self.num_keys)
        values = self.values(indices.device)[keys]
        inputs = torch.stack([1 + keys, torch.full_like(keys, BLANK)], dim=-1).flatten(1)
        targets = torch.stack([torch.full_like(keys, IGNORED), values], dim=-1).flatten(1)
        return Batch(inputs, targets, targets != IGNORED)
