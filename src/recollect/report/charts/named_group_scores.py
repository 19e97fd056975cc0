"""Scores by named group: the tokens that the context holds already, and the rest."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison
from recollect.report.charts.group_scores import (
    group_colour,
    heading,
    in_container,
    score_axis,
    score_tooltip,
)


def named_group_scores(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task whose groups have names: a bar per model."""
    models = alt.XOffset("model:N", sort=comparison.models)
    base = alt.Chart(alt.NamedData("named_group")).encode(
        x=alt.X("group:N", title=None, axis=alt.Axis(labelAngle=0), scale=alt.Scale(paddingInner=0.2)),
        xOffset=models,
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        y=score_axis(), color=group_colour(comparison), tooltip=score_tooltip()
    )
    ends = base.mark_rule(strokeWidth=1.5, color="#1b1f24").encode(y=alt.Y("low:Q"), y2="high:Q")
    return in_container(alt.layer(bars, ends, heading("named_group"))).to_dict()
