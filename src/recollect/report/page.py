"""One HTML page that holds everything it needs, and opens without a network.

Its fixed part is about 1.9 MB: Vega and DataTables, each once. Every run adds about 0.5 kB (its row, and
where its config differs from others), every pair of model and task about 5 kB of series.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import itables.options
from itables.javascript import generate_init_offline_itables_html
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recollect.report.boundaries import boundary_section
from recollect.report.chart_data import chart_data
from recollect.report.charts import CHARTS, Chart, Comparison, specifications
from recollect.report.charts.boundary_map import BOUNDARY_DATASETS, boundary_charts, boundary_tables
from recollect.report.charts.heat_map import is_turned, widths
from recollect.report.citations import citations
from recollect.report.datasets import SMALLEST_ERROR, Datasets
from recollect.report.floors import (
    DEFECT,
    RULE,
    STANDINGS,
    any_floor,
    defects,
    family_standings,
    without_floor,
)
from recollect.report.limits import limits, training_lengths
from recollect.report.results import Result, results
from recollect.report.runs_view import distinct, run_details, runs_html
from recollect.report.scores import (
    by_criterion,
    format_score,
    format_value,
    guesses,
    heading,
    mean_scores,
    mean_title,
)
from recollect.report.self_contained import embedded, vega, write_whole
from recollect.report.verdicts import WORDS, verdicts
from recollect.studies import ModelBoundary
from recollect.studies.record import Record
from recollect.tasks.criteria import CRITERIA

_MAPS = {"heat_map": "error", "heat_map_floor": "floor", "heat_map_excess": "excess"}
"""The faces of the heat map, by what the switch calls them."""


def write_html(
    records: Sequence[Record],
    path: Path,
    *,
    title: str,
    pending: int = 0,
    boundaries: Sequence[ModelBoundary] = (),
) -> Path:
    """Write the report on `records` to `path`.

    Args:
        records: finished runs of one study: runs that share model, task and learning rate are taken as
            seeds of one experiment.
        path: the file to write; it is replaced.
        title: heading of the page.
        pending: runs of the study that have no record yet.
        boundaries: of a study that seeks them (`recollect.studies.boundaries`); they come first.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_html([], Path(folder) / "report.html", title="Nothing yet", pending=60).name
        'report.html'
    """
    found = results(records)
    comparison = Comparison.of(found)
    data = chart_data(records, found)
    charts = _with_data(data, comparison)
    pages = Environment(
        loader=PackageLoader("recollect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = pages.get_template("page.html.j2").render(
        title=title,
        facts=_facts(records, comparison, pending),
        charts=charts,
        comparison=comparison,
        boundaries=boundary_section(boundaries) if boundaries else None,
        parts=[_part(part, comparison, charts) for part in by_criterion(found).values()],
        defects=defects(records),
        defect_words=DEFECT,
        standings=family_standings(found),
        standing_words=STANDINGS,
        standing_rule=RULE,
        without_floor=without_floor(found),
        inside_tasks=_inside_tasks(charts, data, comparison),
        telling_task=_telling_task(found),
        limits=limits(records, found, pending),
        environments=distinct(record.environment for record in records),
        citations=citations(records),
        runs=Markup(runs_html(records, comparison.tasks)),
        data=embedded(_charts_and_data(charts, data, comparison, boundaries)),
        details=embedded(run_details(records)),
        vega=vega(),
        datatables=_datatables(),
    )
    return write_whole(text, path)


def _facts(records: Sequence[Record], comparison: Comparison, pending: int) -> list[tuple[str, str]]:
    """What was done, as labels and values."""
    statuses = [record.status for record in records]
    odd = [f"{statuses.count(status)} {status}" for status in ("diverged", "failed") if status in statuses]
    odd += [f"{pending} pending"] if pending else []
    lengths = ", ".join(f"T = {length}" for length in training_lengths(records))
    seconds = sum(record.wall_seconds for record in records)
    facts = [
        ("runs", ", ".join([str(len(records)), *odd])),
        ("models", str(len(comparison.models))),
        ("tasks", str(len(comparison.tasks))),
        ("seeds", str(len({record.seed for record in records}))),
        *([("training length", lengths)] if lengths else []),
        ("time, all runs", str(timedelta(seconds=round(seconds)))),
    ]
    if records:
        peak = max(record.peak_memory_bytes for record in records) / 2**20
        last = max(record.created_at for record in records)
        facts += [
            ("peak memory of a worker", f"{peak:.0f} MiB"),
            ("last run", f"{last:%Y-%m-%d %H:%M %Z}".strip()),
        ]
    return facts


def _part(found: Sequence[Result], comparison: Comparison, charts: Mapping[str, Chart]) -> dict[str, Any]:
    """What the page says of the results of one criterion."""
    criterion = found[0].criterion
    return {
        "criterion": criterion,
        "heading": heading(criterion),
        "scored": comparison.criteria[criterion],
        "place": list(comparison.criteria).index(criterion),
        "maps": {
            name: words
            for name, words in _MAPS.items()
            if name in charts and (name == "heat_map" or any_floor(found))
        },
        "widths": widths(comparison, criterion),
        "is_turned": is_turned(comparison, criterion),
        "verdicts": verdicts(found),
        "words": WORDS.get(criterion),
        "guesses": guesses(found),
        "results": {(result.task, result.model): result for result in found},
        "means": mean_scores(found),
        "mean_title": mean_title(found),
        "kinds": sorted({result.interval_kind for result in found if result.interval_kind}),
        "score": lambda value: format_score(value, criterion),
        "shown": format_value,
    }


def _telling_task(found: Sequence[Result]) -> str | None:
    """The task on which models differ most: the one to look into first."""
    scores: dict[str, list[float]] = {}
    for result in found:
        if result.value is not None and result.has_value:
            lower = CRITERIA[result.criterion].lower_is_better
            score = math.log(max(result.value, SMALLEST_ERROR)) if lower else result.value
            scores.setdefault(result.task, []).append(score)
    return max(scores, key=lambda task: max(scores[task]) - min(scores[task]), default=None)


def _with_data(data: Datasets, comparison: Comparison) -> dict[str, Chart]:
    """The charts that have something to show."""
    return {
        name: chart
        for name, chart in CHARTS.items()
        if all(data[table] for table in chart.datasets) and specifications(name, comparison)
    }


def _inside_tasks(charts: Mapping[str, Chart], data: Datasets, comparison: Comparison) -> list[str]:
    """The tasks that some chart of a single task shows."""
    tables = {table for chart in charts.values() if chart.by == "task" for table in chart.datasets}
    tasks = {row["task"] for table in tables for row in data[table]}
    return [task for task in comparison.tasks if task in tasks]


def _charts_and_data(
    charts: Mapping[str, Chart],
    data: Datasets,
    comparison: Comparison,
    boundaries: Sequence[ModelBoundary],
) -> dict[str, Any]:
    """The charts' specifications and, once, the data they share."""
    drawn = {
        name: {
            "by": chart.by,
            "datasets": chart.datasets,
            "specs": list(specs.values()),
            "values": list(specs),
        }
        for name, chart in charts.items()
        for specs in [specifications(name, comparison)]
    }
    of_boundaries = {
        name: {
            "by": "series",
            "datasets": [BOUNDARY_DATASETS[name]],
            "specs": list(specs.values()),
            "values": list(specs),
        }
        for name, specs in boundary_charts(boundaries, comparison).items()
        if boundaries
    }
    return {
        "charts": drawn | of_boundaries,
        "datasets": data | (boundary_tables(boundaries) if boundaries else {}),
    }


@cache
def _datatables() -> Markup:
    return Markup(generate_init_offline_itables_html(itables.options.dt_bundle))
