"""A memory function with its band: signed, and its magnitude on a logarithmic axis."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

ESTIMATE = "memory function"
SPREAD = "root mean square"
LAWS = {"exponential": "exponential law", "power": "power law"}
"""Names in the legend, by those of the document."""

_COLOURS = {ESTIMATE: "#3a86d4", SPREAD: "#ee7733", "exponential law": "#0d9f87", "power law": "#cc3377"}
_DASHES = {SPREAD: [5, 3], "exponential law": [8, 4], "power law": [2, 3]}
_FEW = 40
"""Lags up to which each gets a point."""
_DECADES = 6
"""Most that is shown below the largest magnitude: what lies deeper is rounding, or of no use."""
_HEIGHT = 240
_POWER = "format(datum.value, datum.value < 0.001 ? '.0e' : '~g')"
_ONCE = alt.Data(values=[{}])
"""For marks that belong to no lag: with the rows of the chart they would be drawn over and over."""

Rows = Sequence[Mapping[str, Any]]


def memory_band(
    rows: Rows,
    *,
    description: str,
    horizons: Mapping[str, float | None],
    title: str = ESTIMATE,
) -> dict[str, Any]:
    """The Vega-Lite specification of the signed values, its data inside.

    Args:
        rows: with `lag`, `value`, `lower`, `upper`, and `rms` where the root mean square is known.
        description: read out in place of the chart.
        horizons: numbers of lags to mark, by their name.
        title: of the vertical axis.
    """
    names = [ESTIMATE, *([SPREAD] if _has(rows, "rms") else [])]
    base = alt.Chart().encode(x=_lag_axis(rows))
    band = _named(base, ESTIMATE, names).mark_area(opacity=0.28, aria=False)
    band = band.encode(y=alt.Y("lower:Q", title=title), y2="upper:Q")
    zero = alt.Chart(_ONCE).mark_rule(strokeWidth=0.8, aria=False).encode(y=alt.datum(0))
    lines = [_line(base, "value", ESTIMATE, names, rows)]
    if SPREAD in names:
        lines.append(_line(base, "rms", SPREAD, names, rows))
    return _spec([band, zero, *lines, *_marks(horizons, rows), _hover(base, rows)], rows, description)


def memory_magnitude(
    rows: Rows,
    *,
    description: str,
    laws: Mapping[str, Sequence[float | None]] | None = None,
    title: str = "magnitude",
) -> dict[str, Any]:
    """Its magnitude on a logarithmic axis, with laws of decay over it.

    Args:
        rows: with `lag`, `value`, `lower`, `upper`, all at least 0, and `rms` where it is known. A lower end
            of 0 goes down to the edge.
        description: read out in place of the chart.
        laws: by the law's name in `LAWS`, its values at each lag, None where it was not fitted.
        title: of the vertical axis.
    """
    drawn = {LAWS[law]: values for law, values in (laws or {}).items()}
    names = [ESTIMATE, *([SPREAD] if _has(rows, "rms") else []), *drawn]
    bottom, top = _ends(rows)
    shown = [
        {
            **row,
            # Areas end at the edge, lines are cut there: a line along the edge would be read as an estimate.
            **{f"shown_{name}": max(row[name], bottom) for name in ("lower", "upper")},
            "shown_value": row["value"] or None,
            **{law: values[place] for law, values in drawn.items()},
        }
        for place, row in enumerate(rows)
    ]
    base = alt.Chart().encode(x=_lag_axis(rows))
    y = alt.Y(
        "shown_lower:Q",
        title=title,
        scale=alt.Scale(type="log", domain=[bottom, top], nice=False),
        axis=_logarithmic(bottom, top),
    )
    band = _named(base, ESTIMATE, names).mark_area(opacity=0.28, aria=False, clip=True)
    band = band.encode(y=y, y2="shown_upper:Q")
    lines = [_line(base, "shown_value", ESTIMATE, names, rows)]
    if SPREAD in names:
        lines.append(_line(base, "rms", SPREAD, names, rows))
    lines += [_line(base, law, law, names, rows) for law in drawn]
    return _spec([band, *lines, _hover(base, rows)], shown, description)


def _has(rows: Rows, name: str) -> bool:
    return any(row.get(name) is not None for row in rows)


def _ends(rows: Rows) -> tuple[float, float]:
    """Of the logarithmic axis: all magnitudes that say something, at most so many decades.

    An estimate far below its own band says nothing of how small the memory is.
    """
    top = max((row[name] for row in rows for name in ("upper", "value", "rms") if row.get(name)), default=1.0)
    smallest = min((row["value"] for row in rows if row["value"] > 0), default=top)
    narrowest = min((row["upper"] for row in rows if row["upper"] > 0), default=top)
    return max(smallest / 2, narrowest / 30, top * 10.0**-_DECADES), 1.3 * top


def _logarithmic(bottom: float, top: float) -> alt.Axis:
    """Ticks at powers of ten; at 1, 2 and 5 times them where there are few."""
    powers = range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    steps = (1,) if math.log10(top / bottom) >= 2 else (1, 2, 5)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return alt.Axis(labelExpr=_POWER, values=[tick for tick in ticks if bottom <= tick <= top])


def _lag_axis(rows: Rows) -> alt.X:
    last = max(len(rows) - 1, 1)
    return alt.X(
        "lag:Q",
        title="lag",
        scale=alt.Scale(domain=[0, last], nice=False, padding=8),
        axis=alt.Axis(tickMinStep=1, grid=False, format="d"),
    )


def _line(base: alt.Chart, column: str, name: str, names: Sequence[str], rows: Rows) -> alt.Chart:
    is_measured = name == ESTIMATE
    dashes: dict[str, Any] = {"strokeDash": _DASHES[name]} if name in _DASHES else {}
    point: Any = {"size": 24, "filled": True} if is_measured and len(rows) <= _FEW else False
    chart = _named(base, name, names)
    if not is_measured:
        chart = chart.transform_filter(f"isValid(datum[{column!r}])")
    marked = chart.mark_line(strokeWidth=1.8 if is_measured else 1.5, clip=True, point=point, **dashes)
    return marked.encode(y=alt.Y(f"{column}:Q"))


def _named(base: alt.Chart, name: str, names: Sequence[str]) -> alt.Chart:
    """In the colour of `name`, which the legend says where there are several."""
    legend = alt.Legend(
        title=None, orient="top", columns=2, symbolType="stroke", symbolStrokeWidth=2.5, symbolOpacity=1
    )
    colour = alt.Color(
        "series:N",
        scale=alt.Scale(domain=[*names], range=[_COLOURS[each] for each in names]),
        legend=legend if len(names) > 1 else None,
    )
    return base.transform_calculate(series=repr(name)).encode(color=colour)


def _marks(horizons: Mapping[str, float | None], rows: Rows) -> list[alt.Chart]:
    """A rule at each horizon, its name beside it, one below the other so that near ones can be read."""
    layers = []
    known = {name: lag for name, lag in horizons.items() if lag is not None}
    for place, (name, lag) in enumerate(known.items()):
        at = alt.XDatum(lag)
        is_late = lag > 0.7 * len(rows)
        rule = alt.Chart(_ONCE).mark_rule(strokeDash=[2, 3], aria=False, clip=True).encode(x=at)
        text = alt.Chart(_ONCE).mark_text(
            text=f"{name} {lag:g}",
            align="right" if is_late else "left",
            baseline="top",
            dx=-4 if is_late else 4,
            dy=2,
        )
        layers += [rule, text.encode(x=at, y=alt.value(14 * place))]
    return layers


def _hover(base: alt.Chart, rows: Rows) -> alt.Chart:
    """The numbers of a lag wherever the pointer is above it."""
    tooltip = [alt.Tooltip("lag:Q"), *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in _columns(rows))]
    width = max(2.0, 500 / max(len(rows), 1))
    return base.mark_rule(opacity=0, strokeWidth=width, aria=False, clip=True).encode(tooltip=tooltip)


def _columns(rows: Rows) -> list[str]:
    return [name for name in ("value", "lower", "upper", "rms") if _has(rows, name)]


def _spec(layers: Sequence[Any], rows: Rows, description: str) -> dict[str, Any]:
    chart = alt.layer(*layers, data=alt.Data(values=[*rows]))
    return chart.properties(width="container", height=_HEIGHT, description=description).to_dict()
