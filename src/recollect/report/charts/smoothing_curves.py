"""Bias and variance of local regressions against bandwidth and number of pairs."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import LEGEND, Comparison, error_axis
from recollect.report.untrained_datasets import LOCAL_FITS, PARTS, REGIONS


def smoothing_curves(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: error by bandwidth for the most pairs, at both ends and inside."""
    return error_panels(comparison, "bandwidth", "bandwidth", "bandwidth")


def error_panels(comparison: Comparison, table: str, column: str, title: str) -> dict[str, Any]:
    """A panel for each part of the error and each region, over long rows of layers and of theory."""
    across = alt.X(
        f"{column}:Q",
        title=title,
        scale=alt.Scale(type="log", base=2, nice=False, padding=8),
        axis=alt.Axis(tickCount=4, grid=False, labelExpr="format(datum.value, '.3~g')"),
    )
    layers = alt.Chart().transform_filter("isValid(datum.model)")
    base = layers.encode(x=across, color=comparison.colour(LEGEND))
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
        alt.layer(_theory(across), bands, lines)
        .properties(width=190, height=130)
        .facet(facet=alt.Facet("panel:N", title=None, sort=order), columns=3, data=alt.NamedData(table))
        .to_dict()
    )


def _theory(across: alt.X) -> alt.Chart:
    return (
        alt.Chart()
        .transform_filter("isValid(datum.theory) && isValid(datum.value)")
        .mark_line(strokeWidth=1.4, color="#59636e", clip=True)
        .encode(
            x=across,
            y=alt.Y("value:Q"),
            strokeDash=alt.StrokeDash(
                "theory:N",
                scale=alt.Scale(domain=list(LOCAL_FITS.values()), range=[[7, 3], [2, 2]]),
                legend=alt.Legend(title=None, orient="bottom", columns=2, symbolSize=500, labelLimit=320),
            ),
            tooltip=[
                alt.Tooltip("theory:N"),
                alt.Tooltip("panel:N", title="part"),
                alt.Tooltip("bandwidth:Q", format=".3~g"),
                alt.Tooltip("value:Q", format=".3~g"),
            ],
        )
    )
