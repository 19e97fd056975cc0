"""The result of one model on one task."""

import math
from dataclasses import dataclass
from typing import Any

OVER_SEEDS = "over seeds"
OVER_TEST_SEQUENCES = "over test sequences"

SOLVED_ABOVE = 0.99
"""Accuracy above which a seed has solved its task."""


@dataclass(frozen=True)
class Result:
    """One model on one task, at the learning rate with the lowest median validation error.

    Attributes:
        task: its label.
        facts: of the task, as its records hold them.
        model: its label.
        criterion: what the score is, a name in `CRITERIA`.
        num_rates: learning rates tried; 0 where nothing was trained.
        num_failed: runs that ended with an error, at any rate.
        learning_rate: the chosen one; None where every run failed, or nothing was trained.
        num_seeds: runs at that rate that ended, those that diverged included.
        value, low, high: median test score over these seeds and its interval, in the criterion's unit. The
            value is infinitely bad where the median run has no score (it diverged before its first
            evaluation), None where every run failed; the interval is None where nothing says how wide it is.
        interval_kind: `over test sequences` (one seed: 1.96 standard errors) or `over seeds`.
        coverage: probability with which the interval encloses what it is for.
        value_long: median score at the longer test length; None where it is not defined.
        success: share of the seeds that solve the task (accuracy above .99); None for other criteria.
        steps_to_solve, seconds_to_solve: median over the seeds that solve it, None where none does.
        steps_to_half: median over the seeds whose validation error fell below a half.
        nmse_exact: median expected error, where it is computed without sampling.
        num_parameters, state_bytes: of the model (median over seeds), None where not recorded.
        num_diverged: runs at that rate that diverged.
        still_improving: whether some run at that rate had not converged at its last step.
        at_least: whether the value is a lower bound: a capacity beyond all loads that were measured.
        floor: the least NMSE that the model's class can have on the task, as proven; 0 where nothing is
            proven, None where no run says.
        floor_attained: NMSE of an explicit model of the class; None where none was built.
        floor_binds: whether a theorem bounds the class at all; None where no run says.
        floor_how: the theorem, or why there is none.
        excess: median NMSE above the floor, from the exact error where that is known; None where no theorem
            binds. Sampled errors can lie below a floor by chance: the excess is then negative.
        excess_low, excess_high: its interval, made like that of the value; None for one exact error.
        below_floor: whether some run lies below its floor by more than chance: a defect.
        best: the best score of its task, or equal to it.
        tied: not the best, but the interval overlaps that of the best: the runs cannot tell them apart.
    """

    task: str
    facts: dict[str, Any]
    model: str
    criterion: str
    num_rates: int
    num_failed: int
    learning_rate: float | None = None
    num_seeds: int = 0
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval_kind: str | None = None
    coverage: float | None = None
    value_long: float | None = None
    success: float | None = None
    steps_to_solve: float | None = None
    seconds_to_solve: float | None = None
    steps_to_half: float | None = None
    nmse_exact: float | None = None
    num_parameters: float | None = None
    state_bytes: float | None = None
    num_diverged: int = 0
    still_improving: bool = False
    at_least: bool = False
    floor: float | None = None
    floor_attained: float | None = None
    floor_binds: bool | None = None
    floor_how: str | None = None
    excess: float | None = None
    excess_low: float | None = None
    excess_high: float | None = None
    below_floor: bool = False
    best: bool = False
    tied: bool = False

    @property
    def family(self) -> str | None:
        """Family of the memory function, where the task has one."""
        return self.facts.get("family")

    @property
    def alpha(self) -> float | None:
        """Strength of the memory function, where the task has one."""
        return self.facts.get("alpha")

    @property
    def h95(self) -> float | None:
        """Lags that hold 95 % of the memory function's energy, where the task has one."""
        return self.facts.get("h95")

    @property
    def guess(self) -> float | None:
        """Score of the best guess that recalls nothing, where it is known."""
        return self.facts.get("guess")

    @property
    def has_value(self) -> bool:
        """Whether there is a number to show."""
        return self.value is not None and math.isfinite(self.value)

    @property
    def is_trained(self) -> bool:
        """False where layers were measured as they are."""
        return self.num_rates > 0

    @property
    def solved(self) -> str | None:
        """`2/3` where two of three seeds solve the task; None for one seed, and for other criteria."""
        if self.success is None or self.num_seeds < 2:
            return None
        return f"{round(self.success * self.num_seeds)}/{self.num_seeds}"

    @property
    def note(self) -> str:
        """What a reader must know before trusting the number, in words."""
        notes = ["not converged"] if self.still_improving else []
        notes += [f"{self.num_diverged} of {self.num_seeds} diverged"] if self.num_diverged else []
        notes += [f"{self.num_failed} failed"] if self.num_failed else []
        return ", ".join(notes)
