"""Accuracy over state, length and number of pairs."""

from typing import Any

import altair as alt

from recollect.report.charts.accuracy_by_state import BYTES
from recollect.report.charts.comparison import Comparison


def accuracy_by_factor(_: Comparison) -> dict[str, Any]:
    """A panel per variant and number of pairs; more state to the right, longer sequences upwards."""
    base = alt.Chart().encode(
        x=alt.X("state_bytes:O", title="state (bytes)", axis=alt.Axis(labelAngle=0, labelExpr=BYTES)),
        y=alt.Y("length:O", title="length", sort="descending"),
        tooltip=[
            alt.Tooltip("variant:N"),
            alt.Tooltip("num_pairs:Q", title="pairs"),
            alt.Tooltip("length:Q"),
            alt.Tooltip("state_bytes:Q", format=",", title="state (bytes)"),
            alt.Tooltip("accuracy:Q", format=".3~g"),
            alt.Tooltip("low:Q", format=".3~g", title="lowest seed"),
            alt.Tooltip("high:Q", format=".3~g", title="highest seed"),
            alt.Tooltip("seeds:Q"),
        ],
    )
    cells = base.mark_rect(cornerRadius=2, stroke=None).encode(
        color=alt.Color(
            "accuracy:Q",
            scale=alt.Scale(scheme="redyellowblue", domain=[0, 1]),
            legend=alt.Legend(orient="top", title="accuracy", format="~g", values=[0, 0.5, 1]),
        )
    )
    labels = base.mark_text().encode(
        text=alt.Text("accuracy:Q", format=".2f"),
        color=alt.when("datum.accuracy < 0.25 || datum.accuracy > 0.88")
        .then(alt.value("white"))
        .otherwise(alt.value("#1b1f24")),
    )
    chart = (
        alt.layer(cells, labels)
        .properties(width=190, height=110)
        .facet(
            facet=alt.Facet("panel:N", title=None, sort=alt.EncodingSortField("place", op="min")),
            columns=3,
            data=alt.NamedData("factor"),
        )
        .resolve_scale(x="independent", y="independent")
    )
    return chart.to_dict()
