"""`recollect report`: page, charts or tables from the stored records."""

from pathlib import Path
from typing import Literal, cast

from recollect.cli.choice import chosen_study
from recollect.cli.console import err, out
from recollect.core import ConfigError
from recollect.report import write_charts, write_html, write_table
from recollect.studies import DEFAULT_URL, Record, Store


def report_command(study: str | None, kind: str, output: Path | None, store: str | None) -> None:
    """See `recollect.cli.app.report`."""
    with Store(store or DEFAULT_URL) as opened:
        name = chosen_study(opened, study)
        records = opened.records(name)
        pending = opened.studies().get(name or "", len(records)) - len(records)
        if not records:
            raise ConfigError(f"no finished runs in {opened.url}; start with `recollect run quick`.")
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
    with err.status("writing the report"):
        paths = _write(records, kind, output, name or "all runs", pending)
    for path in paths:
        out.print(str(path.resolve()), soft_wrap=True, highlight=False, markup=False)


def _write(records: list[Record], kind: str, output: Path | None, title: str, pending: int) -> list[Path]:
    if kind == "html":
        path = output or Path("recollect-report.html")
        return [write_html(records, path, title=title, pending=pending)]
    if kind in ("csv", "parquet"):
        return [write_table(records, output or Path(f"recollect-report.{kind}"))]
    return write_charts(records, output or Path("recollect-report"), cast(Literal["svg", "png", "pdf"], kind))
