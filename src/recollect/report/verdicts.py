"""In words: what each model learns, and what it does not."""

from collections.abc import Sequence
from dataclasses import dataclass

from recollect.report.results import SOLVED_ABOVE, Result

LEARNED_BELOW = 0.05
FAILED_ABOVE = 0.5
NEAR_GUESSING = 0.05


@dataclass(frozen=True)
class Words:
    """How verdicts on one criterion are said.

    Attributes:
        learned: before the number of tasks that are learned.
        failed: before the names of the tasks that are not.
        limits: where the lines are drawn.
    """

    learned: str
    failed: str
    limits: str


WORDS = {
    "nmse": Words(
        "learns", "fails on", f"Learns: error below {LEARNED_BELOW}. Fails: above {FAILED_ABOVE}, converged."
    ),
    "accuracy": Words(
        "solves",
        "at guessing on",
        f"Solves: accuracy above {100 * SOLVED_ABOVE:g} %. At guessing: no more than "
        f"{100 * NEAR_GUESSING:g} % of the way from guessing to 1.",
    ),
}
"""The criteria that have verdicts: for others there is no line between success and failure."""


@dataclass(frozen=True)
class Verdict:
    """Tasks of one model, scored by one criterion, by what became of them.

    Attributes:
        model: its label.
        learned: error below 5 %; accuracy above 99 %.
        partial: between the two limits.
        failed: error above 50 % (or none, since training diverged), accuracy that of guessing; in runs that
            had converged.
        open: not learned and still improving at the last step: the budget ended first, so nobody knows.
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
    """One per model with a result, from the one that learns most tasks to the one that learns fewest.

    `found` are results of one criterion; there are none where `WORDS` does not have it.
    """
    models: dict[str, Verdict] = {}
    for result in found:
        if result.value is not None and result.criterion in WORDS:
            verdict = models.setdefault(result.model, Verdict(result.model, [], [], [], []))
            _list_for(verdict, result, result.value).append(result.task)
    return sorted(
        models.values(), key=lambda verdict: (-len(verdict.learned), len(verdict.failed), verdict.model)
    )


def _list_for(verdict: Verdict, result: Result, value: float) -> list[str]:
    if result.criterion == "nmse":
        is_learned, is_failed = value < LEARNED_BELOW, value > FAILED_ABOVE
    else:
        guess = result.guess or 0.0
        is_learned, is_failed = value > SOLVED_ABOVE, value <= guess + NEAR_GUESSING * (1 - guess)
    if is_learned:
        return verdict.learned
    if result.still_improving:
        return verdict.open
    return verdict.failed if is_failed else verdict.partial
