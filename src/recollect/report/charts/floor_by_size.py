"""Floors against size: the band between what is proven and what is constructed, for each class of models."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from recollect.report.charts.comparison import LEGEND, Comparison, error_axis

SMALLEST = 1e-16
"""Errors below are drawn here: float64 does not tell them from one another."""

_GREY = "#59636e"
_STAR = "M0,-1L.22,-.31L.95,-.31L.36,.12L.59,.81L0,.38L-.59,.81L-.36,.12L-.95,-.31L-.22,-.31Z"
_SHAPES = (
    "circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left",
    _STAR,
)  # fmt: skip
"""One for each class that a theorem bounds: with all of them in one chart colours alone are too close."""


def floor_by_size(
    rows: Sequence[Mapping[str, Any]], *, title: str, subtitle: str = "", target: float | None = None
) -> dict[str, Any]:
    """The Vega-Lite specification, its data inside.

    Args:
        rows: with `model`, `unit`, `size`, `lower`, `attained`, `how`, and `law` where one is known.
        title: heading.
        subtitle: below it.
        target: an error to reach, drawn as a line.
    """
    shown, bottom = _shown(rows, target)
    comparison = Comparison(list(dict.fromkeys(row["model"] for row in rows)), [], {}, {})
    base = alt.Chart().encode(x=_size_axis(rows), color=comparison.colour(LEGEND))
    y = error_axis("shown_attained").scale(domain=[bottom, 1], type="log", nice=False, clamp=True)
    band = base.mark_area(opacity=0.22).encode(y=y, y2="shown_lower:Q")
    lower = base.mark_line(strokeWidth=1, opacity=0.8).encode(y=alt.Y("shown_lower:Q"))
    attained = base.mark_line(strokeWidth=2).encode(y=y)
    points = base.mark_point(size=50, filled=True, opacity=1).encode(
        y=y, shape=_shape(comparison.models), tooltip=_tooltip()
    )
    layers: list[alt.Chart] = [band, lower, attained, points]
    if any(row.get("law") is not None for row in rows):
        law = base.transform_filter("isValid(datum.law)").mark_line(
            strokeDash=[6, 4], strokeWidth=1.5, clip=True
        )
        layers.append(law.encode(y=alt.Y("law:Q")))
    if target is not None:
        rule = alt.Chart().mark_rule(strokeDash=[2, 3], color=_GREY, strokeWidth=1.5)
        layers.append(rule.encode(y=alt.datum(target)))
    chart = alt.layer(*layers, data=alt.Data(values=shown))
    heading = alt.Title(
        title, subtitle=[subtitle, *_key(rows, bottom, target)], anchor="start", subtitleColor=_GREY
    )
    return chart.properties(width=620, height=340, title=heading, background="white").to_dict()


def write_floor_chart(spec: dict[str, Any], path: Path) -> Path:
    """Write the chart to `path`: a page that opens without a network, or SVG, PNG or PDF, by its ending."""
    chart = alt.LayerChart.from_dict(spec)
    if path.suffix == ".html":
        name = html.escape(spec["title"]["text"])
        head = f'<head>\n<title>{name}</title>\n<meta name="viewport" content="width=device-width">'
        path.write_text(chart.to_html(inline=True).replace("<head>", head, 1), encoding="utf-8")
    else:
        chart.save(str(path), scale_factor=2 if path.suffix == ".png" else 1)
    return path


def _shown(rows: Sequence[Mapping[str, Any]], target: float | None) -> tuple[list[dict[str, Any]], float]:
    """The rows with what is drawn of them, and the lower end of the axis.

    A floor of 0 has no place on a logarithmic axis: its band goes down to the end.
    """
    values = [row[name] for row in rows for name in ("lower", "attained")] + [target]
    smallest = min((value for value in values if value), default=1.0)
    # Far below a target nothing is asked.
    end = SMALLEST if target is None else max(SMALLEST, target / 1000)
    bottom = max(end, min(smallest / 3, 1e-2))
    return [
        {
            **row,
            "shown_lower": max(row["lower"], bottom),
            "shown_attained": None if row["attained"] is None else max(row["attained"], bottom),
        }
        for row in rows
    ], bottom


def _size_axis(rows: Sequence[Mapping[str, Any]]) -> alt.X:
    sizes = [row["size"] for row in rows]
    is_wide = max(sizes) > 8 * min(sizes)
    return alt.X(
        "size:Q",
        title=f"size ({', '.join(dict.fromkeys(row['unit'] for row in rows))})",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12)
        if is_wide
        else alt.Scale(zero=False, nice=False, padding=12),
        axis=alt.Axis(format="d", tickMinStep=1, grid=False),
    )


def _shape(models: list[str]) -> alt.Shape:
    shapes = [_SHAPES[place % len(_SHAPES)] for place in range(len(models))]
    return alt.Shape("model:N", scale=alt.Scale(domain=models, range=shapes), legend=LEGEND)


def _key(rows: Sequence[Mapping[str, Any]], bottom: float, target: float | None) -> list[str]:
    parts = ["Line with points: an explicit model. Band below it: open. Below the band: proven impossible."]
    if any(row.get("law") is not None for row in rows):
        parts.append("Dashed: the asymptotic law, for an infinite horizon.")
    if target is not None:
        parts.append(f"Dotted: the target, {target:g}.")
    drawn = [row[name] for row in rows for name in ("lower", "attained")]
    if any(value is not None and value < bottom for value in drawn):
        parts.append("Smaller errors are drawn at the lower end.")
    return parts


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("size:Q"),
        alt.Tooltip("unit:N"),
        alt.Tooltip("lower:Q", format=".3~g"),
        alt.Tooltip("attained:Q", format=".3~g"),
        alt.Tooltip("how:N"),
    ]
