"""`recollect init`: a commented study file to start from."""

from importlib.resources import files
from pathlib import Path

from recollect.cli.console import out
from recollect.core import ConfigError


def init_command(path: Path, *, force: bool) -> None:
    """See `recollect.cli.app.init`."""
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
