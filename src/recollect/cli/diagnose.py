"""`recollect diagnose`: from a file of data to the smallest architecture that can learn it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from recollect.cli.console import err
from recollect.cli.diagnosis_table import print_diagnosis
from recollect.cli.output_file import output_file, tell
from recollect.core import ConfigError
from recollect.diagnosis import Missing, diagnose, read_series
from recollect.report.diagnosis import write_diagnosis

_ENDINGS = (".html", ".svg", ".png", ".pdf")


def diagnose_command(
    file: Path,
    inputs: str | None,
    target: str | None,
    group: str | None,
    time: str | None,
    missing: Missing,
    lags: int | None,
    target_nmse: float | None,
    output: Path | None,
    seed: int,
    *,
    own_past: bool,
    difference: bool,
    confirm: bool,
    as_json: bool,
) -> None:
    """See `recollect.cli.app.diagnose`."""
    series = read_series(
        file,
        inputs=[] if inputs is None else _names(inputs),
        target=target,
        group=group,
        time=time,
        missing=missing,
        own_past=own_past,
        difference=difference,
    )
    path = output_file(output, _ENDINGS, "recollect-diagnosis.html", as_json=as_json)
    with _stages() as begin:
        found = diagnose(series, target_nmse=target_nmse, lags=lags, seed=seed, on_progress=begin)
        if confirm and found.best is not None:
            found = found.confirmed(seed=seed, on_progress=begin)
        document = found.document()
    if confirm and found.confirmation is None:
        err.print("No size is recommended, so nothing was trained.", highlight=False)
    if as_json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        print_diagnosis(document)
    if path is not None:
        tell("Page", write_diagnosis(document, path), as_json=as_json)


def _names(text: str) -> list[str]:
    """Columns as the command line takes them: `u1,u2`."""
    names = [name.strip() for name in text.split(",")]
    if "" in names:
        raise ConfigError(f"--input {text!r}: expected names of columns with a comma between, e.g. u1,u2.")
    return names


@contextmanager
def _stages() -> Iterator[Callable[[str], None]]:
    """A function that is told each stage: a spinner on a terminal, a line where there is none."""
    if not err.is_terminal:
        yield lambda stage: err.print(f"{stage} ...", highlight=False, markup=False, soft_wrap=True)
        return
    with err.status("reading") as status:
        yield lambda stage: status.update(stage)
