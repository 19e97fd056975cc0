r"""In-context recall: pairs of a key and a value fill the sequence; keys that come again are asked.

`k1 v1 k2 v2 k1 v1 ...`: the values are drawn anew for every sequence. In the spirit of mechanistic
architecture design (Poli et al. 2024, arXiv:2403.17844), multi-query variant.
"""

from typing import Literal

import torch
from pydantic import Field, model_validator

from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.mad.associations import ask_next, draw_pairs, most_frequent_value
from recollect.tasks.mad.base import MadTask


class InContextRecall(MadTask):
    """Give the value of every key that the sequence has shown before.

    Keys are the first half of the tokens, values the second (there is no blank). Keys come with
    replacement, the last one is always one that was there before. The target stands at the key.

    Attributes:
        length: positions, an even number.
        next_token: train on every next token, as the public protocol does, not on the asked ones alone.

    Example:
        >>> batch = InContextRecall(length=12, vocabulary=6).batch(seed=0, split="test", start=0, count=1)
        >>> batch.inputs.tolist()
        [[2, 5, 0, 3, 0, 3, 0, 3, 0, 3, 2, 5]]
        >>> batch.targets.tolist()
        [[-100, -100, -100, -100, 3, -100, 3, -100, 3, -100, 5, -100]]
    """

    kind: Literal["mad_recall"] = "mad_recall"
    length: int = Field(default=128, ge=4, multiple_of=2)
    next_token: bool = False

    @model_validator(mode="after")
    def _meaningful(self) -> "InContextRecall":
        if self.vocabulary % 2:
            raise ValueError(f"`vocabulary`={self.vocabulary} must be even: half keys, half values")
        return self

    @property
    def guess(self) -> float:
        """Accuracy of the value seen most often so far."""
        return most_frequent_value(self, self.vocabulary // 2, self.vocabulary - 1)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        slots = length // 2
        is_noise = torch.zeros(len(indices), slots, dtype=torch.bool, device=indices.device)
        half = self.vocabulary // 2
        pairs = draw_pairs(seed, split, indices, is_noise, half, half)
        tokens = torch.stack([pairs.keys, half + pairs.values], dim=-1).flatten(1)
        is_answer = torch.stack([is_noise, pairs.is_asked], dim=-1).flatten(1)
        return ask_next(tokens, is_answer, everywhere=self.next_token and split == "train")
