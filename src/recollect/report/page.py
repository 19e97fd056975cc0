"""One HTML page that holds everything it needs, and opens without a network.

Its fixed part is about 1.9 MB: Vega and DataTables, each once. Every run adds about 0.5 kB (its row, and
where its config differs from others), every pair of model and task about 5 kB of series.
"""

import json
import math
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import itables.options
import vl_convert
from itables.javascript import generate_init_offline_itables_html
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recollect.report.charts import CHARTS, Comparison, specifications
from recollect.report.citations import citations
from recollect.report.datasets import SMALLEST_ERROR, datasets
from recollect.report.files import VEGA_LITE_VERSION
from recollect.report.limits import limits
from recollect.report.results import Result, results
from recollect.report.runs_view import distinct, run_details, runs_html
from recollect.report.verdicts import FAILED_ABOVE, LEARNED_BELOW, verdicts
from recollect.studies.record import Record


def write_html(records: Sequence[Record], path: Path, *, title: str, pending: int = 0) -> Path:
    """Write the report on `records` to `path`.

    Args:
        records: finished runs of one study: runs that share model, task and learning rate are taken as
            seeds of one experiment.
        path: the file to write; it is replaced.
        title: heading of the page.
        pending: runs of the study that have no record yet.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_html([], Path(folder) / "report.html", title="Nothing yet", pending=60).name
        'report.html'
    """
    found = results(records)
    comparison = Comparison.of(found)
    pages = Environment(
        loader=PackageLoader("recollect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["short"] = _short
    text = pages.get_template("page.html.j2").render(
        title=title,
        facts=_facts(records, comparison, pending),
        charts=CHARTS,
        comparison=comparison,
        telling_task=_telling_task(found),
        results={(result.task, result.model): result for result in found},
        kinds=sorted({result.interval_kind for result in found if result.interval_kind}),
        verdicts=verdicts(found),
        learned_below=LEARNED_BELOW,
        failed_above=FAILED_ABOVE,
        limits=limits(records, found, pending),
        environments=distinct(record.environment for record in records),
        citations=citations(records),
        runs=Markup(runs_html(records, comparison.tasks)),
        data=_embedded(_charts_and_data(records, found, comparison)),
        details=_embedded(run_details(records)),
        vega=_vega(),
        datatables=_datatables(),
    )
    # A full disk or an interrupt leaves the report of before, not half a page.
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def _facts(records: Sequence[Record], comparison: Comparison, pending: int) -> list[tuple[str, str]]:
    """What was done, as labels and values."""
    statuses = [record.status for record in records]
    odd = [f"{statuses.count(status)} {status}" for status in ("diverged", "failed") if status in statuses]
    odd += [f"{pending} pending"] if pending else []
    lengths = sorted({record.facts["length"] for record in records if "length" in record.facts})
    seconds = sum(record.wall_seconds for record in records)
    facts = [
        ("runs", ", ".join([str(len(records)), *odd])),
        ("models", str(len(comparison.models))),
        ("tasks", str(len(comparison.tasks))),
        ("seeds", str(len({record.seed for record in records}))),
        ("training length", ", ".join(f"T = {length}" for length in lengths) or "-"),
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


def _telling_task(found: Sequence[Result]) -> str | None:
    """The task on which models differ most: the one to look into first."""
    errors: dict[str, list[float]] = {}
    for result in found:
        if result.nmse is not None and result.has_error:
            errors.setdefault(result.task, []).append(max(result.nmse, SMALLEST_ERROR))
    return max(errors, key=lambda task: max(errors[task]) / min(errors[task]), default=None)


def _short(error: float | None) -> str:
    if error is None:
        return "failed"
    return "diverged" if math.isinf(error) else f"{error:.2g}"


def _charts_and_data(
    records: Sequence[Record], found: Sequence[Result], comparison: Comparison
) -> dict[str, Any]:
    """The charts' specifications and, once, the data they share."""
    charts = {
        name: {
            "by": chart.by,
            "datasets": chart.datasets,
            "specs": list(specs.values()),
            "values": list(specs),
        }
        for name, chart in CHARTS.items()
        for specs in [specifications(name, comparison)]
    }
    return {"charts": charts, "datasets": datasets(records, found)}


def _embedded(value: Any) -> Markup:
    """JSON that no text in it can leave: `</script>` and `<!--` need a `<`."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


@cache
def _vega() -> Markup:
    source = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE_VERSION)
    return Markup(source.replace("</script", "<\\/script"))


@cache
def _datatables() -> Markup:
    return Markup(generate_init_offline_itables_html(itables.options.dt_bundle))
