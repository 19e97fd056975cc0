"""`recollect runs`: the stored runs."""

import json
from collections.abc import Mapping, Sequence

import typer
from rich.table import Table

from recollect.cli.choice import chosen_study
from recollect.cli.console import out
from recollect.report.results import criterion_of
from recollect.report.scores import format_score
from recollect.studies import DEFAULT_URL, Record, Store


def runs_command(
    study: str | None,
    model: str | None,
    task: str | None,
    status: str | None,
    seed: int | None,
    store: str | None,
    *,
    as_json: bool,
) -> None:
    """See `recollect.cli.app.runs`."""
    with Store(store or DEFAULT_URL) as opened:
        found = [
            record
            for record in opened.records(chosen_study(opened, study) if study else None)
            if (model is None or model.lower() in record.model.lower())
            and (task is None or task.lower() in record.task.lower())
            and (status is None or record.status == status)
            and (seed is None or record.seed == seed)
        ]
        studies = opened.studies_of(record.id for record in found)
    if as_json:
        typer.echo(json.dumps([_row(record, studies) for record in found], indent=2))
    else:
        _print(found, studies)


def _print(found: Sequence[Record], studies: Mapping[str, list[str]]) -> None:
    table = Table()
    for column in ("id", "study", "model", "task", "seed", "status", "score", "steps", "seconds"):
        table.add_column(column, no_wrap=column == "id")
    for record in found:
        steps = record.metrics.get("steps")
        table.add_row(
            record.id,
            ", ".join(studies.get(record.id, [])),
            record.model,
            record.task,
            str(record.seed),
            record.status,
            _score(record),
            "" if steps is None else str(steps),
            f"{record.wall_seconds:.1f}",
        )
    out.print(table)
    out.print(f"{len(found)} runs")


def _row(record: Record, studies: Mapping[str, list[str]]) -> dict[str, object]:
    shown = {"id", "model", "task", "seed", "status", "facts", "metrics", "wall_seconds", "error"}
    return {**record.model_dump(mode="json", include=shown), "studies": studies.get(record.id, [])}


def _score(record: Record) -> str:
    """The run's number with its name, since runs of several criteria stand together."""
    criterion = criterion_of(record)
    value = record.metrics.get(criterion)
    return "" if value is None else f"{criterion.replace('_', ' ')} {format_score(value, criterion)}"
