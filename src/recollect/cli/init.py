"""`recollect init`: a commented study file to start from."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from recollect.cli.console import out
from recollect.core import ConfigError


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented study file that validates and runs in about a minute."""
    if path.exists() and not force:
        raise ConfigError(f"{path} exists already; name another file, or overwrite it with --force.")
    text = files("recollect.cli").joinpath("study_template.yaml").read_text(encoding="utf-8")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}.") from error
    out.print(
        f"Wrote {path}. Run it with: recollect run {path}", highlight=False, markup=False, soft_wrap=True
    )
