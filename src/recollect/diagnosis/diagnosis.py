"""What a diagnosis found, whole: as objects, in three sentences, and as plain JSON."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from recollect import __version__
from recollect.core import ConfigError
from recollect.diagnosis.confirmation import Confirmation, confirm
from recollect.diagnosis.document import (
    VERSION,
    estimation_facts,
    input_shares,
    memory_function,
    number_facts,
    plain,
    recommendation_facts,
    series_facts,
)
from recollect.diagnosis.question import NOISE_MARGIN
from recollect.diagnosis.recommendation import Recommendation
from recollect.diagnosis.sentences import three_sentences
from recollect.diagnosis.series import Series
from recollect.probing import MemoryEstimator, MemoryNumbers

Progress = Callable[[str], None]

_SMALL_SHARE = 0.05


def silent(stage: str) -> None:
    """No progress is shown."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What a series remembers, and what can learn it.

    Attributes:
        series: the data.
        estimator: the fitted memory function, with its bands and tests.
        numbers: horizon, decay, rank and the like, of the memory functions of all inputs together, each in
            units of the target (times the deviation of its input).
        target_nmse: the error that was asked for, a share of the target's variance, noise included.
        recommendations: one for each architecture family; empty where no memory was found.
        best: of those that a theorem binds and that reach the target, the one that carries and multiplies the
            fewest numbers at a position.
        confirmation: predicted and measured errors of trained models, where that was asked for.
        warnings: what a reader must know before believing any of it.
    """

    series: Series
    estimator: MemoryEstimator
    numbers: MemoryNumbers
    target_nmse: float
    recommendations: tuple[Recommendation, ...]
    best: Recommendation | None
    confirmation: Confirmation | None
    warnings: tuple[str, ...]

    @property
    def memory_found(self) -> bool:
        """Whether a linear functional of the past predicts better than the mean, out of sample."""
        return has_memory(self.estimator)

    @property
    def reached_below(self) -> float:
        """The error that counts as reached: the target, or the noise and a third of it if that is more."""
        return max(self.target_nmse, NOISE_MARGIN * self.estimator.noise_nmse_)

    def confirmed(self, *, seed: int = 0, on_progress: Progress = silent, **options: Any) -> "Diagnosis":
        """The same diagnosis, the best recommendation and its neighbouring sizes trained.

        Args:
            seed: of the training.
            on_progress: is told what is trained.
            options: of `confirm`, e.g. `steps`.

        Raises:
            ConfigError: no size is recommended.
        """
        if self.best is None:
            raise ConfigError("no size is recommended, so there is no model to train for a confirmation.")
        on_progress(f"training {self.best.family} and its neighbours")
        found = confirm(
            self.series,
            self.estimator,
            self.best,
            target_nmse=self.target_nmse,
            seed=seed,
            on_progress=on_progress,
            **options,
        )
        return replace(self, confirmation=found)

    def sentences(self) -> tuple[str, str, str]:
        """The answer: what is remembered, how much of it is explained, what suffices to learn it."""
        return three_sentences(self._facts())

    def document(self) -> dict[str, Any]:
        """Everything as plain JSON, with fixed keys; what the page and the terminal are drawn from.

        `memory_function` holds `values`, `lower` and `upper`, lag 0 first, in data units, not normalised;
        where there are several inputs, such an object for each of their names. Numbers that are not finite
        are null.
        """
        facts = self._facts()
        head = {"version": VERSION, "recollect": __version__, "sentences": list(three_sentences(facts))}
        return head | facts

    def _facts(self) -> dict[str, Any]:
        estimator, names, best = self.estimator, self.series.input_names, self.best
        facts = {
            "warnings": self.warnings,
            "series": series_facts(self.series),
            "memory_found": self.memory_found,
            "memory_function": memory_function(estimator, names),
            "input_shares": input_shares(estimator, self.series),
            "lags": estimator.lags_,
            "confidence": estimator.confidence,
            **number_facts(self.numbers, found=self.memory_found),
            "linear_share": estimator.linear_share_,
            "linear_share_interval": estimator.linear_share_interval_,
            "noise_nmse": estimator.noise_nmse_,
            "remainder": estimator.remainder_,
            "excitation": estimator.excitation_,
            "target_nmse": self.target_nmse,
            "reached_below": self.reached_below,
            "recommended": None if best is None else {"family": best.family, "size": best.size},
            "recommendations": [recommendation_facts(one) for one in self.recommendations],
            "confirmation": self.confirmation,
            "estimation": estimation_facts(estimator, names),
        }
        return plain(facts)


def has_memory(estimator: MemoryEstimator) -> bool:
    """Whether the linear share is above 0; a small one must be safely so."""
    is_safe = estimator.linear_share_interval_[0] > 0
    return bool(estimator.linear_share_ > (0 if is_safe else _SMALL_SHARE))
