"""Error against alpha, for one family of memory functions."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import LEGEND, Comparison, Family, error_axis

_DIRECTIONS = {
    "exponential": "alpha → 0",
    "polynomial": "alpha → 1/2",
    "impulse": "larger alpha",
    "airy": "larger alpha",
}

_DASHES = {"floor": [6, 3], "floor_attained": [1.5, 3]}


def error_by_alpha(comparison: Comparison, family: str) -> dict[str, Any]:
    """For the rows of one family: a line per model; alpha is turned so that memory grows to the right."""
    highlighted = alt.selection_point(name="model_legend", fields=["model"], bind="legend")
    base = (
        alt.Chart(alt.NamedData("summary"))
        .transform_filter("isValid(datum.shown_value)")
        .encode(
            x=_alpha_axis(family, comparison.families[family]),
            color=comparison.colour(LEGEND),
            opacity=alt.when(highlighted).then(alt.value(1)).otherwise(alt.value(0.12)),
        )
    )
    zero = alt.Chart(alt.sequence(0, 1)).mark_rule(strokeDash=[5, 4], opacity=0.6).encode(y=alt.datum(1))
    error = error_axis("shown_value")
    bars = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("shown_low:Q"), y2="shown_high:Q")
    lines = base.mark_line(strokeWidth=2).encode(y=error)
    points = base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
        y=error,
        fill=alt.when("datum.still_improving")
        .then(alt.value("transparent"))
        .otherwise(comparison.fill(LEGEND)),
        shape=comparison.shape(LEGEND),
        tooltip=_tooltip(),
    )
    levels = [mark for name in comparison.families[family].levels for mark in _level(base, name)]
    chart = alt.layer(zero, *levels, bars, lines, points.add_params(highlighted))
    return chart.properties(
        width="container",
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        height=240,
        title=family,
    ).to_dict()


def _level(base: alt.Chart, name: str) -> list[alt.Chart]:
    """What a model is held against, in its colour: a broken line, and a stroke at each strength."""
    field, dash = f"shown_{name}", _DASHES[name]
    known = base.transform_filter(f"isValid(datum.{field})")
    return [
        known.mark_line(strokeWidth=1.5, strokeDash=dash).encode(y=alt.Y(f"{field}:Q")),
        known.mark_point(shape="stroke", size=140, strokeWidth=1.5).encode(
            y=alt.Y(f"{field}:Q"), tooltip=_floor_tooltip()
        ),
    ]


def _alpha_axis(name: str, family: Family) -> alt.X:
    alphas = family.alphas
    wide = alphas[0] > 0 and alphas[-1] > 3 * alphas[0]
    toward = _DIRECTIONS.get(name, "smaller alpha" if family.falls else "larger alpha")
    return alt.X(
        "alpha:Q",
        title=f"alpha (memory grows: {toward})",
        scale=alt.Scale(
            type="log" if wide else "linear",
            zero=alt.Undefined if wide else False,
            nice=False,
            padding=18,
            reverse=family.falls,
        ),
        # A format would go through the scale, which may round 16 to 2e+1.
        axis=alt.Axis(values=alphas, labelExpr="format(datum.value, '.4~g')", grid=False),
    )


def _floor_tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("task:N"),
        alt.Tooltip("floor:Q", format=".3~g", title="floor, proven"),
        alt.Tooltip("floor_attained:Q", format=".3~g", title="explicit model"),
        alt.Tooltip("value:Q", format=".3~g", title="NMSE"),
    ]


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("task:N"),
        alt.Tooltip("value:Q", format=".3~g", title="NMSE"),
        alt.Tooltip("low:Q", format=".3~g"),
        alt.Tooltip("high:Q", format=".3~g"),
        alt.Tooltip("interval_kind:N", title="interval"),
        alt.Tooltip("h95:Q", title="H95 (lags)"),
        alt.Tooltip("seeds:Q"),
        alt.Tooltip("note:N"),
    ]
