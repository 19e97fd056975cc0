"""Error along the sequence: short of context at first, or lost at the end."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import LEGEND, Comparison, error_axis


def error_by_position(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: a line per model."""
    chart = (
        alt.Chart(alt.NamedData("position"))
        .transform_flatten(["position", "nmse"])
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("position:Q", title="position", axis=alt.Axis(tickCount=8), scale=alt.Scale(nice=False)),
            y=error_axis("nmse"),
            color=comparison.colour(LEGEND),
            tooltip=[alt.Tooltip("model:N"), alt.Tooltip("position:Q"), alt.Tooltip("nmse:Q", format=".3~g")],
        )
    )
    return chart.properties(
        width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), height=220
    ).to_dict()
