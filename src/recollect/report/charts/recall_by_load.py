"""Recall of untrained layers against the number of pairs per key dimension."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison
from recollect.report.charts.layer_panels import highlighted, in_panels, layer_colour
from recollect.report.charts.reference_lines import reference_lines

_GREY = "#8b949e"
_THEORY = {
    "linear_attention_accuracy": ("theory: linear sum (approximation)", [7, 3]),
    "least_squares_accuracy": ("theory: least squares (approximation)", [2, 2]),
}
_FRACTION = "datum.value < 1 ? '1/' + format(1 / datum.value, '.3~g') : format(datum.value, '.3~g')"


def recall_by_load(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task (a law of keys): accuracy with bands, above the guess at one of the values.

    In grey what theory says where the keys have no directions of their own.
    """
    picked = highlighted()
    base = alt.Chart().encode(x=load_axis(), color=layer_colour(comparison), opacity=faint(picked, 1))
    accuracy = alt.Y(
        "accuracy:Q",
        title="accuracy",
        scale=alt.Scale(domain=[0, 1.02], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    bands = base.mark_area(opacity=0.2).encode(
        y=alt.Y("accuracy_low:Q"), y2="accuracy_high:Q", opacity=faint(picked, 0.2)
    )
    lines = base.mark_line(strokeWidth=1.8, clip=True, point=alt.OverlayMarkDef(size=14)).encode(
        y=accuracy, detail="model:N", tooltip=load_tooltip("accuracy")
    )
    guess = (
        alt.Chart()
        .transform_filter("datum.place == 0")
        .mark_line(strokeDash=[4, 3], strokeWidth=1, color=_GREY)
        .encode(x=load_axis(), y="guess:Q", detail="family:N")
    )
    layers = [guess, bands, lines.add_params(picked), reference_lines(_THEORY, load_axis(), "accuracy")]
    columns = ["load", "guess", "accuracy", "accuracy_low", "accuracy_high", *_THEORY]
    return in_panels(layers, comparison, "load", columns, names_at="bottom").to_dict()


def load_axis() -> alt.X:
    """Pairs per key dimension, doubling; the ticks are written as fractions."""
    return alt.X(
        "load:Q",
        title="pairs / key dimension",
        scale=alt.Scale(type="log", base=2, nice=False),
        axis=alt.Axis(
            tickCount=6,
            grid=False,
            labelExpr=_FRACTION,
        ),
    )


def load_tooltip(column: str) -> list[alt.Tooltip]:
    """What a point says."""
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("family:N"),
        alt.Tooltip("load:Q", format=".3~g", title="pairs / key dimension"),
        alt.Tooltip(f"{column}:Q", format=".3~g", title=column.replace("_", " ")),
        alt.Tooltip(f"{column}_low:Q", format=".3~g", title="low"),
        alt.Tooltip(f"{column}_high:Q", format=".3~g", title="high"),
    ]


def faint(picked: alt.Parameter, opacity: float) -> Any:
    """Full opacity for the picked model, or for all if none is."""
    return alt.when(picked).then(alt.value(opacity)).otherwise(alt.value(0.08))
