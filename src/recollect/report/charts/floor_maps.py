"""The heat map's other two faces: what no model of a class can beat, and what lies above that."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison
from recollect.report.charts.heat_map import Cells, number_text, score_map

_TOOLTIP = [
    alt.Tooltip("model:N"),
    alt.Tooltip("task:N"),
    alt.Tooltip("error:Q", format=".3~g", title="NMSE"),
    alt.Tooltip("measured:N", title="NMSE is"),
    alt.Tooltip("floor:Q", format=".3~g", title="floor, proven"),
    alt.Tooltip("floor_attained:Q", format=".3~g", title="explicit model"),
    alt.Tooltip("excess:Q", format=".3~g", title="excess"),
    alt.Tooltip("standing:N", title="standing"),
    alt.Tooltip("how:N", title="because"),
]


def floor_map(comparison: Comparison, criterion: str) -> dict[str, Any]:
    """The proven floor, in the cells and colours of the heat map."""
    return score_map(comparison, criterion, _cells("floor", "proven floor (NMSE)"))


def excess_map(comparison: Comparison, criterion: str) -> dict[str, Any]:
    """Error minus floor, in the cells and colours of the heat map."""
    return score_map(comparison, criterion, _cells("excess", "error above the floor (NMSE)"))


def _cells(column: str, title: str) -> Cells:
    label = f"isValid(datum.{column}) ? {number_text(column)} : '–'"
    return Cells("floors", f"shown_{column}", label, title, _TOOLTIP)
