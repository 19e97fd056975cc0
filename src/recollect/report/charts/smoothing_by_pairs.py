"""Bias and variance of local regressions against the number of pairs, each at its best bandwidth."""

from typing import Any

from recollect.report.charts.comparison import Comparison
from recollect.report.charts.smoothing_curves import error_panels


def smoothing_by_pairs(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: error by number of pairs, at both ends and inside."""
    return error_panels(comparison, "pairs", "pairs", "pairs")
