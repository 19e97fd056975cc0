"""The risk audit lag by lag: which part of the past costs the error."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import LEGEND, Comparison


def missed_by_lag(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: a line per model under the share of the power at each lag."""
    lag = alt.X("lag:Q", title="lag", axis=alt.Axis(tickCount=8), scale=alt.Scale(nice=False))
    share = (
        alt.Chart(alt.NamedData("truth"))
        .transform_flatten(["lag", "share"])
        .mark_area(opacity=0.3, color="#8b949e")
        .encode(x=lag, y=alt.Y("share:Q", title="share of the target's power"))
    )
    truth = alt.LookupData(data=alt.NamedData("truth"), key="task", fields=["lag"])
    missed = (
        alt.Chart(alt.NamedData("learned"))
        .transform_lookup(lookup="task", from_=truth)
        .transform_flatten(["lag", "missed"])
        .mark_line(strokeWidth=1.8)
        .encode(
            x=lag,
            y="missed:Q",
            color=comparison.colour(LEGEND),
            tooltip=[alt.Tooltip("model:N"), alt.Tooltip("lag:Q"), alt.Tooltip("missed:Q", format=".2~%")],
        )
    )
    return (
        (share + missed)
        .properties(
            width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), height=220
        )
        .to_dict()
    )
