"""Which factor explains that recall fails, in two panels: shares of variance, and changes per doubling."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import Comparison
from recollect.report.charts.layer_panels import variant_colour

_SHARES = ["state", "length", "pairs", "all three"]
_CHANGES = ["state doubles", "length doubles", "pairs double", "length less pairs"]


def factor_summary(_: Comparison) -> dict[str, Any]:
    """A row per factor, a point per variant, with bootstrap intervals."""
    base = alt.Chart().encode(
        y=alt.Y(
            "factor:N",
            title=None,
            sort=[*_SHARES, *_CHANGES],
            axis=alt.Axis(domain=False, ticks=False, grid=True),
        ),
        yOffset=alt.YOffset("variant:N"),
        color=variant_colour(),
        tooltip=[
            alt.Tooltip("variant:N"),
            alt.Tooltip("factor:N"),
            alt.Tooltip("value:Q", format=".3~f"),
            alt.Tooltip("low:Q", format=".3~f"),
            alt.Tooltip("high:Q", format=".3~f"),
            alt.Tooltip("cells:Q", title="cells of the grid"),
        ],
    )
    zero = alt.Chart().mark_rule(strokeDash=[3, 3]).encode(x=alt.datum(0))
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=None), x2="high:Q")
    points = base.mark_point(size=70, filled=True, opacity=1).encode(x=alt.X("value:Q", title=None))
    chart = (
        alt.layer(zero, bars, points)
        .properties(width=260, height=180)
        .facet(
            facet=alt.Facet("panel:N", title=None, sort="descending"),
            columns=2,
            data=alt.NamedData("factor_summary"),
        )
        .resolve_scale(x="independent", y="independent", yOffset="independent")
    )
    return chart.to_dict()
