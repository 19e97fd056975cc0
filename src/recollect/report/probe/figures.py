"""The charts of a probe."""

from collections.abc import Mapping, Sequence
from typing import Any

from recollect.report.charts.memory_band import memory_band, memory_magnitude
from recollect.report.drawn_page import Figure
from recollect.report.memory_numbers import horizons, law_curves
from recollect.report.probe.lag_charts import bracket_chart, position_chart

Document = Mapping[str, Any]


def figures(document: Document) -> dict[str, Figure]:
    """Every chart of the page by its name, in the order of the page."""
    return {**memory_figures(document), **_bracket(document), **_positions(document)}


def memory_figures(document: Document) -> dict[str, Figure]:
    """The magnitude over all channels, then the signed memory function of the largest ones."""
    found = {"magnitude": _magnitude(document)}
    channels = document["memory_function"]
    for place, channel in enumerate(channels):
        rows = lag_rows(channel)
        named = "" if len(channels) == 1 else f" from input {channel['input']} to output {channel['output']}"
        spread = " Orange: root mean square over sequences, content included." if channel.get("rms") else ""
        found[f"memory-{place}"] = Figure(
            memory_band(
                rows,
                description=f"Memory function{named}, {len(rows)} lags, with its band.",
                # Horizons are those of all channels together: with several of them they belong to none.
                horizons=horizons(document) if len(channels) == 1 else {},
            ),
            f"Memory function{named}",
            f"Line: the mean over sequences at each lag. Band: its {_percent(document['confidence'])} "
            f"interval.{spread}",
        )
    return found


def lag_rows(columns: Mapping[str, Sequence[float | None] | None]) -> list[dict[str, Any]]:
    """Lists by lag as rows of a chart: `value`, `lower`, `upper`, and `rms` where it is known.

    Example:
        >>> lag_rows({"values": [0.5], "lower": [0.25], "upper": [1.0], "rms": None})
        [{'lag': 0, 'value': 0.5, 'lower': 0.25, 'upper': 1.0}]
    """
    names = {"values": "value", "lower": "lower", "upper": "upper", "rms": "rms"}
    known = {name: column for key, name in names.items() if (column := columns.get(key)) is not None}
    return [
        {"lag": lag, **dict(zip(known, numbers, strict=True))}
        for lag, numbers in enumerate(zip(*known.values(), strict=True))
    ]


def _magnitude(document: Document) -> Figure:
    magnitude = document["magnitude"]
    channels = document["channels"]
    over = "" if channels["outputs"] * channels["inputs"] == 1 else ", over all channels"
    curves = law_curves(magnitude["values"], magnitude["lower"], document.get("decay_law"))
    spread = " Orange: the same of single sequences, content included." if magnitude.get("rms") else ""
    return Figure(
        memory_magnitude(
            lag_rows(magnitude),
            description=f"Magnitude of the memory function{over}, logarithmic, {document['length']} lags.",
            laws=curves,
        ),
        f"Magnitude of the memory{over}, logarithmic",
        f"A straight line is exponential decay. A band down to the lower edge holds 0.{spread}",
    )


def _bracket(document: Document) -> dict[str, Figure]:
    bracket = document.get("bracket")
    if not bracket:
        return {}
    rows = [
        {"lag": lag, "lower": lower, "upper": upper}
        for lag, (lower, upper) in enumerate(zip(bracket["lower"], bracket["upper"], strict=True))
    ]
    return {
        "bracket": Figure(
            bracket_chart(
                rows,
                description="Share of the output's variance due to each lag, between two bounds.",
                title="share of output variance",
            ),
            "What each lag is worth",
            "Share of the output's variance that is due to a lag. Solid: at least, by what is linear in it. "
            "Dashed: at most, content included. Where both agree the map is linear in that lag.",
        )
    }


def _positions(document: Document) -> dict[str, Figure]:
    positions = document.get("positions") or []
    if len(positions) < 2:
        return {}
    rows = [
        {"position": each["position"], "lag": lag, "magnitude": magnitude}
        for each in positions
        for lag, magnitude in enumerate(each["magnitude"])
    ]
    named = ", ".join(str(each["position"]) for each in positions)
    return {
        "positions": Figure(
            position_chart(rows, description=f"Magnitude by lag, of the outputs at positions {named}."),
            "The same from other positions",
            "A map that does not change in time gives one line. Averages over the past fall as it grows.",
        )
    }


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
