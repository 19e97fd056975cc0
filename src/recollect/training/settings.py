"""Test scores by setting (one length and load, say) and by group of positions."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from recollect.core.plain import finite, rounded
from recollect.core.shapes import Mask
from recollect.tasks import Batch, Task
from recollect.training.config import TrainingConfig
from recollect.training.evaluation import Score, Scores, score_split
from recollect.training.trainer import parameter_dtype, resolve_device, seed_of_setting

Rows = dict[str, dict[str, list[Any]]]


def assess_settings(
    model: nn.Module, task: Task, config: TrainingConfig, seed: int
) -> tuple[dict[str, Any], Rows]:
    """The mean score over the settings that the task is tested on, and the scores behind it."""
    settings = task.test_tasks()
    dtype, device = parameter_dtype(config), resolve_device(config)
    found = [
        score_split(
            model,
            setting,
            seed_of_setting(seed, task, setting),
            "test",
            config.test_examples,
            dtype=dtype,
            device=device,
        )
        for setting in settings
    ]
    overall = [scores.overall for scores in found]
    metrics = {
        task.criterion: finite(sum(score.value for score in overall) / len(overall)),
        # Settings are drawn from seeds of their own, so the variances of their scores add up.
        f"{task.criterion}_se": finite(
            math.sqrt(sum(score.standard_error**2 for score in overall)) / len(overall)
        ),
    }
    series = {"setting": _by_setting(settings, overall)}
    if len(settings) > 1:
        return metrics, series
    best = best_scores(task, seed, config)
    if best is not None:
        metrics[f"{task.criterion}_reference"] = finite(best.overall.value)
    if found[0].by_group:
        series["group"] = _by_group(task, found[0], best)
    return metrics, series


class _Reference(nn.Module):
    """A task's best predictions, as a model that sees what a model sees."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task

    def forward(self, inputs: Tensor, mask: Mask) -> Tensor:
        return self.task.reference(Batch(inputs, inputs, mask))


def best_scores(task: Task, seed: int, config: TrainingConfig) -> Scores | None:
    """Scores of the best predictions there are, on the same test examples; None where they are not known."""
    reference = getattr(task, "reference", None)
    if reference is None or reference(task.batch(seed, "test", 0, 1)) is None:
        return None
    device = resolve_device(config)
    return score_split(
        _Reference(task), task, seed, "test", config.test_examples, dtype=torch.float64, device=device
    )


def _by_setting(settings: tuple[Task, ...], scores: list[Score]) -> dict[str, list[Any]]:
    facts = [setting.facts() for setting in settings]
    return {
        "label": [setting.label for setting in settings],
        "length": [setting.length for setting in settings],
        "num_pairs": [fact.get("num_pairs") for fact in facts],
        "guess": [fact.get("guess") for fact in facts],
        **_columns(scores),
    }


def _by_group(task: Task, scores: Scores, best: Scores | None) -> dict[str, list[Any]]:
    names = getattr(task, "group_names", {})
    by = getattr(task, "grouped_by", "group")
    return {
        "by": [by] * len(scores.by_group),
        "group": [names.get(group, group) for group in scores.by_group],
        **_columns(list(scores.by_group.values())),
        "reference": [None if best is None else rounded(best.by_group[g].value) for g in scores.by_group],
    }


def _columns(scores: list[Score]) -> dict[str, list[Any]]:
    return {
        "score": [rounded(score.value) for score in scores],
        "score_se": [rounded(score.standard_error) for score in scores],
        "count": [score.count for score in scores],
    }
