"""Predicted and measured side by side, for each model that was trained."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from recollect.diagnosis.sentences import family_title

_COLOURS = {"predicted": "#8c8c8c", "measured": "#3a86d4"}
_SHAPES = {"predicted": "diamond", "measured": "circle"}
_ROW = 34
_LEGEND = alt.Legend(title=None, orient="top")


def confirmation_chart(
    trials: Sequence[Mapping[str, Any]], *, lines: Mapping[str, float | None], description: str
) -> dict[str, Any]:
    """The Vega-Lite specification, its data inside: a row for each trial.

    Args:
        trials: with `family`, `size`, `role`, `predicted`, `measured`, `measured_se`.
        lines: levels to draw, by their name: the target, the noise.
        description: read out in place of the chart.
    """
    rows = trial_rows(trials)
    values = [row["error"] for row in rows if row["error"]] + [level for level in lines.values() if level]
    scale = alt.Scale(type="log", domain=[min(values) / 1.5, max(values) * 1.5], nice=False, clamp=True)
    base = alt.Chart().encode(y=alt.Y("trial:N", title=None, sort=None, axis=alt.Axis(labelLimit=220)))
    x = alt.X("error:Q", title="total NMSE", scale=scale, axis=alt.Axis(format="~g", tickCount=5, grid=True))
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=[*_COLOURS], range=[*_COLOURS.values()]),
        legend=_LEGEND,
    )
    spread = base.mark_rule(strokeWidth=2, color=_COLOURS["measured"], clip=True, aria=False).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q"
    )
    points = base.transform_filter("isValid(datum.error)").mark_point(filled=True, size=90, opacity=1)
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=[*_SHAPES], range=[*_SHAPES.values()]), legend=_LEGEND)
    points = points.encode(x=x, color=colour, shape=shape, tooltip=_tooltip())
    rules = [
        alt.Chart(alt.Data(values=[{}])).mark_rule(strokeDash=[2, 3], aria=False).encode(x=alt.XDatum(level))
        for level in lines.values()
        if level
    ]
    chart = alt.layer(spread, points, *rules, data=alt.Data(values=rows))
    return chart.properties(
        width="container", height=_ROW * max(len(trials), 1), description=description
    ).to_dict()


def trial_rows(trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Two rows for each trial; the measured one with its interval of two standard errors."""
    rows = []
    for trial in trials:
        name = f"{family_title(trial['family'])} {trial['size']} ({trial['role']})"
        error, spread = trial["measured"], 2 * (trial.get("measured_se") or 0.0)
        rows.append({"trial": name, "kind": "predicted", "error": trial["predicted"]})
        ends = {} if error is None else {"low": max(error - spread, 1e-12), "high": error + spread}
        rows.append({"trial": name, "kind": "measured", "error": error, **ends})
    return rows


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("trial:N"),
        alt.Tooltip("kind:N"),
        alt.Tooltip("error:Q", format=".3~g"),
        alt.Tooltip("low:Q", format=".3~g"),
        alt.Tooltip("high:Q", format=".3~g"),
    ]
