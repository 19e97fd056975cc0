"""What the six tasks of mechanistic architecture design share."""

from typing import Any, Literal, cast

from pydantic import Field, PositiveInt

from recollect.tasks.labels import label_kind, label_of
from recollect.tasks.tokens import TokenTask

Factor = Literal["baseline", "vocabulary", "length", "noise", "tokens", "examples"]


class MadTask(TokenTask):
    """A task with a baseline setting, of which one factor at a time is varied (arXiv:2403.17844).

    Attributes:
        factor: which one was varied here. It changes no example: it is what a score is broken down by.
        vocabulary: number of tokens, special ones included.
        training_examples: size of the fixed set to train on, which this benchmark varies; None leaves it to
            the training config.
    """

    factor: Factor = "baseline"
    vocabulary: int = Field(default=16, ge=4)
    training_examples: PositiveInt | None = None

    @property
    def vocabulary_size(self) -> int:
        return self.vocabulary

    @property
    def label(self) -> str:
        """The kind, and whatever differs from the baseline."""
        return label_of(self, "factor")

    def facts(self) -> dict[str, Any]:
        return {
            "kind": label_kind(self),
            "benchmark": "mad",
            "factor": cast("str", self.factor),
            "length": self.length,
            "vocabulary": self.vocabulary,
            "guess": self.guess,
        }
