"""Bias and variance of local regressions against bandwidth and number of pairs."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import LEGEND, Comparison, error_axis
from recollect.report.untrained_datasets import PARTS, REGIONS


def smoothing_curves(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: error by bandwidth for the most pairs, at both ends and inside."""
    return error_panels(comparison, "bandwidth", "bandwidth", "bandwidth")


def error_panels(comparison: Comparison, table: str, column: str, title: str) -> dict[str, Any]:
    """A panel for each part of the error and each region, over rows of long form."""
    base = alt.Chart().encode(
        x=alt.X(
            f"{column}:Q",
            title=title,
            scale=alt.Scale(type="log", base=2, nice=False, padding=8),
            axis=alt.Axis(tickCount=4, grid=False, labelExpr="format(datum.value, '.2~g')"),
        ),
        color=comparison.colour(LEGEND),
    )
    bands = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q"), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=22)).encode(
        y=error_axis("value", "squared error"),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("panel:N", title="part"),
            alt.Tooltip("pairs:Q"),
            alt.Tooltip("bandwidth:Q", format=".3~g"),
            alt.Tooltip("value:Q", format=".3~g"),
        ],
    )
    order = [f"{part}, {region}" for region in REGIONS for part in PARTS.values()]
    return (
        alt.layer(bands, lines)
        .properties(width=190, height=130)
        .facet(facet=alt.Facet("panel:N", title=None, sort=order), columns=3, data=alt.NamedData(table))
        .to_dict()
    )
