"""Tracking error against a constant decay: forgetting too soon, or too late."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison, error_axis
from recollect.report.charts.layer_panels import variant_colour

_THEORY = "theory: exact least squares (approximation)"


def error_by_decay(_: Comparison) -> dict[str, Any]:
    """For the rows of one task: a line through the layers that differ in their decay alone.

    In grey what theory says of exact least squares, where its memory is long enough for it to hold.
    """
    remembered = alt.X(
        "remembered:Q",
        title="positions remembered, 1 / (1 − decay)",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12),
        axis=alt.Axis(tickCount=6, grid=False, format="~g"),
    )
    base = alt.Chart(alt.NamedData("decay")).encode(x=remembered, color=variant_colour())
    value = error_axis("value", "error / Kalman error")
    kalman = alt.Chart(alt.sequence(0, 1)).mark_rule(strokeDash=[5, 4], opacity=0.6).encode(y=alt.datum(1))
    bars = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=60)).encode(
        y=value,
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("decay:Q"),
            alt.Tooltip("value:Q", format=".3~g", title="error / Kalman error"),
            alt.Tooltip("low:Q", format=".3~g"),
            alt.Tooltip("high:Q", format=".3~g"),
        ],
    )
    return (
        alt.layer(kalman, bars, lines, _theory(remembered))
        .properties(
            width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), height=240
        )
        .to_dict()
    )


def _theory(remembered: alt.X) -> alt.Chart:
    return (
        alt.Chart(alt.NamedData("decay"))
        .transform_filter("isValid(datum.theory)")
        .transform_calculate(said=f"'{_THEORY}'")
        .mark_line(strokeWidth=1.6, color="#59636e")
        .encode(
            x=remembered,
            y=alt.Y("theory:Q"),
            strokeDash=alt.StrokeDash(
                "said:N",
                scale=alt.Scale(domain=[_THEORY], range=[[7, 3]]),
                legend=alt.Legend(title=None, orient="bottom", symbolSize=500, labelLimit=320),
            ),
            tooltip=[
                alt.Tooltip("said:N", title="line"),
                alt.Tooltip("decay:Q"),
                alt.Tooltip("theory:Q", format=".3~g", title="error / Kalman error"),
            ],
        )
    )
