"""Models beside memory functions, coloured by error."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison

_MARKS = (
    "(datum.best ? ' ★' : '') + (datum.still_improving ? ' *' : '') + (datum.diverged > 0 ? ' †' : '')"
)
_LABEL = (
    "isValid(datum.nmse) ? (datum.nmse < 0.001 ? format(datum.nmse, '.0e') : format(datum.nmse, '.2~r'))"
    f" + {_MARKS} : datum.seeds > 0 ? 'diverged' : 'failed'"
)
_DARK_CELL = "datum.shown > 0.45 || (isValid(datum.shown) && datum.shown < 0.0004)"


def heat_map(comparison: Comparison) -> dict[str, Any]:
    """Rows: tasks, by family and from short to long memory. Columns: models."""
    base = alt.Chart(alt.NamedData("summary")).encode(
        x=alt.X("model:N", sort=comparison.models, title=None, axis=_column_heads()),
        y=alt.Y("task:N", sort=comparison.tasks, title=None, axis=alt.Axis(labelLimit=240, domain=False)),
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
    cells = base.mark_rect(cornerRadius=3, stroke=None).encode(
        color=alt.Color(
            "shown:Q",
            title="NMSE",
            scale=alt.Scale(type="log", scheme="redyellowblue", reverse=True, domain=[1e-4, 1], clamp=True),
            legend=alt.Legend(orient="bottom", gradientLength=220, format="~g", values=[1e-4, 1e-3, 1e-2, 0.1, 1]),
        )
    )
    labels = base.transform_calculate(label=_LABEL).mark_text(fontSize=11).encode(
        text="label:N",
        color=alt.when(_DARK_CELL).then(alt.value("white")).otherwise(alt.value("#1b1f24")),
    )
    chart = (cells + labels).properties(width="container", height=alt.Step(26))
    return chart.to_dict()


def _column_heads() -> alt.Axis:
    return alt.Axis(orient="top", labelAngle=0, labelLimit=120, domain=False, ticks=False, labelFontWeight="bold")
