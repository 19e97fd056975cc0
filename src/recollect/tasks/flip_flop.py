"""Flip-flop: remember one bit, rewritten now and then, among bits to be ignored.

The language of Liu et al. (2023, arXiv:2306.00946): instructions write, ignore and read, each followed by
a bit. The first instruction writes, the last one reads, the others ignore with a given probability and
else write or read alike.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field

from recollect.core import derive_seed, integers, uniform
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.tokens import IGNORED, TokenTask

WRITE, IGNORE, READ = 1, 2, 3
"""The instructions."""

ZERO = 4
"""The bit 0; the bit 1 is the token after it."""


class FlipFlop(TokenTask):
    """`write 1 ignore 0 ignore 1 read 1 ...`: at each `read` the bit written last is asked.

    Token 0 is the blank (not used). Scores are grouped by the number of pairs since the last `write`.

    Attributes:
        length: positions, an even number.
        ignored: probability that a pair is to be ignored.

    Example:
        >>> batch = FlipFlop(length=8, ignored=0.5).batch(seed=0, split="train", start=0, count=1)
        >>> bool(batch.inputs[0, 0] == WRITE), bool(batch.inputs[0, -2] == READ)
        (True, True)
    """

    grouped_by: ClassVar[str | None] = "gap"

    kind: Literal["flip_flop"] = "flip_flop"
    length: int = Field(default=512, ge=4, multiple_of=2)
    ignored: float = Field(default=0.8, ge=0, lt=1)

    @property
    def vocabulary_size(self) -> int:
        return ZERO + 2

    @property
    def guess(self) -> float:
        """Accuracy of any guess that does not remember the bit."""
        return 0.5

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        slots = length // 2
        chance = uniform(derive_seed(seed, "flip-flop-instructions", split), indices, slots)
        read = (1 + self.ignored) / 2
        instructions = torch.where(chance < self.ignored, IGNORE, torch.where(chance < read, READ, WRITE))
        instructions[:, 0], instructions[:, -1] = WRITE, READ
        bits = integers(derive_seed(seed, "flip-flop-bits", split), indices, slots, 2)

        place = torch.arange(slots, device=indices.device).expand(len(indices), -1)
        written = torch.where(instructions == WRITE, place, 0).cummax(dim=1).values
        is_read = instructions == READ
        bits = ZERO + torch.where(is_read, bits.gather(1, written), bits)
        nothing = torch.full_like(bits, IGNORED)
        columns = [(instructions, bits), (torch.where(is_read, bits, nothing), nothing)]
        columns += [(torch.where(is_read, place - written, nothing), nothing)]
        inputs, targets, groups = (torch.stack(pair, dim=-1).flatten(1) for pair in columns)
        return Batch(inputs, targets, targets != IGNORED, groups)
