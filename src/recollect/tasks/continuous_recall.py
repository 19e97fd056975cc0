"""Associative recall of vectors: the same questions as MQAR, without a vocabulary to embed."""

from typing import Any, ClassVar, Literal

import torch
from einops import rearrange
from jaxtyping import Float64
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from recollect.core import derive_seed, normal
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.continuous import ContinuousTask
from recollect.tasks.sampling import power_law


class ContinuousRecall(ContinuousTask):
    r"""Recall vectors by vectors: $n$ pairs $(k_i, v_i)$, then each $k_i$ once more, where $v_i$ is asked.

    Keys are uniform on the sphere of radius $\sqrt{d}$, $d$ = `key_dim`, and values standard normal: every
    channel has variance 1, and the mean squared error is relative to the values. The best guess that does
    not recall, the mean of the context's values, has an error of $1 - 1/n$; least squares is exact for
    $n \le d$.

    The first `key_dim` channels of the inputs are for keys, the others for values; whatever is not there is
    zero. A question has a key and no value.

    Attributes:
        length: positions; `2 num_pairs` or more if `stacked`, else even and `4 num_pairs` or more.
        num_pairs: pairs n that are asked.
        key_dim: channels of a key.
        value_dim: channels of a value.
        stacked: whether key and value stand together at one position (no convolution is needed to tie
            them), or the value follows its key at the next.
        power: exponent a of the law of the slots: slot j of the rest with probability proportional to
            `j^(a-1)`, without replacement.
        fillers: what the slots without a question hold: nothing, or further pairs that are never asked.

    Batches are grouped by the gap: positions between a pair's key and its question; -1 elsewhere.

    Raises:
        ValidationError: the length is too small, or odd.

    Example:
        >>> task = ContinuousRecall(length=8, num_pairs=2, key_dim=5, value_dim=3)
        >>> batch = task.batch(seed=0, split="train", start=0, count=4)
        >>> batch.inputs.shape, batch.targets[batch.mask].shape
        (torch.Size([4, 8, 8]), torch.Size([8, 3]))
    """

    grouped_by: ClassVar[str | None] = "gap"

    kind: Literal["continuous_recall"] = "continuous_recall"
    length: PositiveInt
    num_pairs: PositiveInt
    key_dim: PositiveInt = 16
    value_dim: PositiveInt = 16
    stacked: bool = True
    power: PositiveFloat = 0.01
    fillers: Literal["blank", "random"] = "blank"

    @model_validator(mode="after")
    def _meaningful(self) -> "ContinuousRecall":
        self._check(self.length)
        return self

    @property
    def input_size(self) -> int:
        return self.key_dim + self.value_dim

    @property
    def output_size(self) -> int:
        return self.value_dim

    @property
    def guess(self) -> float:
        """NMSE of the mean of the context's values."""
        return 1 - 1 / self.num_pairs

    def facts(self) -> dict[str, Any]:
        shown = ("num_pairs", "key_dim", "value_dim", "fillers", "stacked")
        return super().facts() | {name: getattr(self, name) for name in shown}

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        self._check(length)
        n, width = self.num_pairs, self._width

        def seeds(purpose: str) -> int:
            return derive_seed(seed, f"continuous_recall-{purpose}", split)

        keys, values = self._pairs(seeds("keys"), seeds("values"), indices, n)
        num_slots = length // width - n
        if self.fillers == "random":
            other = self._pairs(seeds("filler-keys"), seeds("filler-values"), indices, num_slots)
        else:
            other = tuple(
                pairs.new_zeros(len(indices), num_slots, pairs.shape[2]) for pairs in (keys, values)
            )
        row = torch.arange(len(indices), device=indices.device)[:, None]
        at = n + power_law(seeds("slots"), indices, n, num_slots, self.power)
        slots_k, slots_v = torch.cat([keys, other[0]], dim=1), torch.cat([values, other[1]], dim=1)
        slots_k[row, at], slots_v[row, at] = keys, torch.zeros_like(values)

        targets = keys.new_zeros(len(indices), length, self.value_dim, dtype=dtype)
        targets[row, width * at] = values.to(dtype)
        gaps = width * (at - torch.arange(n, device=indices.device))
        groups = torch.full((len(indices), length), -1, device=indices.device).scatter_(1, width * at, gaps)
        return Batch(self._inputs(slots_k, slots_v).to(dtype), targets, groups >= 0, groups)

    def _pairs(
        self, key_seed: int, value_seed: int, indices: Indices, count: int
    ) -> tuple[Float64[Tensor, "B n K"], Float64[Tensor, "B n V"]]:
        keys = normal(key_seed, indices, count * self.key_dim).unflatten(1, (count, self.key_dim))
        values = normal(value_seed, indices, count * self.value_dim).unflatten(1, (count, self.value_dim))
        return keys * (self.key_dim**0.5 / torch.linalg.vector_norm(keys, dim=-1, keepdim=True)), values

    def _inputs(
        self, keys: Float64[Tensor, "B n K"], values: Float64[Tensor, "B n V"]
    ) -> Float64[Tensor, "B T inputs"]:
        """Each pair at one position, or its value at the one after its key."""
        if self.stacked:
            return torch.cat([keys, values], dim=-1)
        apart = keys.new_zeros(*keys.shape[:2], 2, self.input_size)
        apart[:, :, 0, : self.key_dim] = keys
        apart[:, :, 1, self.key_dim :] = values
        return rearrange(apart, "B n two inputs -> B (n two) inputs")

    @property
    def _width(self) -> int:
        """Positions that a pair takes, and a slot."""
        return 1 if self.stacked else 2

    def _check(self, length: int) -> None:
        """Whether an example of this length is possible."""
        needed = 2 * self._width * self.num_pairs
        if length % self._width:
            raise ValueError(f"expected an even `length`, got {length}: take {length + 1}, or stacked=True")
        if length < needed:
            raise ValueError(
                f"expected `length` >= {needed} for {self.num_pairs} pairs and as many questions, got "
                f"{length}: take a longer one or fewer pairs"
            )
