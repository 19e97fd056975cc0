"""The `recollect` command: every subcommand's interface, and how the command ends.

What a subcommand does lies in the module of its name and is imported when it runs, so that help,
version and shell completion answer at once instead of waiting for PyTorch.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import recollect
from recollect.cli.arguments import (
    Amplitude,
    AsJson,
    Background,
    Category,
    Confirm,
    DataFile,
    DiagnosisOutput,
    Difference,
    Estimator,
    EstimatorName,
    Family,
    Format,
    GroupColumn,
    InputColumns,
    InputSize,
    Lags,
    Length,
    Missing,
    MissingPolicy,
    ModelClasses,
    Module,
    Options,
    OwnPast,
    Positions,
    ProbeOutput,
    Samples,
    Seed,
    Sizes,
    Spec,
    Status,
    Store,
    TargetColumn,
    TargetNmse,
    TimeColumn,
    Weighting,
)
from recollect.cli.console import err

app = typer.Typer(
    name="recollect",
    help="What a sequence model remembers, and how.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A built-in study (`recollect list studies`) or a YAML file.")],
    scale: Annotated[
        str | None, typer.Option(help="A scale of the study instead of its full size, e.g. small.")
    ] = None,
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
    store: Store = None,
    report: Annotated[Path, typer.Option(help="Where to write the HTML report.")] = Path(
        "recollect-report.html"
    ),
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed runs again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a study. What is stored already is not run again; Ctrl-C stops, the same command goes on."""
    from recollect.cli.run import run_command

    run_command(
        study,
        scale,
        model or [],
        seeds,
        workers,
        store,
        report,
        retry_failed=retry_failed,
        as_json=as_json,
    )


@app.command()
def report(
    study: Annotated[str | None, typer.Argument(help="A stored study; the latest one by default.")] = None,
    kind: Annotated[
        Format, typer.Option("--format", help="A page, charts, or the table of runs.")
    ] = Format.html,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File (html, csv, parquet) or folder (charts).")
    ] = None,
    store: Store = None,
) -> None:
    """Write the report of a stored study; nothing is trained."""
    from recollect.cli.report import report_command

    report_command(study, kind.value, output, store)


@app.command()
def runs(
    study: Annotated[str | None, typer.Option(help="Only the runs of this study.")] = None,
    model: Annotated[str | None, typer.Option(help="Only models whose title contains this.")] = None,
    task: Annotated[str | None, typer.Option(help="Only tasks whose label contains this.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only runs that ended so.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this seed.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """List the stored runs: id, study, model, task, seed, status, score."""
    from recollect.cli.runs import runs_command

    runs_command(study, model, task, status.value if status else None, seed, store, as_json=as_json)


@app.command("list")
def list_entries(
    category: Annotated[Category | None, typer.Argument(help="One kind only.")] = None,
    as_json: AsJson = False,
) -> None:
    """List memory functions, tasks, models, layers and studies; `recollect show NAME` tells more of one."""
    from recollect.cli.listing import list_command

    list_command([category.value] if category else [c.value for c in Category], as_json=as_json)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A name from `recollect list`, or a run's id (or its beginning).")
    ],
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Show one entry: equation, options, state size, citation; or one run: config, metrics, error."""
    from recollect.cli.show import show_command

    show_command(name, store, as_json=as_json)


@app.command()
def floor(
    family: Family,
    alpha: Annotated[float | None, typer.Option(help="Strength of the memory.")] = None,
    h95: Annotated[
        int | None, typer.Option(help="Instead of alpha: lags that hold 95 % of the energy.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Another field of the memory function, e.g. width=3. Repeatable."
        ),
    ] = None,
    horizon: Annotated[int, typer.Option(min=1, help="Number of lags, and of positions.")] = 256,
    model: ModelClasses = None,
    size: Sizes = None,
    weighting: Annotated[
        Weighting, typer.Option(help="Error at the last position, or mean over all positions of a window.")
    ] = Weighting.uniform,
    feed_through: Annotated[
        bool,
        typer.Option(
            "--feed-through", help="The present input also reaches the output beside states and heads."
        ),
    ] = False,
    target: Annotated[
        float | None,
        typer.Option(
            metavar="NMSE",
            help="The smallest size that can reach this error; all bounded classes by default.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Chart: html, svg, png or pdf; recollect-floor.html unless --json."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What a class of models cannot do, proven, and what an explicit model does, size by size.

    Errors are NMSE: shares of the target's power. Nothing is trained.
    """
    from recollect.cli.floor import floor_command

    floor_command(
        family,
        alpha,
        h95,
        option or [],
        horizon,
        model or [],
        size,
        weighting.value,
        target,
        output,
        feed_through=feed_through,
        as_json=as_json,
    )


@app.command()
def diagnose(
    file: DataFile,
    inputs: InputColumns = None,
    target: TargetColumn = None,
    group: GroupColumn = None,
    time: TimeColumn = None,
    missing: MissingPolicy = Missing.refuse_it,
    own_past: OwnPast = False,
    difference: Difference = False,
    lags: Lags = None,
    target_nmse: TargetNmse = None,
    confirm: Confirm = False,
    output: DiagnosisOutput = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What a series remembers, and the smallest architecture of each family that can learn it.

    Errors are NMSE: shares of the target's variance. Nothing is trained, except with --confirm.
    """
    from recollect.cli.diagnose import diagnose_command

    diagnose_command(
        file,
        inputs,
        target,
        group,
        time,
        missing.value,
        lags,
        target_nmse,
        output,
        seed,
        own_past=own_past,
        difference=difference,
        confirm=confirm,
        as_json=as_json,
    )


@app.command()
def probe(
    spec: Spec,
    estimator: EstimatorName = Estimator.auto,
    length: Length = 256,
    samples: Samples = 256,
    amplitude: Amplitude = None,
    background: Background = None,
    input_size: InputSize = None,
    option: Options = None,
    module: Module = None,
    position: Positions = None,
    seed: Seed = 0,
    store: Store = None,
    output: ProbeOutput = None,
    as_json: AsJson = False,
) -> None:
    """What a model remembers: its memory function with a band, how far back, and what depends on content."""
    from recollect.cli.probe import probe_command

    probe_command(
        spec,
        estimator.value,
        length,
        samples,
        amplitude,
        background,
        input_size,
        option or [],
        module,
        position or [],
        seed,
        store,
        output,
        as_json=as_json,
    )


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented study file that validates and runs in about a minute."""
    from recollect.cli.init import init_command

    init_command(path, force=force)


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
    try:
        # `--debug` is accepted before and after the subcommand alike.
        app([argument for argument in sys.argv[1:] if argument != "--debug"])
    except Exception as error:
        if debug:
            raise
        sys.exit(_explained(error))


def _explained(error: Exception) -> int:
    """Print what went wrong, without a traceback; the exit code."""
    from recollect.core import RecollectError

    if isinstance(error, RecollectError):
        err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    if isinstance(error, OSError):
        err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    err.print(
        f"[bold red]internal error:[/] {escape(f'{type(error).__name__}: {error}')}\n"
        f"This is a defect of recollect. Run again with --debug and report the traceback.",
        highlight=False,
        soft_wrap=True,
    )
    return 1
