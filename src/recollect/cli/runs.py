"""`recollect runs`: the stored runs."""

import json
from typing import Annotated

import typer
from rich.table import Table

from recollect.cli.console import out
from recollect.cli.options import DEFAULT_STORE, JsonOption, StoreOption, chosen_study
from recollect.cli.table import format_error
from recollect.studies import Record, Store


def runs(
    study: Annotated[str | None, typer.Option(help="Only the runs of this study.")] = None,
    model: Annotated[str | None, typer.Option(help="Only models whose title contains this.")] = None,
    task: Annotated[str | None, typer.Option(help="Only tasks whose label contains this.")] = None,
    status: Annotated[str | None, typer.Option(help="Only done, diverged or failed runs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this seed.")] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """List the stored runs: id, model, task, seed, status, error."""
    with Store(store) as opened:
        name = chosen_study(opened, study) if study else None
        found = [
            record
            for record in opened.records(name)
            if (model is None or model.lower() in record.model.lower())
            and (task is None or task.lower() in record.task.lower())
            and (status is None or record.status == status)
            and (seed is None or record.seed == seed)
        ]
    if as_json:
        typer.echo(json.dumps([_row(record) for record in found], indent=2))
        return
    table = Table("id", "model", "task", "seed", "status", "NMSE", "steps", "seconds")
    for record in found:
        error, steps = record.metrics.get("nmse"), record.metrics.get("steps")
        table.add_row(
            record.id,
            record.model,
            record.task,
            str(record.seed),
            record.status,
            format_error(error),
            "" if steps is None else str(steps),
            f"{record.wall_seconds:.1f}",
        )
    out.print(table)
    out.print(f"{len(found)} runs")


def _row(record: Record) -> dict[str, object]:
    brief = record.model_dump(
        mode="json", include={"id", "model", "task", "seed", "status", "facts", "metrics"}
    )
    return brief | {"wall_seconds": record.wall_seconds, "error": record.error}
