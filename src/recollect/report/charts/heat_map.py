"""Models beside memory functions, coloured by error."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison

_MARKS = "(datum.best ? '★' : '') + (datum.still_improving ? '*' : '') + (datum.diverged > 0 ? '†' : '')"
_NUMBER = "datum.nmse < 0.0005 ? format(datum.nmse, '.0e') : format(datum.nmse, '.3f')"
_LABEL = f"isValid(datum.nmse) ? ({_NUMBER}) + {_MARKS} : datum.seeds > 0 ? 'diverged' : 'failed'"
_SHORT_TASK = "replace(datum.label, 'alpha=', '')"
_DARK_CELL = "datum.shown_nmse > 0.45 || (isValid(datum.shown_nmse) && datum.shown_nmse < 0.002)"
_ROW_HEIGHT = 26


def heat_map(comparison: Comparison) -> dict[str, Any]:
    """Rows: tasks, by family and from short to long memory. Columns: models."""
    base = alt.Chart(alt.NamedData("summary")).encode(
        x=alt.X("model:N", sort=comparison.models, title=None, axis=_column_heads()),
        y=alt.Y(
            "task:N",
            sort=comparison.tasks,
            title=None,
            axis=alt.Axis(domain=False, ticks=False, labelExpr=_SHORT_TASK),
        ),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("task:N"),
            alt.Tooltip("nmse:Q", format=".3~g", title="NMSE"),
            alt.Tooltip("low:Q", format=".3~g"),
            alt.Tooltip("high:Q", format=".3~g"),
            alt.Tooltip("interval_kind:N", title="interval"),
            alt.Tooltip("nmse_long:Q", format=".3~g", title="NMSE, longer test"),
            alt.Tooltip("h95:Q", title="H95 (lags)"),
            alt.Tooltip("learning_rate:Q", format="~g", title="learning rate"),
            alt.Tooltip("seeds:Q"),
            alt.Tooltip("note:N"),
        ],
    )
    cells = base.mark_rect(cornerRadius=2, stroke=None).encode(
        color=alt.Color(
            "shown_nmse:Q",
            title="NMSE",
            scale=alt.Scale(type="log", scheme="redyellowblue", reverse=True, domain=[1e-3, 1], clamp=True),
            legend=alt.Legend(orient="bottom", format="~g", values=[1e-3, 1e-2, 0.1, 1]),
        )
    )
    labels = (
        base.transform_calculate(label=_LABEL)
        .mark_text()
        .encode(
            text="label:N",
            color=alt.when("!isValid(datum.shown_nmse)")
            .then(alt.value("#8b949e"))
            .when(_DARK_CELL)
            .then(alt.value("white"))
            .otherwise(alt.value("#1b1f24")),
        )
    )
    chart = (cells + labels).properties(
        width="container",
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        height=_ROW_HEIGHT * len(comparison.tasks),
    )
    return chart.to_dict()


def _column_heads() -> alt.Axis:
    return alt.Axis(orient="top", domain=False, ticks=False, labelFontWeight="bold")
