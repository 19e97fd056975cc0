"""The page of a probe: what is remembered in three sentences, then the measurement."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recollect.report.drawn_figure import ENDINGS, write_figure
from recollect.report.drawn_page import write_page
from recollect.report.memory_numbers import NamedNumber, named_numbers, shown, shown_interval, value_of
from recollect.report.probe.figures import figures, memory_figures

Document = Mapping[str, Any]

_SHARES = {
    "linear_share": ("linear share", "of the output's variance that is linear in the past"),
    "content_adaptivity": (
        "content adaptivity",
        "of the squared slopes of single sequences that is not in their mean: 0 for a linear map",
    ),
}


def write_probe(document: Document, path: Path) -> Path:
    """Write the page, or by its ending (svg, png, pdf) the charts of the memory; returns `path`.

    Args:
        document: of `probe_document`, or the same read from JSON.
        path: the file; it is replaced, its folder is made.
    """
    title = f"{document['name']}: what it remembers"
    if path.suffix in ENDINGS:
        return write_figure([*memory_figures(document).values()], path, title=title)
    return write_page(
        "probe.html.j2",
        path,
        document=document,
        figures=figures(document),
        title=title,
        facts=_facts(document),
        sentences=document["sentences"],
        numbers=[*named_numbers(document), *dependences(document)],
        method=_method(document),
        channels=_channels(document),
        not_measured=[
            f"{name.replace('_', ' ').capitalize()}: {reason}."
            for name, reason in (document.get("not_measured") or {}).items()
        ],
    )


def dependences(document: Document) -> list[NamedNumber]:
    """How much of the memory depends on content and on position, and how much of the output is linear."""
    rows = [
        NamedNumber(name, shown(document[key]), shown_interval(document[key]), meaning)
        for key, (name, meaning) in _SHARES.items()
        if value_of(document.get(key)) is not None
    ]
    return rows + [
        NamedNumber(
            f"change from position {position}",
            shown(number),
            shown_interval(number),
            "squared difference of the lags both have, over the sum of their energies: from 0 to 2",
        )
        for position, number in (document.get("position_dependence") or {}).items()
        if value_of(number) is not None
    ]


def _facts(document: Document) -> list[tuple[str, str]]:
    channels = document["channels"]
    return [
        ("estimator", document["estimator"]),
        ("lags", str(document["length"])),
        ("sequences", str(document["samples"])),
        ("inputs", str(channels["inputs"])),
        ("outputs", str(channels["outputs"])),
        ("amplitude", shown(document["amplitude"])),
    ]


def _method(document: Document) -> list[tuple[str, str]]:
    return [
        ("quantity", document["quantity"]),
        ("background", document["background"]),
        ("position of the output", str(document["position"])),
        ("confidence", f"{100 * document['confidence']:g} %"),
        ("Recollect", document["recollect"]),
    ]


def _channels(document: Document) -> str:
    channels = document["channels"]
    pairs = channels["outputs"] * channels["inputs"]
    if pairs <= channels["shown"]:
        return ""
    return (
        f"Shown are the {channels['shown']} of {pairs} pairs of input and output with the largest memory; "
        f"numbers and magnitude are those of all together. A Parquet file (-o profile.parquet) has every one."
    )
