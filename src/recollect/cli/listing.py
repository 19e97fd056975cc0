"""`recollect list`: what there is to choose from."""

import json

import typer
from rich.table import Table

from recollect.cli.console import out
from recollect.cli.entries import CATEGORIES, first_sentence
from recollect.cli.layers import layers_table


def list_command(categories: list[str], *, as_json: bool) -> None:
    """See `recollect.cli.app.list_entries`."""
    if as_json:
        document = {
            name: {entry: first_sentence(text) for entry, text in CATEGORIES[name]().items()}
            for name in categories
        }
        typer.echo(json.dumps(document, indent=2))
        return
    for name in categories:
        if name == "layers":
            out.print(layers_table(), "")
            continue
        table = Table("name", "what it is", title=name, title_justify="left", show_edge=False)
        for entry, text in CATEGORIES[name]().items():
            table.add_row(entry, first_sentence(text))
        out.print(table, "")
