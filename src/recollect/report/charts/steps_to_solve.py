"""How soon a model solves its task."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison


def steps_to_solve(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: steps and seconds to 99 %, and how many seeds get there."""
    base = alt.Chart().encode(
        y=alt.Y("model:N", title=None, sort=comparison.models, axis=alt.Axis(domain=False, ticks=False)),
        color=comparison.colour(),
    )
    time = alt.X(
        "value:Q",
        title=None,
        scale=alt.Scale(type="log", nice=False, padding=40),
        axis=alt.Axis(tickCount=4, format="~s"),
    )
    solved = base.transform_filter("isValid(datum.value)")
    bars = solved.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q")
    points = solved.mark_point(size=70, filled=True, opacity=1).encode(
        x=time,
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("value:Q", format=".3~s", title="median"),
            alt.Tooltip("low:Q", format=".3~s", title="lowest"),
            alt.Tooltip("high:Q", format=".3~s", title="highest"),
            alt.Tooltip("solved:N", title="seeds that solve it"),
        ],
    )
    counts = solved.mark_text(align="left", dx=8, fontSize=10).encode(x=alt.X("high:Q"), text="solved:N")
    never = (
        base.transform_filter("datum.never")
        .mark_text(align="left", fontSize=10, color="#8b949e")
        .encode(x=alt.value(4), text=alt.value("not solved"), color=alt.value("#8b949e"))
    )
    return (
        alt.layer(bars, points, counts, never)
        .properties(width=230, height=alt.Step(20))
        .facet(
            facet=alt.Facet("panel:N", title=None, sort="descending"),
            columns=2,
            data=alt.NamedData("solve"),
        )
        .resolve_scale(x="independent")
        .to_dict()
    )
