"""One HTML page of words, tables and charts, which holds all it needs and opens without a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from recollect.report.self_contained import embedded, vega, write_whole


@dataclass(frozen=True)
class Figure:
    """A chart with its words.

    Attributes:
        spec: Vega-Lite, its data inside. Its `description` is what a screen reader says.
        title: heading.
        caption: how to read it.
    """

    spec: dict[str, Any]
    title: str
    caption: str


def write_page(
    template: str, path: Path, *, document: Mapping[str, Any], figures: Mapping[str, Figure], **words: Any
) -> Path:
    """Write a page to `path`, whose folder is made and which is replaced in one move.

    Args:
        template: name of the Jinja template, one that extends `drawn_page.html.j2`.
        path: the file.
        document: what the page was drawn from, plain JSON: it stays in the page for who reads on by machine.
        figures: by the name under which the template shows them.
        words: everything else that the template names.
    """
    pages = Environment(
        loader=PackageLoader("recollect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = pages.get_template(template).render(
        figures=figures,
        charts=embedded({name: figure.spec for name, figure in figures.items()}),
        document=embedded(document),
        vega=vega(),
        **words,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_whole(text, path)
