"""Total error against size on the user's data: what is proven and what is constructed, family by family."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from recollect.diagnosis.sentences import family_title
from recollect.report.charts.comparison import LEGEND, Comparison, error_axis

_ONCE = alt.Data(values=[{}])


def floors_chart(
    recommendations: Sequence[Mapping[str, Any]],
    unit: str,
    *,
    families: Sequence[str],
    lines: Mapping[str, float | None],
    description: str,
) -> dict[str, Any]:
    """The Vega-Lite specification of the families that count their size in `unit`, its data inside.

    Args:
        recommendations: those of the document, each with `family`, `unit` and `by_size`.
        unit: what the size counts.
        families: titles of all that the page shows, so that each keeps its colour and mark in every chart.
        lines: levels to draw, by their name: the target, the noise.
        description: read out in place of the chart.
    """
    rows = [row for each in recommendations if each["unit"] == unit for row in sized_rows(each)]
    comparison = Comparison([*families], [], {}, {})
    present = [family for family in families if any(row["model"] == family for row in rows)]
    legend = LEGEND.copy(deep=False)
    legend.values = present
    bottom = _bottom(rows, lines)
    scale = alt.Scale(type="log", domain=[bottom, 1.1], nice=False, clamp=True)
    base = alt.Chart().encode(x=_size_axis(rows, unit), color=comparison.colour(legend))
    y = error_axis("predicted", "total NMSE, noise included").scale(scale)
    band = base.mark_area(opacity=0.18, aria=False).encode(y=y, y2="floor_shown:Q")
    floor = base.transform_filter("isValid(datum.floor)").mark_line(strokeWidth=1.2, strokeDash=[4, 3])
    attained = base.transform_filter("isValid(datum.predicted)")
    points = attained.mark_point(size=45, filled=True, opacity=1).encode(
        y=y, shape=comparison.shape(legend), tooltip=_tooltip()
    )
    shown = [{**row, "floor_shown": max(row["floor"] or bottom, bottom)} for row in rows]
    layers = [band, floor.encode(y=alt.Y("floor:Q")), attained.mark_line(strokeWidth=2).encode(y=y), points]
    chart = alt.layer(*layers, *_levels(lines), data=alt.Data(values=shown))
    return chart.properties(width="container", height=260, description=description).to_dict()


def sized_rows(recommendation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its sizes as rows of a chart.

    Example:
        >>> sized_rows({"family": "lru", "unit": "states", "by_size": [
        ...     {"size": 2, "floor": 0.25, "predicted": 0.5}]})
        [{'model': 'LRU', 'unit': 'states', 'size': 2, 'floor': 0.25, 'predicted': 0.5}]
    """
    return [
        {
            "model": family_title(recommendation["family"]),
            "unit": recommendation["unit"],
            "size": row["size"],
            "floor": row.get("floor"),
            "predicted": row.get("predicted"),
        }
        for row in recommendation.get("by_size") or ()
    ]


def _bottom(rows: Sequence[Mapping[str, Any]], lines: Mapping[str, float | None]) -> float:
    """Of the axis: a little below the noise, which is the least there is."""
    values = [row[name] for row in rows for name in ("floor", "predicted")] + [*lines.values()]
    return max(min((value for value in values if value), default=0.1) / 1.6, 1e-12)


def _size_axis(rows: Sequence[Mapping[str, Any]], unit: str) -> alt.X:
    sizes = [row["size"] for row in rows]
    is_wide = max(sizes) > 8 * min(sizes)
    return alt.X(
        "size:Q",
        title=f"size ({unit})",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12)
        if is_wide
        else alt.Scale(zero=False, nice=False, padding=12),
        axis=alt.Axis(format="d", tickMinStep=1, grid=False),
    )


def _levels(lines: Mapping[str, float | None]) -> list[alt.Chart]:
    """A rule for each, with its name at the right end: above it, or below if another one is next to it."""
    layers = []
    known = {name: level for name, level in lines.items() if level}
    for name, level in known.items():
        is_lowest = len(known) > 1 and level == min(known.values())
        rule = alt.Chart(_ONCE).mark_rule(strokeDash=[2, 3], strokeWidth=1.4, aria=False)
        text = alt.Chart(_ONCE).mark_text(
            text=f"{name} {level:.3g}",
            align="right",
            baseline="top" if is_lowest else "bottom",
            dx=-2,
            dy=3 if is_lowest else -3,
        )
        at = alt.YDatum(level)
        layers += [rule.encode(y=at), text.encode(x=alt.value("width"), y=at)]
    return layers


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("model:N", title="family"),
        alt.Tooltip("size:Q"),
        alt.Tooltip("unit:N"),
        alt.Tooltip("floor:Q", format=".3~g"),
        alt.Tooltip("predicted:Q", format=".3~g"),
    ]
