"""Accuracy against the bytes that a model carries from one position to the next."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison
from recollect.report.charts.layer_panels import FAMILY_SCALE, family_colour
from recollect.report.layer_families import FAMILIES

_GREY = "#8b949e"

BYTES = (
    "datum.value >= 1048576 ? format(datum.value / 1048576, '.3~g') + ' MiB' : "
    "datum.value >= 1024 ? format(datum.value / 1024, '.3~g') + ' KiB' : format(datum.value, '~g') + ' B'"
)
"""Label of an axis of bytes, as an expression."""


def accuracy_by_state(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: a point per model, a line through the sizes of one, and the Pareto front."""
    highlighted = alt.selection_point(name="family_legend", fields=["family"], bind="legend")
    state = alt.X(
        "state_bytes:Q",
        title="state (bytes)",
        scale=alt.Scale(type="log", base=2, nice=False, padding=24),
        axis=alt.Axis(tickCount=8, grid=False, labelExpr=BYTES),
    )
    legend = alt.Legend(title=None, orient="top", columns=3, symbolOpacity=1, labelLimit=200)
    base = alt.Chart(alt.NamedData("state")).encode(
        x=state,
        color=family_colour(legend),
        opacity=alt.when(highlighted).then(alt.value(1)).otherwise(alt.value(0.12)),
    )
    accuracy = alt.Y("value:Q", title="accuracy", scale=alt.Scale(domain=[0, 1.08], nice=False))
    bars = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.5).encode(y=accuracy, detail="variant:N")
    points = base.mark_point(size=70, strokeWidth=2, filled=False).encode(
        y=accuracy,
        fill=alt.when("datum.still_improving").then(alt.value("white")).otherwise(_family_fill()),
        tooltip=_tooltip(),
    )
    last = base.transform_filter("datum.last")
    label = alt.Y("label_place:Q")
    leaders = last.mark_rule(strokeWidth=0.8).encode(
        y=accuracy, y2="label_place:Q", x2="label_at:Q", strokeOpacity=alt.value(0.5)
    )
    names = last.mark_text(align="left", dx=4, fontSize=10, fontWeight="bold").encode(
        x="label_at:Q", y=label, text="variant:N"
    )
    # An unseen point keeps room for the names.
    room = (
        alt.Chart(alt.NamedData("state"))
        .transform_aggregate(largest="max(state_bytes)")
        .transform_calculate(right="datum.largest * 8")
        .mark_point(opacity=0)
        .encode(x="right:Q")
    )
    chart = alt.layer(*_limits(), _front(), room, bars, lines, leaders, points.add_params(highlighted), names)
    return chart.properties(
        width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), height=320
    ).to_dict()


def _family_fill() -> alt.Fill:
    return alt.Fill("family:N", scale=FAMILY_SCALE, sort=list(FAMILIES.values()), legend=None)


def _front() -> alt.Chart:
    return (
        alt.Chart(alt.NamedData("front"))
        .mark_line(interpolate="step-after", strokeWidth=6, opacity=0.28, color=_GREY)
        .encode(x="state_bytes:Q", y=alt.Y("value:Q"))
    )


def _limits() -> list[alt.Chart]:
    """Perfect recall, and the best guess that recalls nothing where the task knows it."""
    oracle = alt.Chart(alt.sequence(0, 1)).mark_rule(strokeDash=[2, 3], color=_GREY).encode(y=alt.datum(1))
    guess = (
        alt.Chart(alt.NamedData("state"))
        .transform_filter("isValid(datum.guess)")
        .transform_aggregate(guess="mean(guess)")
        .encode(y="guess:Q")
    )
    label = guess.mark_text(align="left", dy=-6, color=_GREY, fontSize=10).encode(
        x=alt.value(4), text=alt.value("guess")
    )
    return [oracle, guess.mark_rule(strokeDash=[5, 4], color=_GREY), label]


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("family:N"),
        alt.Tooltip("value:Q", format=".3~g", title="accuracy"),
        alt.Tooltip("low:Q", format=".3~g"),
        alt.Tooltip("high:Q", format=".3~g"),
        alt.Tooltip("success:Q", format=".2~g", title="share of seeds above 99 %"),
        alt.Tooltip("state_bytes:Q", format=",", title="state (bytes)"),
        alt.Tooltip("num_parameters:Q", format=",", title="parameters"),
        alt.Tooltip("seeds:Q"),
        alt.Tooltip("note:N"),
    ]
