"""Where models fail along one series of memories: the boundaries beside theory, and the runs behind them."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import altair as alt

from recollect.report.boundaries import (
    CAUSES,
    alpha_words,
    by_series,
    cause,
    interval,
    measured,
    passes,
    theory_words,
)
from recollect.report.charts.comparison import LEGEND, Comparison, error_axis
from recollect.report.datasets import Datasets, Rows
from recollect.studies import ModelBoundary

_ROW_HEIGHT = 28
_GREY = "#59636e"
_KINDS = {
    "crosses": ("fails from here", "circle"),
    "never_fails": ("never fails", "triangle-right"),
    "fails_everywhere": ("fails everywhere", "triangle-left"),
}
_BANDS = {"an explicit model passes": "#0d9f87", "open": "#d9c97a", "all are proven to fail": "#8b949e"}
_SHOWN_RANGE = 1e-3
"""Errors below this share of the threshold are drawn there: how far below it they lie says no more."""


def boundary_tables(found: Sequence[ModelBoundary]) -> Datasets:
    """`boundary`: a row for each model and series; `boundary_point`: for each run."""
    return {
        "boundary": [_row(one) for one in found],
        "boundary_point": [row for one in found for row in _points(one)],
    }


def boundary_charts(
    found: Sequence[ModelBoundary], comparison: Comparison
) -> dict[str, dict[str, dict[str, Any]]]:
    """The specifications of both charts, by name and series. Each reads one of `boundary_tables`."""
    series = by_series(found)
    return {
        "boundary_map": {title: boundary_map(own, comparison) for title, own in series.items()},
        "boundary_errors": {title: boundary_errors(own, comparison) for title, own in series.items()},
    }


BOUNDARY_DATASETS = {"boundary_map": "boundary", "boundary_errors": "boundary_point"}
"""The table that each chart reads."""


def boundary_map(own: Sequence[ModelBoundary], comparison: Comparison) -> dict[str, Any]:
    """A row per model: its boundary with the interval, over bands of what theory says of its class."""
    models = [one.model for one in own]
    base = alt.Chart(alt.NamedData("boundary")).encode(
        y=alt.Y(
            "model:N", title=None, scale=alt.Scale(domain=models), axis=alt.Axis(domain=False, ticks=False)
        )
    )
    x, found = _h95_axis(own[0]), base.transform_filter("isValid(datum.shown_h95)")
    bands = (
        base.transform_flatten(["bands"])
        .transform_calculate(start="datum.bands.start", end="datum.bands.end", band="datum.bands.name")
        .mark_rect(opacity=0.3, stroke=None, height={"band": 0.86})
        .encode(
            x=x("start"),
            x2="end:Q",
            fill=_named_scale(alt.Fill, "band", _BANDS, _legend("bottom")),
        )
    )
    rules = base.mark_rule(strokeWidth=2.5).encode(
        x=x("shown_low"), x2="shown_high:Q", color=comparison.colour()
    )
    points = found.mark_point(size=110, filled=True, opacity=1).encode(
        x=x("shown_h95"),
        color=comparison.colour(),
        shape=_named_scale(
            alt.Shape,
            "kind",
            dict(_KINDS.values()),
            _legend("top", symbolFillColor=_GREY, symbolStrokeColor=_GREY),
        ),
        tooltip=_tooltip(),
    )
    return _sized(alt.layer(bands, rules, points), own[0], _ROW_HEIGHT * len(models))


def boundary_errors(own: Sequence[ModelBoundary], comparison: Comparison) -> dict[str, Any]:
    """The runs and, for each model, a line through the medians of their errors."""
    highlighted = alt.selection_point(name="boundary_legend", fields=["model"], bind="legend")
    x = _h95_axis(own[0])
    base = alt.Chart(alt.NamedData("boundary_point")).encode(
        color=comparison.colour(LEGEND),
        opacity=alt.when(highlighted).then(alt.value(1)).otherwise(alt.value(0.1)),
    )
    title = "NMSE" if own[0].of == "error" else "NMSE above the floor"
    threshold = (
        alt.Chart(alt.sequence(0, 1))
        .mark_rule(strokeDash=[5, 4], color=_GREY, strokeWidth=1.5)
        .encode(y=alt.datum(own[0].threshold))
    )
    lines = (
        base.transform_aggregate(middle="median(shown_error)", groupby=["model", "h95"])
        .mark_line(strokeWidth=2)
        .encode(x=x("h95"), y=error_axis("middle", title))
    )
    points = base.mark_point(size=55, strokeWidth=1.5).encode(
        x=x("h95"),
        y=error_axis("shown_error", title),
        fill=alt.when("datum.diverged").then(alt.value("transparent")).otherwise(comparison.fill(LEGEND)),
        shape=comparison.shape(LEGEND),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("h95:Q", title="H95 (lags)"),
            alt.Tooltip("seed:Q"),
            alt.Tooltip("error:Q", format=".3~g", title=title),
            alt.Tooltip("diverged:N"),
        ],
    )
    return _sized(alt.layer(threshold, lines, points.add_params(highlighted)), own[0], 220)


def _row(found: ModelBoundary) -> dict[str, Any]:
    boundary = found.boundary
    left, right = _edges(found)
    kind, _ = _KINDS.get(boundary.kind, (None, None))
    outside = {
        "never_fails": math.sqrt(found.h95_high * right),
        "fails_everywhere": math.sqrt(found.h95_low * left),
    }
    at = outside.get(boundary.kind, boundary.strength)
    has_interval = bool(interval(found))
    why = cause(found)
    return {
        "series": found.series,
        "model": found.model,
        "kind": kind,
        "shown_h95": at,
        "shown_low": (boundary.low or left) if has_interval else at,
        "shown_high": (boundary.high or right) if has_interval else at,
        "measured": " ".join(part for part in (measured(found), interval(found)) if part),
        "alpha": alpha_words(found) or None,
        "theory": theory_words(found) or None,
        "how": found.theory.how,
        "cause": CAUSES[why] if why else None,
        "runs": found.num_runs,
        "diverged": found.num_diverged,
        "bands": _bands(found),
    }


def _bands(found: ModelBoundary) -> list[dict[str, Any]]:
    """What theory says of the class, from the weakest memory to the strongest; nothing where none binds."""
    theory, (left, right) = found.theory, _edges(found)
    if not theory.binds:
        return []
    explicit, unknown, fails = _BANDS
    possible = right if theory.possible is None else _from(theory.possible, found)
    reached = possible if theory.constructs else left
    bands = [(explicit, left, reached)]
    for first, last in theory.proven:
        start, end = _from(first, found), right if last == found.h95_high else last
        bands += [(unknown, reached, start), (fails, start, end)]
        reached = end
    bands.append((unknown, reached, right))
    return [{"name": name, "start": start, "end": end} for name, start, end in bands if start < end]


def _from(h95: int, found: ModelBoundary) -> float:
    """Where a band begins that holds from a strength on: what holds from the weakest on holds throughout."""
    return _edges(found)[0] if h95 == found.h95_low else h95


def _edges(found: ModelBoundary) -> tuple[float, float]:
    """The ends of the axis: a little room beyond the range, for what lies outside."""
    room = (found.h95_high / found.h95_low) ** 0.07
    return found.h95_low / room, found.h95_high * room


def _points(found: ModelBoundary) -> Rows:
    lowest = _SHOWN_RANGE * found.threshold
    rows: Rows = []
    for point in found.points:
        diverged = math.isinf(point.log_error)
        error = None if diverged else math.exp(point.log_error)
        rows.append(
            {
                "series": found.series,
                "model": found.model,
                "h95": point.strength,
                "seed": point.seed,
                "error": error,
                "shown_error": 1.0 if error is None else min(max(error, lowest), 10.0),
                "diverged": diverged,
            }
        )
    return rows


def _h95_axis(found: ModelBoundary) -> Any:
    """The axis for any column, so that layers agree on it."""
    low, high = found.h95_low, found.h95_high
    ticks = sorted({round(low * (high / low) ** (i / 4)) for i in range(5)})
    left, right = _edges(found)

    def axis(column: str) -> alt.X:
        return alt.X(
            f"{column}:Q",
            title="H95 (lags): memory grows",
            scale=alt.Scale(type="log", domain=[left, right], nice=False),
            # A format would go through the scale, which may round 16 to 2e+1.
            axis=alt.Axis(values=ticks, labelExpr="format(datum.value, 'd')", grid=False),
        )

    return axis


def _named_scale(channel: Any, column: str, named: dict[str, str], legend: alt.Legend) -> Any:
    return channel(
        f"{column}:N", scale=alt.Scale(domain=list(named), range=list(named.values())), legend=legend
    )


def _legend(orient: Literal["top", "bottom"], **options: Any) -> alt.Legend:
    """In rows that a phone has room for, names in full."""
    return alt.Legend(title=None, orient=orient, columns=2, labelLimit=0, **options)


def _sized(chart: alt.LayerChart | alt.FacetChart, found: ModelBoundary, height: int) -> dict[str, Any]:
    return chart.properties(
        width="container",
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        height=height,
        title=f"{found.series}: {passes(found)}",
    ).to_dict()


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("model:N"),
        alt.Tooltip("measured:N", title="H95*"),
        alt.Tooltip("alpha:N", title="alpha*"),
        alt.Tooltip("runs:Q"),
        alt.Tooltip("diverged:Q"),
        alt.Tooltip("theory:N", title="best of the class"),
        alt.Tooltip("cause:N", title="verdict"),
        alt.Tooltip("how:N", title="because"),
    ]
