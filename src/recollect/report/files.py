"""Charts as files: SVG, PNG or PDF, from the specifications of the page."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import altair as alt
import vl_convert

from recollect.report.chart_data import chart_data
from recollect.report.charts import CHARTS, Comparison, specifications
from recollect.report.charts.boundary_map import BOUNDARY_DATASETS, boundary_charts, boundary_tables
from recollect.report.datasets import Datasets, Rows
from recollect.report.results import results
from recollect.studies import ModelBoundary
from recollect.studies.record import Record

Format = Literal["svg", "png", "pdf"]

VEGA_LITE_VERSION = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
"""The version Altair writes, as vl-convert names it."""

_WIDTH = 420
_CONFIG = {
    "background": "white",
    "font": "sans-serif",
    "view": {"stroke": None},
    "title": {"anchor": "start", "limit": 520},
    "axis": {"gridOpacity": 0.5},
}


def write_charts(
    records: Sequence[Record],
    folder: Path,
    format: Format,  # noqa: A002 (the word of the command line)
    *,
    boundaries: Sequence[ModelBoundary] = (),
) -> list[Path]:
    """Write every chart to `folder`, e.g. `error_by_alpha-impulse.svg`; returns the paths.

    One heat map per criterion, one chart of the errors per family, and one per task of what goes lag by
    lag, step by step or load by load. A chart without data (no series were stored) is left out. Of
    `boundaries` a map and their runs, for each series of memories.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = results(records)
    paths: list[Path] = []
    comparison = Comparison.of(found)
    drawn = chain(_of_boundaries(boundaries, comparison), _with_data(chart_data(records, found), comparison))
    for name, value, spec in drawn:
        path = _free_path(folder, name, value, format, paths)
        path.write_bytes(_convert(spec, format))
        paths.append(path)
    return paths


def _with_data(data: Datasets, comparison: Comparison) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """Name, family or task, and the specification with its rows, at the width of a column of text."""
    for name, chart in CHARTS.items():
        for family, spec in specifications(name, comparison).items():
            width = {"width": _WIDTH} if spec.get("width") == "container" else {}
            for value in comparison.tasks if chart.by == "task" else [family]:
                rows = {table: _selected(data[table], chart.by, value) for table in chart.datasets}
                if all(rows.values()):
                    heading = {"title": value} if chart.by == "task" else {}
                    yield name, value, spec | width | heading | {"datasets": rows, "config": _CONFIG}


def _of_boundaries(
    boundaries: Sequence[ModelBoundary], comparison: Comparison
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    tables = boundary_tables(boundaries)
    for name, specs in boundary_charts(boundaries, comparison).items():
        table = BOUNDARY_DATASETS[name]
        for series, spec in specs.items():
            if rows := _selected(tables[table], "series", series):
                yield name, series, spec | {"width": _WIDTH, "datasets": {table: rows}, "config": _CONFIG}


def _selected(rows: Rows, by: str | None, value: str | None) -> Rows:
    return [row for row in rows if by is None or row[by] == value]


def _convert(spec: dict[str, Any], kind: Format) -> bytes:
    text = json.dumps(spec)
    match kind:
        case "svg":
            return vl_convert.vegalite_to_svg(text, vl_version=VEGA_LITE_VERSION).encode()
        case "png":
            return vl_convert.vegalite_to_png(text, vl_version=VEGA_LITE_VERSION, scale=2)
        case "pdf":
            return vl_convert.vegalite_to_pdf(text, vl_version=VEGA_LITE_VERSION)


def _free_path(folder: Path, name: str, value: str | None, ending: str, taken: Sequence[Path]) -> Path:
    """A path from the chart and its rows; labels that differ only in odd characters are numbered."""
    label = re.sub(r"[^\w.=-]+", "-", value or "").strip("-.")
    stem = "-".join(part for part in (name, label) if part)
    path = folder / f"{stem}.{ending}"
    number = 2
    while path in taken:
        path = folder / f"{stem}-{number}.{ending}"
        number += 1
    return path
