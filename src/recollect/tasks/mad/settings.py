"""The settings of the benchmark, as plain data: six baselines, and one factor at a time varied.

The values are those of mechanistic architecture design (Poli et al. 2024, arXiv:2403.17844): 66 settings,
each trained with every choice of `LEARNING_RATES` x `WEIGHT_DECAYS`, 396 runs an architecture. `small` is
ours: shorter sequences and fewer examples, for a CPU.
"""

from dataclasses import dataclass
from typing import Any, Literal

from recollect.tasks.mad.base import Factor

Scale = Literal["small", "full"]

BATCH_SIZE = 128
EPOCHS = 200
LEARNING_RATES = (1e-4, 5e-4, 1e-3)
WEIGHT_DECAYS = (0.0, 0.1)
TEST_EXAMPLES = 1280


@dataclass(frozen=True)
class Setting:
    """One setting: what its task is parsed from, and how many different training examples there are."""

    task: dict[str, Any]
    examples: int

    @property
    def factor(self) -> Factor:
        """What was varied."""
        return self.task["factor"]


@dataclass(frozen=True)
class Plan:
    """The baseline of a task, and the values that its factors take beside it."""

    baseline: dict[str, Any]
    examples: int
    varied: dict[str, tuple[Any, ...]]

    def settings(self, kind: str) -> tuple[Setting, ...]:
        """The baseline, then each factor in turn."""
        found = [Setting({"kind": kind, **self.baseline, "factor": "baseline"}, self.examples)]
        for field, values in self.varied.items():
            for value in values:
                changed = {} if field == "examples" else {field: value}
                task = {"kind": kind, **self.baseline, **changed, "factor": FACTOR_OF_FIELD[field]}
                found.append(Setting(task, value if field == "examples" else self.examples))
        return tuple(found)


FACTOR_OF_FIELD: dict[str, Factor] = {
    "vocabulary": "vocabulary",
    "length": "length",
    "noise": "noise",
    "num_tokens": "tokens",
    "examples": "examples",
}

_FEWER = (6400, 3200, 1600, 800)
_RECALL = Plan(
    {"vocabulary": 16, "length": 128},
    12_800,
    {"vocabulary": (32, 64, 128), "length": (256, 512, 1024), "examples": _FEWER},
)
_SMALL_RECALL = Plan(
    {"vocabulary": 16, "length": 64}, 3200, {"vocabulary": (32,), "length": (128,), "examples": (800,)}
)

PLANS: dict[Scale, dict[str, Plan]] = {
    "full": {
        "mad_recall": _RECALL,
        "mad_fuzzy_recall": _RECALL,
        "mad_noisy_recall": Plan(
            {"vocabulary": 32, "length": 128, "noise": 0.2},
            12_800,
            {
                "vocabulary": (48, 80, 144),
                "length": (256, 512, 1024),
                "examples": _FEWER,
                "noise": (0.4, 0.6, 0.8),
            },
        ),
        "mad_selective_copying": Plan(
            {"vocabulary": 16, "length": 256, "num_tokens": 16},
            12_800,
            {
                "vocabulary": (32, 64, 128),
                "length": (512, 1024),
                "examples": _FEWER,
                "num_tokens": (32, 64, 96),
            },
        ),
        "mad_compression": Plan(
            {"vocabulary": 16, "length": 32},
            12_800,
            {"vocabulary": (32, 64, 128), "length": (64, 128, 256), "examples": _FEWER},
        ),
        "mad_memorisation": Plan(
            {"vocabulary": 256, "length": 32}, 256, {"vocabulary": (512, 1024, 2048, 4096, 8192)}
        ),
    },
    "small": {
        "mad_recall": _SMALL_RECALL,
        "mad_fuzzy_recall": _SMALL_RECALL,
        "mad_noisy_recall": Plan(
            {"vocabulary": 32, "length": 64, "noise": 0.2},
            3200,
            {"vocabulary": (48,), "length": (128,), "examples": (800,), "noise": (0.6,)},
        ),
        "mad_selective_copying": Plan(
            {"vocabulary": 16, "length": 64, "num_tokens": 8},
            3200,
            {"vocabulary": (32,), "length": (128,), "examples": (800,), "num_tokens": (16,)},
        ),
        "mad_compression": Plan(
            {"vocabulary": 16, "length": 16},
            3200,
            {"vocabulary": (32,), "length": (32,), "examples": (800,)},
        ),
        "mad_memorisation": Plan({"vocabulary": 64, "length": 32}, 256, {"vocabulary": (128,)}),
    },
}


def settings(scale: Scale = "full") -> tuple[Setting, ...]:
    """All settings of a scale, task by task.

    Example:
        >>> len(settings("full")), len(settings("small"))
        (66, 24)
        >>> settings()[1].task
        {'kind': 'mad_recall', 'vocabulary': 32, 'length': 128, 'factor': 'vocabulary'}
    """
    return tuple(setting for kind, plan in PLANS[scale].items() for setting in plan.settings(kind))
