"""`recollect list`: what there is to choose from."""

import json
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from recollect.cli.console import out
from recollect.cli.entries import CATEGORIES, first_sentence
from recollect.cli.options import JsonOption


class Category(StrEnum):
    """What can be listed."""

    memory = "memory"
    tasks = "tasks"
    models = "models"
    studies = "studies"


def list_entries(
    category: Annotated[Category | None, typer.Argument(help="One kind only.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List memory functions, tasks, models and studies; `recollect show NAME` tells more of one."""
    chosen = [category.value] if category else [c.value for c in Category]
    if as_json:
        document = {
            name: {entry: first_sentence(text) for entry, text in CATEGORIES[name]().items()}
            for name in chosen
        }
        typer.echo(json.dumps(document, indent=2))
        return
    for name in chosen:
        table = Table("name", "what it is", title=name, title_justify="left", show_edge=False)
        for entry, text in CATEGORIES[name]().items():
            table.add_row(entry, first_sentence(text))
        out.print(table, "")
