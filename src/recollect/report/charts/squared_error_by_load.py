"""Squared error of recall against the number of pairs, beside what the theory says."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison, error_axis
from recollect.report.charts.layer_panels import headroom, highlighted, in_panels, is_crowded, layer_colour
from recollect.report.charts.recall_by_load import faint, load_axis, load_tooltip

_THEORY = {
    "linear_attention": "theory: linear attention",
    "linear_attention_scaled": "theory: linear attention, best gain",
    "least_squares": "theory: least squares",
}
_DASHES = ([7, 3], [2, 2], [8, 3, 2, 3])


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
    layers = [bands, lines.add_params(picked), _theory()]
    if is_crowded(comparison):
        layers.append(headroom("squared_error"))
    errors = [f"squared_error{end}" for end in ("", "_low", "_high", "_scaled")]
    return in_panels(layers, comparison, "load", ["load", *errors, *_THEORY], names_at="top").to_dict()


def _theory() -> alt.Chart:
    names = alt.Scale(domain=list(_THEORY.values()), range=[list(dash) for dash in _DASHES])
    titles = " : ".join(f"datum.key == '{name}' ? '{title}'" for name, title in _THEORY.items())
    return (
        alt.Chart()
        .transform_filter("datum.place == 0")
        .transform_fold([*_THEORY], as_=["key", "theory_error"])
        .transform_filter("isValid(datum.theory_error)")
        .transform_calculate(theory=f"{titles} : ''")
        .mark_line(strokeWidth=1.6, color="#59636e")
        .encode(
            x=load_axis(),
            y=alt.Y("theory_error:Q"),
            strokeDash=alt.StrokeDash(
                "theory:N",
                scale=names,
                legend=alt.Legend(title=None, orient="bottom", columns=2, symbolSize=500, labelLimit=260),
            ),
            detail="family:N",
            tooltip=[
                alt.Tooltip("theory:N"),
                alt.Tooltip("theory_error:Q", format=".3~g", title="squared error"),
            ],
        )
    )
