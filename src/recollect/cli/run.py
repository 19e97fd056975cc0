"""`recollect run`: train what a study lacks, then print its table and write its report."""

import json
from pathlib import Path
from typing import Annotated

import typer

from recollect.cli.console import err, out
from recollect.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from recollect.cli.progress import watching
from recollect.cli.table import print_summary, summary_rows
from recollect.models import ModelConfig
from recollect.report import write_html
from recollect.studies import LocalExecutor, Record, Store, Study, find_study, plan, run_study


def run(
    study: Annotated[
        str, typer.Argument(help="A built-in study (see `recollect list studies`) or a YAML file.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Also run this mixer: a name, or an import path `package.module:Class`. Repeatable."
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds instead of the study's.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; one per core by default.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    report: Annotated[Path, typer.Option(help="Where to write the HTML report.")] = Path(
        "recollect-report.html"
    ),
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed runs again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a study. What the store holds already is not run again; Ctrl-C stops, the same command goes on."""
    chosen = _amended(find_study(study), model or [], seeds)
    with Store(store) as opened:
        records = _run(chosen, opened, LocalExecutor(workers), retry_failed=retry_failed)
    path = write_html(records, report, title=chosen.name)
    failed = [record for record in records if record.status == "failed"]
    if as_json:
        document = {
            "study": chosen.name,
            "report": str(path.resolve()),
            "summary": summary_rows(records),
            "runs": [_brief(record) for record in records],
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        print_summary(records, out)
    for record in failed:
        last = (record.error or "").strip().splitlines()[-1:]
        err.print(
            f"failed: {record.model} on {record.task}, seed {record.seed}: {' '.join(last)} "
            f"(recollect show {record.id})",
            markup=False,
            highlight=False,
        )
    if not as_json:
        out.print(f"Report: {path.resolve()}", soft_wrap=True, highlight=False, markup=False)
    if failed:
        raise typer.Exit(1)


def _run(study: Study, store: Store, executor: LocalExecutor, *, retry_failed: bool) -> list[Record]:
    planned = plan(study, store, retry_failed=retry_failed)
    try:
        with watching(planned.runs, planned.pending) as watcher:
            return run_study(study, store, executor, watcher, retry_failed=retry_failed)
    except KeyboardInterrupt:
        left = len(plan(study, store, retry_failed=retry_failed).pending)
        done = len(planned.runs) - left
        err.print(
            f"Interrupted: {done} of {len(planned.runs)} runs are stored. The same command goes on from here."
        )
        raise typer.Exit(130) from None


def _amended(study: Study, models: list[str], seeds: int | None) -> Study:
    """The study with models added and the number of seeds changed; validated again as a whole."""
    added = [ModelConfig.parse({"mixer": mixer}, "--model").model_dump() for mixer in models]
    changes = {"models": [*study.model_dump()["models"], *added]} | ({"seeds": seeds} if seeds else {})
    return Study.parse(study.model_dump() | changes, study.name)


def _brief(record: Record) -> dict[str, object]:
    return record.model_dump(
        mode="json", include={"id", "model", "task", "seed", "status", "metrics", "error"}
    )
