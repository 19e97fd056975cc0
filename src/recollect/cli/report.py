"""`recollect report`: page, charts or tables from the stored records."""

from pathlib import Path
from typing import Literal, cast

from recollect.cli.choice import chosen_study
from recollect.cli.console import err, out
from recollect.core import ConfigError, add_working_directory
from recollect.report import write_charts, write_html, write_table
from recollect.studies import DEFAULT_URL, ModelBoundary, Record, Store, boundaries

_TABLES = ("csv", "parquet")


def report_command(study: str | None, kind: str, output: Path | None, store: str | None) -> None:
    """See `recollect.cli.app.report`."""
    with Store(store or DEFAULT_URL) as opened:
        name = chosen_study(opened, study)
        records = opened.records(name)
        pending = opened.studies().get(name or "", len(records)) - len(records)
        if not records:
            raise ConfigError(f"no finished runs in {opened.url}; start with `recollect run quick`.")
        with err.status("reading the study"):
            located = [] if kind in _TABLES else _located(opened, name, records)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
    with err.status("writing the report"):
        paths = _write(records, kind, output, name or "all runs", pending, located)
    for path in paths:
        out.print(str(path.resolve()), soft_wrap=True, highlight=False, markup=False)


def _located(store: Store, name: str | None, records: list[Record]) -> list[ModelBoundary]:
    """The boundaries, if the stored study seeks them; without them if its definition can no longer be read.

    They are no reason to refuse a report of records that are there.
    """
    add_working_directory()
    try:
        study = store.definition(name) if name else None
        located = boundaries(study, records) if study is not None and study.boundary is not None else []
    except ConfigError as error:
        err.print(f"The report goes without the study's definition: {error}", markup=False, highlight=False)
        return []
    if located and not any(boundary.num_runs for boundary in located):
        err.print(
            "No stored run is one of the study's as it is defined now (results version or a model's source "
            "changed), so no boundary is known; `recollect run` it again.",
            markup=False,
            highlight=False,
        )
    return located


def _write(
    records: list[Record],
    kind: str,
    output: Path | None,
    title: str,
    pending: int,
    located: list[ModelBoundary],
) -> list[Path]:
    if kind == "html":
        path = output or Path("recollect-report.html")
        return [write_html(records, path, title=title, pending=pending, boundaries=located)]
    if kind in _TABLES:
        return [write_table(records, output or Path(f"recollect-report.{kind}"))]
    chart_format = cast(Literal["svg", "png", "pdf"], kind)
    return write_charts(records, output or Path("recollect-report"), chart_format, boundaries=located)
