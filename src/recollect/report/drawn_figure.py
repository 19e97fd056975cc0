"""Charts below one another in one file: SVG, PNG or PDF by its ending."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vl_convert

from recollect.report.drawn_page import Figure
from recollect.report.files import VEGA_LITE_VERSION

ENDINGS = (".svg", ".png", ".pdf")

_WIDTH = 560
_GREY = "#59636e"
_CONFIG = {
    "background": "white",
    "font": "sans-serif",
    "view": {"stroke": None},
    "title": {"anchor": "start", "frame": "group", "limit": _WIDTH, "offset": 10},
    "axis": {"gridOpacity": 0.5, "titleFontWeight": "normal"},
    "axisX": {"grid": False},
    "text": {"color": _GREY},
    "rule": {"color": _GREY},
}


def write_figure(figures: Sequence[Figure], path: Path, *, title: str) -> Path:
    """Write the charts, each below its heading, to `path`, whose folder is made.

    Args:
        figures: from top to bottom.
        path: ends in one of `ENDINGS`.
        title: heading of the whole.
    """
    text = json.dumps(_stacked(figures, title))
    match path.suffix:
        case ".svg":
            content = vl_convert.vegalite_to_svg(text, vl_version=VEGA_LITE_VERSION).encode()
        case ".png":
            content = vl_convert.vegalite_to_png(text, vl_version=VEGA_LITE_VERSION, scale=2)
        case _:
            content = vl_convert.vegalite_to_pdf(text, vl_version=VEGA_LITE_VERSION)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _stacked(figures: Sequence[Figure], title: str) -> dict[str, Any]:
    """Colours mean the same within a chart, not from one chart to the next."""
    return {
        "$schema": figures[0].spec["$schema"],
        "title": {"text": title, "fontSize": 15},
        "vconcat": [_titled(figure) for figure in figures],
        "resolve": {"scale": {"color": "independent", "shape": "independent"}},
        "config": _CONFIG,
    }


def _titled(figure: Figure) -> dict[str, Any]:
    kept = {key: value for key, value in figure.spec.items() if key not in ("$schema", "config")}
    return {**kept, "width": _WIDTH, "title": {"text": figure.title, "fontSize": 12, "color": _GREY}}
