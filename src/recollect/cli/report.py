"""`recollect report`: page, charts or tables from the stored records."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recollect.cli.console import out
from recollect.cli.options import DEFAULT_STORE, StoreOption, chosen_study
from recollect.core import ConfigError
from recollect.report import write_charts, write_html, write_table
from recollect.studies import Store


class Format(StrEnum):
    """What a report can be written as."""

    html = "html"
    svg = "svg"
    png = "png"
    pdf = "pdf"
    csv = "csv"
    parquet = "parquet"


def report(
    study: Annotated[str | None, typer.Argument(help="A stored study; the latest one by default.")] = None,
    format: Annotated[Format, typer.Option(help="A page, charts, or the table of runs.")] = Format.html,  # noqa: A002
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File (html, csv, parquet) or folder (charts).")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write the report of a stored study; nothing is trained."""
    with Store(store) as opened:
        name = chosen_study(opened, study)
        records = opened.records(name)
        total = opened.studies().get(name or "", len(records))
    if not records:
        raise ConfigError(f"no finished runs in {store}; start with `recollect run quick`.")
    title = name or "all runs"
    if format is Format.html:
        path = output or Path("recollect-report.html")
        paths = [write_html(records, path, title=title, pending=total - len(records))]
    elif format in (Format.csv, Format.parquet):
        paths = [write_table(records, output or Path(f"recollect-report.{format}"))]
    else:
        paths = write_charts(records, output or Path("recollect-report"), format.value)
    for path in paths:
        out.print(str(path.resolve()), soft_wrap=True, highlight=False, markup=False)
