"""Error of untrained layers on a regression that moves, position by position."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison, error_axis
from recollect.report.charts.layer_panels import headroom, highlighted, in_panels, is_crowded, layer_colour
from recollect.report.charts.recall_by_load import faint
from recollect.report.charts.reference_lines import reference_lines

_REFERENCES = {"kalman": ("Kalman filter", [7, 3]), "least_squares": ("least squares", [2, 2])}


def tracking_error(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: a line per layer, with the Kalman filter and exact least squares in grey."""
    picked = highlighted()
    position = alt.X(
        "position:Q", title="position", axis=alt.Axis(tickCount=6, grid=False), scale=alt.Scale(nice=False)
    )
    base = alt.Chart().encode(x=position, color=layer_colour(comparison), opacity=faint(picked, 1))
    lines = base.mark_line(strokeWidth=1.8).encode(
        y=error_axis("error", "squared error"),
        detail="model:N",
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("position:Q"),
            alt.Tooltip("error:Q", format=".3~g"),
            alt.Tooltip("error_low:Q", format=".3~g", title="low"),
            alt.Tooltip("error_high:Q", format=".3~g", title="high"),
        ],
    )
    layers = [reference_lines(_REFERENCES, position, "squared error"), lines.add_params(picked)]
    if is_crowded(comparison):
        layers.append(headroom("error"))
    columns = ["position", "error", "error_low", "error_high", *_REFERENCES]
    return in_panels(layers, comparison, "tracking", columns, names_at="top").to_dict()
