"""The score of a model: its mean accuracy over the settings."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class MadScore:
    """Mean accuracies.

    Attributes:
        overall: over all settings, each with the same share.
        mean_of_tasks: of the tasks' scores, each task with the same share: what the public code prints.
        by_task: over the settings of each task.
        by_factor: over the settings in which a factor was varied, for each task.
    """

    overall: float
    mean_of_tasks: float
    by_task: Mapping[str, float]
    by_factor: Mapping[str, Mapping[str, float]]


def mad_score(rows: Iterable[tuple[str, str, float]]) -> MadScore:
    """The score of one model from `(kind, factor, accuracy)`, one row a setting.

    Several runs of a setting (seeds, learning rates) are reduced to one accuracy before: the one chosen on
    validation. Accuracy is over the asked positions (micro); the public code averages over classes (macro).

    Raises:
        ValueError: no rows, or an accuracy that is none.

    Example:
        >>> score = mad_score([("mad_recall", "baseline", 1.0), ("mad_recall", "length", 0.5),
        ...                    ("mad_compression", "baseline", 0.3)])
        >>> score.by_task["mad_recall"], score.mean_of_tasks, round(score.overall, 6)
        (0.75, 0.525, 0.6)
    """
    cells: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for kind, factor, accuracy in rows:
        if not 0 <= accuracy <= 1:
            raise ValueError(f"expected an accuracy in 0..1 for {kind}, {factor}, got {accuracy}")
        cells[kind][factor].append(accuracy)
    if not cells:
        raise ValueError("expected at least one row (kind, factor, accuracy), got none")
    pooled = {kind: [value for cell in factors.values() for value in cell] for kind, factors in cells.items()}
    by_task = {kind: fmean(values) for kind, values in pooled.items()}
    by_factor = {
        kind: {factor: fmean(cell) for factor, cell in factors.items()} for kind, factors in cells.items()
    }
    overall = fmean(value for values in pooled.values() for value in values)
    return MadScore(overall, fmean(by_task.values()), by_task, by_factor)
