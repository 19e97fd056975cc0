"""The charts of a diagnosis."""

from collections.abc import Mapping
from typing import Any

from recollect.diagnosis.sentences import family_title
from recollect.report.charts.memory_band import memory_band, memory_magnitude
from recollect.report.diagnosis.confirmation_chart import confirmation_chart
from recollect.report.diagnosis.floors_chart import floors_chart, sized_rows
from recollect.report.drawn_page import Figure
from recollect.report.memory_numbers import horizons, law_curves, value_of

_UNITS = {"taps": "Convolutions", "heads": "Attention without content", "channels": "Dilated convolutions"}
_RECURRENT = "Linear recurrences"


def memory_functions(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Values and band by the input's name, of one input or several.

    Example:
        >>> one = {"values": [1.0], "lower": [0.5], "upper": [1.5]}
        >>> [*memory_functions({"memory_function": one, "series": {"inputs": ["u"]}})]
        ['u']
        >>> [*memory_functions({"memory_function": {"u": one, "v": one}})]
        ['u', 'v']
    """
    found = document["memory_function"]
    if isinstance(found.get("values"), list):
        return {(series_of(document).get("inputs") or ["the input"])[0]: found}
    return found


def series_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the document says of the data."""
    return document.get("series") or {}


def target_of(document: Mapping[str, Any]) -> str:
    """The name of what is predicted."""
    return series_of(document).get("target") or "the target"


def figures(document: Mapping[str, Any]) -> dict[str, Figure]:
    """Every chart of the page by its name, in the order of the page."""
    return {**memory_figures(document), **floor_figures(document), **_confirmation(document)}


def memory_figures(document: Mapping[str, Any]) -> dict[str, Figure]:
    """Two charts for each input: signed, and the magnitude on a logarithmic axis."""
    functions = memory_functions(document)
    found: dict[str, Figure] = {}
    for place, (name, function) in enumerate(functions.items()):
        # Horizons and laws are those of all inputs together: with several of them they belong to none.
        is_alone = len(functions) == 1
        marks = horizons(document) if is_alone else {}
        law = document.get("decay_law") if is_alone else None
        target = target_of(document)
        words = f"Memory function from {name} to {target}, {len(function['values'])} lags, with its band."
        rows = _rows(function)
        found[f"memory-{place}"] = Figure(
            memory_band(rows, description=words, horizons=marks),
            f"What {target} takes from {name}",
            "Line: the estimate at each lag, in data units. Band: "
            f"{100 * (document.get('confidence') or 0.95):g} % posterior interval at each lag."
            f"{'' if is_alone else _contribution(document, name)}",
        )
        magnitudes = [_magnitude(row) for row in rows]
        curves = law_curves([m["value"] for m in magnitudes], [m["lower"] for m in magnitudes], law)
        found[f"magnitude-{place}"] = Figure(
            memory_magnitude(magnitudes, description=f"Magnitude, logarithmic. {words}", laws=curves),
            "Its magnitude, logarithmic",
            "A straight line is exponential decay. Where the band reaches the lower edge, 0 lies inside it.",
        )
    return found


def _contribution(document: Mapping[str, Any], name: str) -> str:
    share = (document.get("input_shares") or {}).get(name)
    return "" if share is None else f" It contributes {100 * share:.3g} % of the variance."


def floor_figures(document: Mapping[str, Any]) -> dict[str, Figure]:
    """A chart for each unit in which sizes are counted."""
    bounded = [each for each in document.get("recommendations") or () if sized_rows(each)]
    families = list(dict.fromkeys(family_title(each["family"]) for each in bounded))
    lines = _levels(document)
    found = {}
    for place, unit in enumerate(dict.fromkeys(each["unit"] for each in bounded)):
        names = [family_title(each["family"]) for each in bounded if each["unit"] == unit]
        heading = next((words for word, words in _UNITS.items() if word in unit), _RECURRENT)
        found[f"floors-{place}"] = Figure(
            floors_chart(
                bounded,
                unit,
                families=families,
                lines=lines,
                description=f"Total error against size in {unit}: {', '.join(names)}.",
            ),
            f"{heading}: error against size in {unit}",
            "Line with points: an explicit model on this data. Dashed: the proven floor, where there is one. "
            "Between them: open. Below: impossible.",
        )
    return found


def _levels(document: Mapping[str, Any]) -> dict[str, float | None]:
    """What is to be reached, which is never the noise itself, and the noise."""
    asked, reached = document.get("target_nmse"), document.get("reached_below")
    name = "target" if reached is None or reached == asked else "reached below"
    return {name: asked if reached is None else reached, "noise": value_of(document.get("noise_nmse"))}


def _confirmation(document: Mapping[str, Any]) -> dict[str, Figure]:
    confirmation = document.get("confirmation") or {}
    trials = confirmation.get("trials") or []
    if not trials:
        return {}
    lines = _levels(document)
    words = "Predicted and measured error of the models that were trained."
    caption = "Grey: what the estimate predicts. Blue: the trained model on held-out data, with two standard "
    return {
        "confirmation": Figure(
            confirmation_chart(trials, lines=lines, description=words),
            "Predicted and measured",
            f"{caption}errors. Broken lines: what counts as reached, and the noise.",
        )
    }


def _rows(function: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = zip(function["values"], function["lower"], function["upper"], strict=True)
    return [
        {"lag": lag, "value": value, "lower": lower, "upper": upper}
        for lag, (value, lower, upper) in enumerate(columns)
    ]


def _magnitude(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without the sign: the lower end is 0 where the band holds both signs."""
    ends = abs(row["lower"]), abs(row["upper"])
    crosses = row["lower"] <= 0 <= row["upper"]
    return {
        "lag": row["lag"],
        "value": abs(row["value"]),
        "lower": 0.0 if crosses else min(ends),
        "upper": max(ends),
    }
