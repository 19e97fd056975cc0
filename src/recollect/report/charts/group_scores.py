"""Scores by group: the gap between pair and query, the length of a prompt."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison
from recollect.report.charts.layer_panels import is_crowded, variant_colour

_LEGEND = alt.Legend(title=None, orient="top", columns=3, symbolOpacity=1, offset=24)
"""Above the heading."""


def group_scores(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task whose groups are numbers: a line per model with its band."""
    base = alt.Chart(alt.NamedData("number_group")).encode(
        x=alt.X("group:Q", title="group", scale=alt.Scale(nice=False, padding=6), axis=alt.Axis(tickCount=8)),
        color=group_colour(comparison),
    )
    bands = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q"), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=22)).encode(
        y=score_axis(), tooltip=score_tooltip()
    )
    return in_container(alt.layer(bands, lines, heading("number_group"))).to_dict()


def group_colour(comparison: Comparison) -> alt.Color:
    """By model; by variant where a legend of all models would take the page."""
    if not is_crowded(comparison):
        return comparison.colour(_LEGEND)
    return variant_colour(_LEGEND)


def score_axis() -> alt.Y:
    """Scores in their own unit, from 0."""
    return alt.Y("score:Q", title="score", scale=alt.Scale(zero=True, nice=False, padding=4))


def score_tooltip() -> list[alt.Tooltip]:
    """What a point or a bar says."""
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("group:N"),
        alt.Tooltip("score:Q", format=".3~g"),
        alt.Tooltip("low:Q", format=".3~g"),
        alt.Tooltip("high:Q", format=".3~g"),
        alt.Tooltip("count:Q", format=","),
    ]


def heading(table: str) -> alt.Chart:
    """What is scored, and by which group: a specification serves many tasks, and only its rows know."""
    return (
        alt.Chart(alt.NamedData(table))
        .transform_aggregate(groupby=["heading"])
        .mark_text(align="left", dy=-10, fontSize=12, fontWeight="bold")
        .encode(x=alt.value(0), y=alt.value(0), text="heading:N")
    )


def in_container(chart: alt.LayerChart | alt.FacetChart) -> alt.LayerChart | alt.FacetChart:
    """As wide as its place on the page."""
    return chart.properties(
        width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), height=240
    )
