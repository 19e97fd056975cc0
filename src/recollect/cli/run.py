"""`recollect run`: train what a study lacks, then print its table and write its report."""

import json
from pathlib import Path

import typer

from recollect.cli.boundary_table import boundary_rows, print_boundaries
from recollect.cli.console import err, out
from recollect.cli.progress import watching
from recollect.cli.table import print_summary, summary_rows
from recollect.core import add_working_directory
from recollect.models import ModelConfig
from recollect.report import write_html
from recollect.studies import (
    DEFAULT_URL,
    LocalExecutor,
    Record,
    Store,
    Study,
    boundaries,
    find_study,
    plan,
    run_study,
)


def run_command(
    study: str,
    scale: str | None,
    models: list[str],
    seeds: int | None,
    workers: int | None,
    store: str | None,
    report: Path,
    *,
    retry_failed: bool,
    as_json: bool,
) -> None:
    """See `recollect.cli.app.run`."""
    add_working_directory()
    found = find_study(study)
    chosen = _amended(found if scale is None else found.scaled(scale), models, seeds)
    report.parent.mkdir(parents=True, exist_ok=True)
    with Store(store or DEFAULT_URL) as opened:
        records = _run(chosen, opened, LocalExecutor(workers), retry_failed=retry_failed)
    failed = [record for record in records if record.status == "failed"]
    with err.status("writing the report"):
        located = boundaries(chosen, records) if chosen.boundary else []
        path = write_html(records, report, title=chosen.name, boundaries=located)
    if not as_json and located:
        print_boundaries(located, records, out)
        err.print(f"Errors of all runs: recollect runs --study {chosen.name}", highlight=False, markup=False)
    elif not as_json:
        print_summary(records, out)
    if as_json:
        document = {
            "study": chosen.name,
            "report": str(path.resolve()),
            "summary": summary_rows(records),
            "runs": [_brief(record) for record in records],
        }
        document |= {"boundaries": boundary_rows(located)} if chosen.boundary else {}
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    for record in failed:
        last = (record.error or "").strip().splitlines()[-1:]
        err.print(
            f"failed: {record.model} on {record.task}, seed {record.seed}: {' '.join(last)} "
            f"(recollect show {record.id})",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if not as_json:
        out.print(f"Report: {path.resolve()}", soft_wrap=True, highlight=False, markup=False)
    if failed:
        err.print(f"{len(failed)} failed; `--retry-failed` runs them again.", markup=False, highlight=False)
        raise typer.Exit(1)


def _run(study: Study, store: Store, executor: LocalExecutor, *, retry_failed: bool) -> list[Record]:
    try:
        with watching() as watcher:
            return run_study(study, store, executor, watcher, retry_failed=retry_failed)
    except KeyboardInterrupt:
        left = plan(study, store, retry_failed=retry_failed)
        done, most = len(left.runs) - len(left.pending), left.most_runs
        total = f"{most}" if most == len(left.runs) else f"at most {most}"
        err.print(f"Interrupted: {done} of {total} runs are stored. The same command goes on from here.")
        raise typer.Exit(130) from None


def _amended(study: Study, models: list[str], seeds: int | None) -> Study:
    """The study with models added and the number of seeds changed; validated again as a whole."""
    added = [{"mixer": ModelConfig.parse({"mixer": mixer}, "--model").mixer} for mixer in models]
    changes = {"models": [*study.model_dump()["models"], *added]} | ({"seeds": seeds} if seeds else {})
    return Study.parse(study.model_dump() | changes, study.name)


def _brief(record: Record) -> dict[str, object]:
    return record.model_dump(
        mode="json", include={"id", "model", "task", "seed", "status", "metrics", "error"}
    )
