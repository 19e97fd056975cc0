"""Models beside tasks, coloured by score."""

import json
from dataclasses import dataclass
from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison
from recollect.report.labels import distinguishing
from recollect.report.scores import title_of
from recollect.tasks.criteria import CRITERIA

_MARKS = "(datum.best ? '★' : '') + (datum.still_improving ? '*' : '') + (datum.diverged > 0 ? '†' : '')"
_SHORT_TASK = "replace(datum.label, 'alpha=', '')"
_CELL_HEIGHT = 26
_CELL_WIDTH = 46
_HEAD_WIDTH = 150
_LETTER = 7
_MAX_COLUMNS = 12

_SCALES: dict[str, dict[str, Any]] = {
    "nmse": {"type": "log", "domain": [1e-3, 1], "clamp": True},
    "accuracy": {"type": "linear", "domain": [0, 1]},
    "tracking_error": {"type": "log"},
    "smoothing_error": {"type": "log"},
}
"""What the colours span; for other criteria the scores themselves say it."""

_TICKS = {"nmse": [1e-3, 1e-2, 0.1, 1]}


@dataclass(frozen=True)
class Cells:
    """What the cells of a map show.

    Attributes:
        table: name of the dataset, with a row for each cell.
        column: of which the colour tells; a cell without a value has none.
        label: expression of the text.
        title: of the colours.
        tooltip: of a cell.
    """

    table: str
    column: str
    label: str
    title: str
    tooltip: list[alt.Tooltip]


def heat_map(comparison: Comparison, criterion: str) -> dict[str, Any]:
    """The scores themselves."""
    number = number_text("value") if criterion != "accuracy" else "format(datum.value, '.3f')"
    text = f"(datum.at_least ? '≥' : '') + ({number}) + {_MARKS}"
    label = f"isValid(datum.value) ? {text} : datum.diverged > 0 ? 'diverged' : 'failed'"
    cells = Cells("summary", "shown_value", label, title_of(criterion), _tooltip(criterion))
    return score_map(comparison, criterion, cells)


def number_text(column: str) -> str:
    """Expression of a number as a cell has room for."""
    number = f"datum.{column}"
    small = f"abs({number}) < 0.0005"
    usual = f"format({number}, {number} < 10 ? '.3f' : '.3~g')"
    return f"({number} === 0 ? '0' : {small} ? format({number}, '.0e') : {usual})"


def score_map(comparison: Comparison, criterion: str, cells: Cells) -> dict[str, Any]:
    """Rows: tasks, in the order of the results. Columns: models; the other way round if they are too many."""
    scored = comparison.criteria[criterion]
    task_axis = {"shorthand": "task:N", "scale": alt.Scale(domain=scored.tasks), "title": None}
    model_axis = {"shorthand": "model:N", "scale": alt.Scale(domain=scored.models), "title": None}
    if is_turned(comparison, criterion):
        x = alt.X(**task_axis, axis=_column_heads(labelExpr=_shortened(scored.tasks)))
        y = alt.Y(**model_axis, axis=_row_heads())
    else:
        x = alt.X(**model_axis, axis=_column_heads())
        y = alt.Y(**task_axis, axis=_row_heads(labelExpr=_SHORT_TASK))
    base = alt.Chart(alt.NamedData(cells.table)).encode(x=x, y=y, tooltip=cells.tooltip)
    colour = alt.Color(
        f"{cells.column}:Q",
        title=cells.title,
        scale=alt.Scale(
            scheme="redyellowblue",
            reverse=CRITERIA[criterion].lower_is_better,
            nice=False,
            **_SCALES.get(criterion, {}),
        ),
        legend=alt.Legend(orient="bottom", format="~g", values=_TICKS.get(criterion, alt.Undefined)),
    )
    rectangles = base.mark_rect(cornerRadius=2, stroke=None).encode(color=colour)
    is_dark = f"luminance(scale('color', datum.{cells.column})) < 0.3"
    labels = (
        base.transform_calculate(label=cells.label)
        .mark_text()
        .encode(
            text="label:N",
            color=alt.when(f"!isValid(datum.{cells.column})")
            .then(alt.value("#8b949e"))
            .when(is_dark)
            .then(alt.value("white"))
            .otherwise(alt.value("#1b1f24")),
        )
    )
    rows = scored.models if is_turned(comparison, criterion) else scored.tasks
    chart = (rectangles + labels).properties(
        width="container",
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        height=_CELL_HEIGHT * len(rows),
    )
    return chart.to_dict()


def is_turned(comparison: Comparison, criterion: str) -> bool:
    """Whether models are the rows: when there are too many for columns, and fewer tasks."""
    scored = comparison.criteria[criterion]
    return len(scored.models) > _MAX_COLUMNS and len(scored.tasks) < len(scored.models)


def widths(comparison: Comparison, criterion: str) -> tuple[int, int]:
    """Pixels that the map needs for its numbers, and for its numbers under heads written horizontally."""
    scored = comparison.criteria[criterion]
    rows, heads = scored.tasks, scored.models
    if is_turned(comparison, criterion):
        rows, heads = scored.models, list(distinguishing(scored.tasks).values())
    longest_row, longest_head = (max(map(len, names), default=0) for names in (rows, heads))
    column = max(_CELL_WIDTH, min(_HEAD_WIDTH, _LETTER * longest_head))
    return 105 + _CELL_WIDTH * len(heads), min(240, _LETTER * longest_row) + column * len(heads)


def _shortened(tasks: list[str]) -> str:
    return f"({json.dumps(distinguishing(tasks))})[datum.label]"


def _tooltip(criterion: str) -> list[alt.Tooltip]:
    title = title_of(criterion)
    by_criterion = {
        "nmse": [
            alt.Tooltip("value_long:Q", format=".3~g", title=f"{title}, longer test"),
            alt.Tooltip("h95:Q", title="H95 (lags)"),
        ],
        "accuracy": [
            alt.Tooltip("guess:Q", format=".3~g", title="guessing"),
            alt.Tooltip("solved:N", title="seeds that solve it"),
            alt.Tooltip("steps_to_solve:Q", format="~s", title="steps to solve"),
            alt.Tooltip("state_bytes:Q", format=".3~s", title="state (bytes)"),
        ],
    }
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("task:N"),
        alt.Tooltip("value:Q", format=".3~g", title=title),
        alt.Tooltip("low:Q", format=".3~g"),
        alt.Tooltip("high:Q", format=".3~g"),
        alt.Tooltip("interval_kind:N", title="interval"),
        *by_criterion.get(criterion, []),
        alt.Tooltip("learning_rate:Q", format="~g", title="learning rate"),
        alt.Tooltip("seeds:Q"),
        alt.Tooltip("note:N"),
    ]


def _column_heads(**options: Any) -> alt.Axis:
    return alt.Axis(orient="top", domain=False, ticks=False, labelFontWeight="bold", **options)


def _row_heads(**options: Any) -> alt.Axis:
    return alt.Axis(domain=False, ticks=False, **options)
