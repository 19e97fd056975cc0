"""In-context recall between pairs of noise tokens.

In the spirit of mechanistic architecture design (Poli et al. 2024, arXiv:2403.17844).
"""

from typing import Literal

import torch
from pydantic import Field, model_validator

from recollect.core import derive_seed, integers, uniform
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.mad.associations import SlotMask, ask_next, draw_pairs, most_frequent_value
from recollect.tasks.mad.base import MadTask


class NoisyRecall(MadTask):
    """Give the value of every key shown before; some pairs are two tokens of noise instead.

    Of the tokens that are not noise the first half are keys, the second values; noise tokens are the last.

    Attributes:
        length: positions, an even number.
        noise: probability that a pair is noise. One pair before the last is never noise, nor is the last.
        noise_vocabulary: tokens that stand for nothing, part of `vocabulary`.
        next_token: train on every next token, as the public protocol does, not on the asked ones alone.

    Example:
        >>> task = NoisyRecall(length=8, vocabulary=8, noise_vocabulary=4, noise=0.8)
        >>> task.batch(seed=0, split="test", start=0, count=1).inputs.tolist()
        [[1, 3, 7, 4, 0, 3, 0, 3]]
    """

    kind: Literal["mad_noisy_recall"] = "mad_noisy_recall"
    length: int = Field(default=128, ge=4, multiple_of=2)
    vocabulary: int = Field(default=32, ge=5)
    noise: float = Field(default=0.2, ge=0, lt=1)
    noise_vocabulary: int = Field(default=16, ge=1)
    next_token: bool = False

    @model_validator(mode="after")
    def _meaningful(self) -> "NoisyRecall":
        signal = self.vocabulary - self.noise_vocabulary
        if signal < 4 or signal % 2:
            raise ValueError(
                f"`vocabulary` - `noise_vocabulary` = {signal} tokens are left for keys and values: "
                f"expected an even number, at least 4"
            )
        return self

    @property
    def guess(self) -> float:
        """Accuracy of the value seen most often so far."""
        signal = self.vocabulary - self.noise_vocabulary
        return most_frequent_value(self, signal // 2, signal - 1)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        is_noise = self._noisy_slots(seed, split, indices, length // 2)
        signal = self.vocabulary - self.noise_vocabulary
        pairs = draw_pairs(seed, split, indices, is_noise, signal // 2, signal // 2)
        tokens = torch.stack([pairs.keys, signal // 2 + pairs.values], dim=-1)
        words = derive_seed(seed, "mad-noise-tokens", split)
        fillers = signal + integers(words, indices, is_noise.shape[1] * 2, self.noise_vocabulary)
        tokens = torch.where(is_noise[..., None], fillers.view_as(tokens), tokens).flatten(1)
        is_answer = torch.stack([torch.zeros_like(is_noise), pairs.is_asked], dim=-1).flatten(1)
        return ask_next(tokens, is_answer, everywhere=self.next_token and split == "train")

    def _noisy_slots(self, seed: int, split: Split, indices: Indices, slots: int) -> SlotMask:
        is_noise = uniform(derive_seed(seed, "mad-noise", split), indices, slots) < self.noise
        kept = integers(derive_seed(seed, "mad-never-noise", split), indices, 1, slots - 1)
        is_noise.scatter_(1, kept, False)
        is_noise[:, -1] = False
        return is_noise
