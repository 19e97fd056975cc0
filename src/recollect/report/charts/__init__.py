"""The charts: functions of what is compared, over datasets that are named and given later.

A chart is drawn from all rows of its datasets, or from those of one criterion, family or task (`Chart.by`),
so one specification serves every task of a page and every file. A chart whose datasets are empty is not
shown: nothing was recorded for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from recollect.report.charts.accuracy_by_factor import accuracy_by_factor
from recollect.report.charts.accuracy_by_state import accuracy_by_state
from recollect.report.charts.comparison import Comparison
from recollect.report.charts.error_by_alpha import error_by_alpha
from recollect.report.charts.error_by_decay import error_by_decay
from recollect.report.charts.error_by_position import error_by_position
from recollect.report.charts.factor_summary import factor_summary
from recollect.report.charts.fitted_curve import fitted_curve
from recollect.report.charts.floor_maps import excess_map, floor_map
from recollect.report.charts.group_scores import group_scores
from recollect.report.charts.heat_map import heat_map
from recollect.report.charts.learned_memory import learned_memory
from recollect.report.charts.loss_curves import loss_curves
from recollect.report.charts.missed_by_lag import missed_by_lag
from recollect.report.charts.named_group_scores import named_group_scores
from recollect.report.charts.recall_by_load import recall_by_load
from recollect.report.charts.smoothing_by_pairs import smoothing_by_pairs
from recollect.report.charts.smoothing_curves import smoothing_curves
from recollect.report.charts.squared_error_by_load import squared_error_by_load
from recollect.report.charts.steps_to_solve import steps_to_solve
from recollect.report.charts.tracking_error import tracking_error

__all__ = ["CHARTS", "Chart", "Comparison", "specifications"]


@dataclass(frozen=True)
class Chart:
    """How a chart is made and what it needs.

    Attributes:
        draw: the Vega-Lite specification, without data; takes the `Comparison`, and the criterion or the
            family if `by` is one of them.
        title: heading.
        caption: how to read it.
        by: the column of which one value selects the rows; None takes all.
        datasets: names of the tables it reads.
        is_wide: whether it takes the whole width of a page.
    """

    draw: Callable[..., dict[str, Any]]
    title: str
    caption: str
    by: Literal["criterion", "family", "task"] | None
    datasets: tuple[str, ...]
    is_wide: bool = False


CHARTS = {
    "heat_map": Chart(
        heat_map,
        "Which model fails where",
        "Blue is good, red is bad. NMSE: test error as a share of the target's power; 1 is no better than "
        "predicting zero, 0.01 means that 99 % is explained. Accuracy: share of the asked positions answered "
        "rightly. ★ best on its task, * not converged, † some runs diverged.",
        by="criterion",
        datasets=("summary",),
    ),
    "heat_map_floor": Chart(
        floor_map,
        "What no model of its class can beat",
        "The least error that any model of the class can have at this size, as proven: no training gets "
        "below it. –: no floor is known. The theorem is in the tooltip.",
        by="criterion",
        datasets=("floors",),
    ),
    "heat_map_excess": Chart(
        excess_map,
        "What lies above the floor",
        "Error minus floor. Where the floor is not reached by any known model of the class (see the "
        "tooltip), part of the excess may still be the architecture's. –: no floor is known.",
        by="criterion",
        datasets=("floors",),
    ),
    "error_by_alpha": Chart(
        error_by_alpha,
        "Error against the strength of memory",
        "Memory grows to the right in every panel. Grey: predicting zero. Bars: the interval of the "
        "summary. Hollow points had not converged. Broken lines in a model's colour: dashed, the error that "
        "no model of its class and size can beat, as proven; dotted, that of an explicit model of the class. "
        "Floors of 0 are not drawn, those far below all errors at the lower edge. Click a name in a legend "
        "to single a model out.",
        by="family",
        datasets=("summary",),
    ),
    "accuracy_by_factor": Chart(
        accuracy_by_factor,
        "Accuracy over state, length and number of pairs",
        "A panel per model and number of pairs. Where the colour changes along a row, the state explains it; "
        "along a column, the length.",
        by=None,
        datasets=("factor",),
    ),
    "factor_summary": Chart(
        factor_summary,
        "Which factor explains the failures",
        "Left: Shapley shares of R² of accuracy on log2 of state, length and pairs. Right: change of "
        "accuracy when one doubles; length and pairs from the same cells. Bars: 95 % bootstrap over cells "
        "and seeds.",
        by=None,
        datasets=("factor_summary",),
    ),
    "accuracy_by_state": Chart(
        accuracy_by_state,
        "Accuracy against the state carried",
        "State: bytes that a model carries from one position to the next, measured. Grey band: the Pareto "
        "front. Dotted: perfect recall. Dashed: guessing. Hollow points had not converged. Names: the "
        "largest size of each model. Click a family in the legend to single it out.",
        by="task",
        datasets=("state", "front"),
        is_wide=True,
    ),
    "recall_by_load": Chart(
        recall_by_load,
        "Recall against the number of pairs",
        "Untrained layers. Load: pairs per key dimension. Bands: 1.96 standard errors. Grey: guessing one of "
        "the values, and what theory says of a plain sum and of least squares (a Gaussian approximation, for "
        "isotropic keys). Click a line to single its layer out.",
        by="task",
        datasets=("load",),
        is_wide=True,
    ),
    "squared_error_by_load": Chart(
        squared_error_by_load,
        "Squared error of recall, and what theory says",
        "Relative to the value's square. It is not accuracy: the nearest value can be right long before the "
        "error is small. Grey: the formulas, where their conditions hold; they end where they give 0. "
        "Errors below 1e-4 are drawn there.",
        by="task",
        datasets=("load",),
        is_wide=True,
    ),
    "tracking_error": Chart(
        tracking_error,
        "Error of the layer's own regression, by position",
        "Untrained layers on a regression whose coefficients move. Grey: the Kalman filter, which nothing "
        "beats on average, and exact least squares at its best constant decay.",
        by="task",
        datasets=("tracking",),
        is_wide=True,
    ),
    "error_by_decay": Chart(
        error_by_decay,
        "Forgetting too soon, or too late",
        "Error over that of the Kalman filter for layers that differ in their decay alone. Grey: exact least "
        "squares, measured and as the theory of forgetting has it.",
        by="task",
        datasets=("decay",),
        is_wide=True,
    ),
    "smoothing_curves": Chart(
        smoothing_curves,
        "Bias and variance against bandwidth",
        "Untrained local regressions of a noisy function, at the boundary of the keys and inside.",
        by="task",
        datasets=("bandwidth",),
        is_wide=True,
    ),
    "smoothing_by_pairs": Chart(
        smoothing_by_pairs,
        "Bias and variance against the number of pairs",
        "Each layer at the bandwidth that is best for each number of pairs and region.",
        by="task",
        datasets=("pairs",),
        is_wide=True,
    ),
    "fitted_curve": Chart(
        fitted_curve,
        "What is fitted",
        "Grey: the true function. Line and band: mean and spread of what a layer answers, over draws.",
        by="task",
        datasets=("fitted_curve",),
        is_wide=True,
    ),
    "learned_memory": Chart(
        learned_memory,
        "Learned memory function",
        "Grey: the true memory function. Line: what the model's output takes from each lag, with a band of "
        "1.96 standard errors. One run per model: the lowest seed, at the learning rate the summary chose.",
        by="task",
        datasets=("learned", "truth"),
        is_wide=True,
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
    "group_scores": Chart(
        group_scores,
        "Scores along the sequence",
        "Test score by what the task groups its questions by, with bands of 1.96 standard errors; of models "
        "that differ in size, the largest.",
        by="task",
        datasets=("number_group",),
    ),
    "named_group_scores": Chart(
        named_group_scores,
        "Scores by kind of question",
        "Bars end at the mean; rules: 1.96 standard errors.",
        by="task",
        datasets=("named_group",),
    ),
    "steps_to_solve": Chart(
        steps_to_solve,
        "How soon it is solved",
        "Until the validation accuracy first exceeds 99 %: median and range over the seeds that get there.",
        by="task",
        datasets=("solve",),
    ),
    "loss_curves": Chart(
        loss_curves,
        "Loss curves",
        "Solid: validation error (NMSE, or 1 - accuracy). Faint: training loss. One run per model.",
        by="task",
        datasets=("curve",),
    ),
}
"""In the order of the page; the key is the file name."""


def specifications(name: str, comparison: Comparison) -> dict[str | None, dict[str, Any]]:
    """Specifications of the chart `name`: by criterion or family, else one under the key None."""
    chart = CHARTS[name]
    match chart.by:
        case "criterion":
            return {criterion: chart.draw(comparison, criterion) for criterion in comparison.criteria}
        case "family":
            return {family: chart.draw(comparison, family) for family in comparison.families}
        case _:
            return {None: chart.draw(comparison)}
