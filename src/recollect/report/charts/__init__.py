"""The charts: functions of what is compared, over datasets that are named and given later.

A chart is drawn from all rows of its datasets, from those of one family, or from those of one task
(`Chart.by`), so one specification serves every task of a page and every file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from recollect.report.charts.comparison import Comparison
from recollect.report.charts.error_by_alpha import error_by_alpha
from recollect.report.charts.error_by_position import error_by_position
from recollect.report.charts.heat_map import heat_map
from recollect.report.charts.learned_memory import learned_memory
from recollect.report.charts.loss_curves import loss_curves
from recollect.report.charts.missed_by_lag import missed_by_lag

__all__ = ["CHARTS", "Chart", "Comparison", "specifications"]


@dataclass(frozen=True)
class Chart:
    """How a chart is made and what it needs.

    Attributes:
        draw: the Vega-Lite specification, without data; takes the `Comparison`, and the family if `by` is it.
        title: heading.
        caption: how to read it.
        by: the column of which one value selects the rows; None takes all.
        datasets: names of the tables it reads.
    """

    draw: Callable[..., dict[str, Any]]
    title: str
    caption: str
    by: Literal["family", "task"] | None
    datasets: tuple[str, ...]


CHARTS = {
    "heat_map": Chart(
        heat_map,
        "Which model fails where",
        "Test error as a share of the target's power: 1 (red) is no better than predicting zero, 0.01 means "
        "that 99 % is explained. ★ lowest of its row, * not converged, † some runs diverged.",
        by=None,
        datasets=("summary",),
    ),
    "error_by_alpha": Chart(
        error_by_alpha,
        "Error against the strength of memory",
        "Memory grows to the right in every panel. Dashed: predicting zero. Bars: the interval of the "
        "summary. Hollow points had not converged. Click a name in a legend to single a model out.",
        by="family",
        datasets=("summary",),
    ),
    "learned_memory": Chart(
        learned_memory,
        "Learned memory function",
        "Grey: the true memory function. Line: what the model's output takes from each lag, with a band of "
        "1.96 standard errors.",
        by="task",
        datasets=("learned", "truth"),
    ),
    "missed_by_lag": Chart(
        missed_by_lag,
        "Where it costs, by lag",
        "Share of the target's power lost to a wrong response at each lag. Grey: all there is to lose "
        "(white input).",
        by="task",
        datasets=("learned", "truth"),
    ),
    "error_by_position": Chart(
        error_by_position,
        "Where it costs, by position",
        "Test error at each position of the sequence.",
        by="task",
        datasets=("position",),
    ),
    "loss_curves": Chart(
        loss_curves,
        "Loss curves",
        "Solid: validation error. Faint: training error.",
        by="task",
        datasets=("curve",),
    ),
}
"""In the order of the page; the key is the file name."""


def specifications(name: str, comparison: Comparison) -> dict[str | None, dict[str, Any]]:
    """Specifications of the chart `name`: one per family, or one for every task, under the key None."""
    chart = CHARTS[name]
    if chart.by == "family":
        return {family: chart.draw(comparison, family) for family in comparison.families}
    return {None: chart.draw(comparison)}
