"""`recollect probe`: what a model remembers, with the quantity that was measured and its band."""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from recollect.cli.console import err
from recollect.cli.options import parse_options
from recollect.cli.output_file import output_file, tell
from recollect.cli.probe_spec import resolve
from recollect.cli.probe_table import print_probe
from recollect.core import ConfigError
from recollect.diagnosis.tables import read_table
from recollect.probing import MemoryProfile, memory_of
from recollect.report.probe import probe_document, write_probe
from recollect.studies import DEFAULT_URL

_ENDINGS = (".html", ".svg", ".png", ".pdf", ".parquet")
_BACKGROUNDS = ("white", "tokens")
"""By their own words; everything else is a file."""


def probe_command(
    spec: str,
    estimator: str,
    length: int,
    samples: int,
    amplitude: float | None,
    background: str | None,
    input_size: int | None,
    options: Sequence[str],
    module: str | None,
    positions: Sequence[int],
    seed: int,
    store: str | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """See `recollect.cli.app.probe`."""
    given = parse_options(options, "dim=16")
    read_on = _background(background)
    path = output_file(output, _ENDINGS, "recollect-probe.html", as_json=as_json)
    with _warnings_as_lines(), _training() as on_progress:
        model = resolve(
            spec,
            store or DEFAULT_URL,
            given,
            on_progress,
            input_size=input_size,
            background=read_on,
            amplitude=1.0 if amplitude is None else amplitude,
        )
    with (
        _warnings_as_lines(),
        err.status(f"reading {model.name} on {samples} sequences of {length} positions"),
    ):
        profile = memory_of(
            model,
            estimator=estimator,
            length=length,
            samples=samples,
            seed=seed,
            module=module,
            positions=[*positions] or None,
        )
        document = probe_document(profile)
    if as_json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        print_probe(document)
    if path is not None:
        tell("Page", _write(profile, document, path), as_json=as_json)


def _write(profile: MemoryProfile, document: dict[str, Any], path: Path) -> Path:
    """All channels as Parquet, else a page or a figure of the largest ones."""
    if path.suffix == ".parquet":
        profile.save(path)
        return path
    return write_probe(document, path)


def _background(given: str | None) -> Any:
    """A word that `sequence_map` knows, or the columns of a file, all of them numbers."""
    if given is None or given in _BACKGROUNDS:
        return given
    table = read_table(Path(given))
    columns = [table.numbers(name, "--background") for name in table.frame]
    values = np.stack(columns, axis=1)
    missing = np.argwhere(np.isnan(values))
    if len(missing):
        row, column = missing[0]
        place = table.place(row, table.frame.columns[column])
        raise ConfigError(f"--background {place}: the value is missing ({table.counting}); fill it in.")
    return values


@contextmanager
def _training() -> Iterator[Any]:
    """A bar that appears when a stored run is trained again; silent where there is no terminal."""
    columns = (TextColumn("training the stored run again"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False)
        yield lambda step, error: bar.update(task, completed=step, visible=True)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """What Python would show with a file and a line, as a sentence."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        err.print(f"warning: {warning.message}", highlight=False, markup=False, soft_wrap=True)
