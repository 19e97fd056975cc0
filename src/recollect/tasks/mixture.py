"""A mixture of recall tasks: trained on several lengths and loads at once, tested on each."""

from bisect import bisect
from functools import lru_cache
from itertools import accumulate
from typing import Any, ClassVar, Literal

import torch
from pydantic import PositiveInt, model_validator

from recollect.core import derive_seed, integers
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.mqar import MQAR
from recollect.tasks.tokens import TokenTask

_BLOCK_STEPS = 256


class Mixture(TokenTask):
    r"""Each step of training draws one part, with a probability proportional to its `examples`.

    Attributes:
        parts: what training draws from; all with one vocabulary.
        examples: share of each part. Only their ratios count, unless training is on a fixed set.
        tests: what a trained model is tested on; the parts if there are none.
        length: the longest part's; it follows from the parts.

    Raises:
        ValidationError: there are not as many `examples` as `parts`, a part comes twice, or the
            vocabularies or the forms (stacked or not) differ.

    Example:
        >>> short, long = MQAR(length=64, num_pairs=4), MQAR(length=128, num_pairs=8)
        >>> task = Mixture(parts=(short, long), examples=(100_000, 20_000))
        >>> [task.part_of(0, "train", step).length for step in range(8)]
        [128, 128, 64, 64, 64, 64, 64, 64]
    """

    grouped_by: ClassVar[str | None] = "gap"

    kind: Literal["mixture"] = "mixture"
    length: PositiveInt = 1
    parts: tuple[MQAR, ...]
    examples: tuple[PositiveInt, ...]
    tests: tuple[MQAR, ...] = ()

    @model_validator(mode="after")
    def _meaningful(self) -> "Mixture":
        if not self.parts:
            raise ValueError("`parts` must name at least one task")
        if len(self.examples) != len(self.parts):
            raise ValueError(
                f"`examples` needs {len(self.parts)} numbers, one a part, got {len(self.examples)}"
            )
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("`parts` must differ: give a part that comes twice more `examples`")
        for name in ("vocabulary", "stacked"):
            found = sorted({getattr(task, name) for task in (*self.parts, *self.tests)})
            if len(found) > 1:
                raise ValueError(f"`parts` and `tests` must have one `{name}`, got {found}")
        longest = max(part.length for part in self.parts)
        object.__setattr__(self, "length", longest)
        return self

    @property
    def vocabulary_size(self) -> int:
        return self.parts[0].vocabulary

    @property
    def guess(self) -> float:
        """Mean over the tests of the accuracy of a guess among the values of the context."""
        tests = self.test_tasks()
        return sum(test.guess for test in tests) / len(tests)

    @property
    def label(self) -> str:
        """What the parts range over."""
        ranges = [f"{name}={_range(self.parts, name)}" for name in ("length", "num_pairs", "vocabulary")]
        return f"mixture({', '.join(ranges)})"

    def facts(self) -> dict[str, Any]:
        return super().facts() | {
            "num_pairs": max(part.num_pairs for part in self.parts),
            "vocabulary": self.vocabulary_size,
            "fillers": "/".join(sorted({part.fillers for part in self.parts})),
        }

    def test_tasks(self) -> tuple[MQAR, ...]:
        return self.tests or self.parts

    def part_of(self, seed: int, split: Split, step: int) -> MQAR:
        """The part that training step `step` draws a batch from."""
        block, place = divmod(step, _BLOCK_STEPS)
        draws = _block_of_draws(derive_seed(seed, "mixture-part", split), block, sum(self.examples))
        return self.parts[bisect(list(accumulate(self.examples)), draws[place])]

    def examples_of(self, part: MQAR, examples: int) -> int:
        """The part's share of a fixed set of `examples` in all, at least one."""
        share = self.examples[self.parts.index(part)]
        return max(1, round(examples * share / sum(self.examples)))

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        """Refused: the parts differ in length, so one tensor does not hold examples of several.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "a mixture has no batches of its own: draw from `part_of(seed, split, step)` or from one of "
            "`test_tasks()`"
        )


def _range(parts: tuple[MQAR, ...], name: str) -> str:
    """Least to largest value of a field, or the only one."""
    values = [getattr(part, name) for part in parts]
    return f"{min(values)}" if len(set(values)) == 1 else f"{min(values)}-{max(values)}"


@lru_cache(maxsize=8)
def _block_of_draws(seed: int, block: int, high: int) -> list[int]:
    """Draws of many steps at once: those of a single one would take as long."""
    steps = torch.arange(block * _BLOCK_STEPS, (block + 1) * _BLOCK_STEPS)
    return integers(seed, steps, 1, high).flatten().tolist()
