"""The learned memory function over the true one, a small multiple per model."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison


def learned_memory(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task. Columns and widths are set anew by the page, to fit its own."""
    base = alt.Chart().encode(
        x=alt.X("lag:Q", title="lag", axis=alt.Axis(tickCount=4), scale=alt.Scale(nice=False))
    )
    true = base.mark_area(opacity=0.35, color="#8b949e", line={"color": "#8b949e", "strokeWidth": 1}).encode(
        y=alt.Y("true:Q", title=None)
    )
    band = base.mark_area(opacity=0.25).encode(y="low:Q", y2="high:Q", color=comparison.colour())
    line = base.mark_line(strokeWidth=1.8).encode(
        y="learned:Q",
        color=comparison.colour(),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("lag:Q"),
            alt.Tooltip("true:Q", format=".3~g"),
            alt.Tooltip("learned:Q", format=".3~g"),
            alt.Tooltip("learned_se:Q", format=".2~g", title="standard error"),
        ],
    )
    truth = alt.LookupData(data=alt.NamedData("truth"), key="task", fields=["lag", "true"])
    chart = (
        alt.layer(true, band, line)
        .properties(width=190, height=120)
        .facet(
            facet=alt.Facet("model:N", title=None, sort=comparison.models),
            columns=3,
            data=alt.NamedData("learned"),
        )
        .transform_lookup(lookup="task", from_=truth)
        .transform_flatten(["lag", "true", "learned", "learned_se"])
        .transform_calculate(
            low="datum.learned - 1.96 * datum.learned_se", high="datum.learned + 1.96 * datum.learned_se"
        )
    )
    return chart.to_dict()
