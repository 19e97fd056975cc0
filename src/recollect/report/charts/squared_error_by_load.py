"""Squared error of recall against the number of pairs, beside what the theory says."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison, error_axis
from recollect.report.charts.layer_panels import headroom, highlighted, in_panels, is_crowded, layer_colour
from recollect.report.charts.recall_by_load import faint, load_axis, load_tooltip
from recollect.report.charts.reference_lines import reference_lines

_THEORY = {
    "linear_attention": ("theory: linear attention", [7, 3]),
    "linear_attention_scaled": ("theory: linear attention, best gain", [2, 2]),
    "least_squares": ("theory: least squares", [8, 3, 2, 3]),
}


def squared_error_by_load(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: error over the value's square, with the curves of the theory in grey."""
    picked = highlighted()
    base = alt.Chart().encode(x=load_axis(), color=layer_colour(comparison), opacity=faint(picked, 1))
    error = error_axis("squared_error", "squared error / |v|²")
    bands = base.mark_area(opacity=0.2).encode(
        y=alt.Y("squared_error_low:Q"), y2="squared_error_high:Q", opacity=faint(picked, 0.2)
    )
    scaled = alt.Tooltip("squared_error_scaled:Q", format=".3~g", title="with the best gain")
    lines = base.mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=14)).encode(
        y=error, detail="model:N", tooltip=[*load_tooltip("squared_error"), scaled]
    )
    layers = [bands, lines.add_params(picked), reference_lines(_THEORY, load_axis(), "squared error")]
    if is_crowded(comparison):
        layers.append(headroom("squared_error"))
    errors = [f"squared_error{end}" for end in ("", "_low", "_high", "_scaled")]
    return in_panels(layers, comparison, "load", ["load", *errors, *_THEORY], names_at="top").to_dict()
