"""The `recollect` command: its options, its subcommands, and how it ends."""

import sys
from typing import Annotated

import typer
from rich.markup import escape

import recollect
from recollect.cli import init, listing, report, run, runs, show
from recollect.cli.console import err
from recollect.core import RecollectError, add_working_directory

app = typer.Typer(
    name="recollect",
    help="What a sequence model remembers, and how.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("run")(run.run)
app.command("report")(report.report)
app.command("runs")(runs.runs)
app.command("list")(listing.list_entries)
app.command("show")(show.show)
app.command("init")(init.init)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"recollect {recollect.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """What a sequence model remembers, and how."""


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 some runs failed, 2 wrong usage or input, 130 interrupted."""
    debug = "--debug" in sys.argv
    # Accepted before and after the subcommand alike.
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    add_working_directory()
    try:
        app(arguments)
    except RecollectError as error:
        if debug:
            raise
        err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        err.print(
            f"[bold red]internal error:[/] {escape(f'{type(error).__name__}: {error}')}\n"
            f"This is a defect of recollect. Run again with --debug and report the traceback.",
            highlight=False,
        )
        sys.exit(1)
