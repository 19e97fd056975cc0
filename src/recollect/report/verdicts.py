"""In words: what each model learns, and what it does not."""

from collections.abc import Sequence
from dataclasses import dataclass

from recollect.report.results import Result

LEARNED_BELOW = 0.05
FAILED_ABOVE = 0.5


@dataclass(frozen=True)
class Verdict:
    """Tasks of one model by what became of them.

    Attributes:
        model: its label.
        learned: error below 5 %.
        partial: between the two limits.
        failed: error above 50 % (or none, since training diverged) in runs that had converged.
        open: above 5 % and still improving at the last step: the budget ended first, so nobody knows.
    """

    model: str
    learned: list[str]
    partial: list[str]
    failed: list[str]
    open: list[str]

    @property
    def num_tasks(self) -> int:
        return sum(map(len, (self.learned, self.partial, self.failed, self.open)))


def verdicts(found: Sequence[Result]) -> list[Verdict]:
    """One per model with a result, from the one that learns most tasks to the one that learns fewest."""
    models: dict[str, Verdict] = {}
    for result in found:
        if result.nmse is not None:
            verdict = models.setdefault(result.model, Verdict(result.model, [], [], [], []))
            _list_for(verdict, result.nmse, result.still_improving).append(result.task)
    return sorted(
        models.values(), key=lambda verdict: (-len(verdict.learned), len(verdict.failed), verdict.model)
    )


def _list_for(verdict: Verdict, nmse: float, still_improving: bool) -> list[str]:
    if nmse < LEARNED_BELOW:
        return verdict.learned
    if still_improving:
        return verdict.open
    return verdict.failed if nmse > FAILED_ABOVE else verdict.partial
