"""What a local regression makes of noisy pairs: the truth, its mean answer, and the spread of its answers."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison


def fitted_curve(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: a small multiple per layer, over the true function in grey."""
    base = alt.Chart().encode(
        x=alt.X("x:Q", title=None, axis=alt.Axis(tickCount=4), scale=alt.Scale(nice=False))
    )
    truth = base.mark_line(strokeWidth=4, opacity=0.45, color="#8b949e").encode(
        y=alt.Y("truth:Q", title=None)
    )
    band = base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q"), y2="high:Q", color=comparison.colour())
    line = base.mark_line(strokeWidth=1.8).encode(
        y="mean:Q",
        color=comparison.colour(),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("x:Q", format=".3~g"),
            alt.Tooltip("truth:Q", format=".3~g"),
            alt.Tooltip("mean:Q", format=".3~g"),
        ],
    )
    return (
        alt.layer(truth, band, line)
        .properties(width=190, height=120)
        .facet(
            facet=alt.Facet("model:N", title=None, sort=comparison.models),
            columns=3,
            data=alt.NamedData("fitted_curve"),
        )
        .transform_flatten(["x", "truth", "mean", "low", "high"])
        .to_dict()
    )
