"""Error against alpha, for one family of memory functions."""

from typing import Any

import altair as alt
import pandas as pd

from recollect.report.charts.comparison import Comparison, error_axis

_DIRECTIONS = {
    "exponential": "alpha → 0",
    "polynomial": "alpha → 1/2",
    "impulse": "larger alpha",
    "airy": "larger alpha",
}


def error_by_alpha(comparison: Comparison, family: str, rows: pd.DataFrame) -> dict[str, Any]:
    """A line per model; alpha is turned so that memory grows to the right.

    Args:
        comparison: the models.
        family: name of the family.
        rows: its rows of the summary.
    """
    highlighted = alt.selection_point(name="model_legend", fields=["model"], bind="legend")
    base = (
        alt.Chart(alt.NamedData("summary"))
        .transform_filter("isValid(datum.shown)")
        .encode(
            x=_alpha_axis(family, rows),
            color=comparison.colour(comparison.legend()),
            opacity=alt.when(highlighted).then(alt.value(1)).otherwise(alt.value(0.12)),
        )
    )
    zero = alt.Chart(alt.InlineData([{}])).mark_rule(strokeDash=[5, 4], opacity=0.6).encode(y=alt.datum(1))
    error = error_axis("shown")
    bars = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("shown_low:Q"), y2="shown_high:Q")
    lines = base.mark_line(strokeWidth=2).encode(y=error)
    points = base.mark_point(size=70, strokeWidth=2, opacity=1).encode(
        y=error,
        stroke=comparison.colour(),
        fill=alt.when("datum.still_improving").then(alt.value("transparent")).otherwise(comparison.colour()),
        shape=comparison.shape(),
        tooltip=_tooltip(),
    )
    chart = alt.layer(zero, bars, lines, points.add_params(highlighted))
    return chart.properties(width="container", height=240, title=family).to_dict()


def _alpha_axis(family: str, rows: pd.DataFrame) -> alt.X:
    alphas = sorted({float(alpha) for alpha in rows["alpha"]})
    wide = alphas[0] > 0 and alphas[-1] > 3 * alphas[0]
    by_alpha = rows.sort_values("alpha")["h95"]
    falls = len(by_alpha) > 1 and by_alpha.iloc[-1] < by_alpha.iloc[0]
    toward = _DIRECTIONS.get(family, "smaller alpha" if falls else "larger alpha")
    return alt.X(
        "alpha:Q",
        title=f"alpha (memory grows: {toward})",
        scale=alt.Scale(type="log" if wide else "linear", zero=False, nice=False, padding=18, reverse=falls),
        axis=alt.Axis(values=alphas, format="~g", grid=False),
    )


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("task:N"),
        alt.Tooltip("nmse:Q", format=".3~g", title="NMSE"),
        alt.Tooltip("low:Q", format=".3~g"),
        alt.Tooltip("high:Q", format=".3~g"),
        alt.Tooltip("interval_kind:N", title="interval"),
        alt.Tooltip("h95:Q", title="H95 (lags)"),
        alt.Tooltip("seeds:Q"),
        alt.Tooltip("note:N"),
    ]
