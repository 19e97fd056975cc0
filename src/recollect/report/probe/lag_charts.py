"""What each lag is worth to the output, between two bounds; and the memory seen from several positions."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

_BAND = "#3a86d4"
_COLOURS = ("#ee7733", "#0d9f87", "#3a86d4", "#cc3377", "#8a63d2", "#a58a00")
_HEIGHT = 240

Rows = Sequence[Mapping[str, Any]]


def bracket_chart(rows: Rows, *, description: str, title: str) -> dict[str, Any]:
    """The Vega-Lite specification of the bracket, its data inside.

    Args:
        rows: with `lag`, `lower`, `upper`.
        description: read out in place of the chart.
        title: of the vertical axis.
    """
    base = alt.Chart().encode(x=_lag_axis(len(rows)))
    band = base.mark_area(opacity=0.28, color=_BAND, aria=False).encode(
        y=alt.Y("lower:Q", title=title), y2="upper:Q"
    )
    lower = base.mark_line(color=_BAND, strokeWidth=1.6).encode(y=alt.Y("lower:Q"))
    upper = base.mark_line(color=_BAND, strokeWidth=1.2, strokeDash=[5, 3]).encode(y=alt.Y("upper:Q"))
    return _spec([band, lower, upper, _hover(base, rows, ["lower", "upper"])], rows, description)


def position_chart(rows: Rows, *, description: str) -> dict[str, Any]:
    """The magnitude by lag, a line for each position of the output; earlier positions have fewer lags.

    Args:
        rows: with `position`, `lag`, `magnitude`.
        description: read out in place of the chart.
    """
    positions = sorted({row["position"] for row in rows})
    base = alt.Chart().encode(x=_lag_axis(max(row["lag"] for row in rows) + 1))
    colour = alt.Color(
        "position:O",
        title="output at position",
        sort=positions,
        scale=alt.Scale(domain=positions, range=[_COLOURS[k % len(_COLOURS)] for k in range(len(positions))]),
        legend=alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=2.5),
    )
    # Where positions agree their lines lie on one another: dashes let the lower one show.
    lines = base.mark_line(strokeWidth=1.8, clip=True).encode(
        y=alt.Y("magnitude:Q", title="magnitude"),
        color=colour,
        strokeDash=alt.StrokeDash("position:O", sort=positions, legend=None),
    )
    hover = base.mark_point(opacity=0, aria=False).encode(
        y=alt.Y("magnitude:Q"),
        tooltip=[
            alt.Tooltip("position:O"),
            alt.Tooltip("lag:Q"),
            alt.Tooltip("magnitude:Q", format=".3~g"),
        ],
    )
    return _spec([lines, hover], rows, description)


def _lag_axis(lags: int) -> alt.X:
    return alt.X(
        "lag:Q",
        title="lag",
        scale=alt.Scale(domain=[0, max(lags - 1, 1)], nice=False, padding=8),
        axis=alt.Axis(tickMinStep=1, grid=False, format="d"),
    )


def _hover(base: alt.Chart, rows: Rows, columns: Sequence[str]) -> alt.Chart:
    """The numbers of a lag wherever the pointer is above it."""
    tooltip = [alt.Tooltip("lag:Q"), *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in columns)]
    width = max(2.0, 500 / max(len(rows), 1))
    return base.mark_rule(opacity=0, strokeWidth=width, aria=False, clip=True).encode(tooltip=tooltip)


def _spec(layers: Sequence[Any], rows: Rows, description: str) -> dict[str, Any]:
    chart = alt.layer(*layers, data=alt.Data(values=[*rows]))
    return chart.properties(width="container", height=_HEIGHT, description=description).to_dict()
