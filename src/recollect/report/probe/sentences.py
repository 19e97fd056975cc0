"""What a probe found, in three sentences: how far it remembers, by what, and how that was measured."""

from collections.abc import Mapping
from typing import Any

from recollect.report.memory_numbers import horizons_with_intervals, shown, shown_interval, value_of

Document = Mapping[str, Any]

_NEGLIGIBLE = 0.005


def probe_sentences(document: Document) -> list[str]:
    """From the document of a probe; the sentence on content and position only where they were measured."""
    said = (_memory(document), _dependence(document), _measured(document))
    return [sentence for sentence in said if sentence]


def _memory(document: Document) -> str:
    name, lags = document["name"], document["length"]
    horizon = horizons_with_intervals(document)
    reach = value_of(horizon["h95"])
    if document["decay_law"]["preferred"] == "none" or not reach:
        return f"{name} shows no mean memory above the noise over {lags} lags."
    ends = shown_interval(horizon["h95"])
    interval = f" (interval {ends.replace(' … ', ' to ')})" if ends else ""
    return (
        f"{name} remembers over {shown(reach)} of {lags} lags{interval}: they hold 95 % of the energy of its "
        f"memory function, half of it within {shown(horizon['h50'])}, and it {_decay(document)}."
    )


def _decay(document: Document) -> str:
    law = document["decay_law"]
    match law["preferred"]:
        case "exponential":
            return f"decays exponentially, by exp(-{shown(law['exponential'])} s)"
        case "power":
            return f"decays as a power law, (1 + s)^-{shown(law['power'])}"
        case _:
            return "follows neither an exponential nor a power law clearly"


def _dependence(document: Document) -> str:
    parts = []
    if (adaptivity := value_of(document.get("content_adaptivity"))) is not None:
        parts.append(
            "what it takes from a lag does not depend on the content"
            if adaptivity < _NEGLIGIBLE
            else f"{100 * adaptivity:.3g} % of what it takes from its lags changes with the content"
        )
    if (share := value_of(document.get("linear_share"))) is not None:
        parts.append(f"{100 * share:.3g} % of the output's variance is linear in the past")
    if (position := _largest_position(document)) is not None:
        parts.append(
            "seen from earlier positions it is the same, as far as can be told"
            if position < _NEGLIGIBLE
            else f"seen from earlier positions it differs by up to {position:.2g}, 1 being nothing in common"
        )
    return _capital("; ".join(parts)) + "." if parts else ""


def _largest_position(document: Document) -> float | None:
    values = [value_of(change) for change in (document.get("position_dependence") or {}).values()]
    return max((value for value in values if value is not None), default=None)


def _measured(document: Document) -> str:
    return f"Measured was: {document['quantity']}; {document['samples']} sequences, {document['background']}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
