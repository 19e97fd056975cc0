"""Where a command writes what it draws: checked before the work, told after it."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from recollect.cli.console import err, out
from recollect.core import ConfigError


def output_file(asked: Path | None, endings: Sequence[str], default: str, *, as_json: bool) -> Path | None:
    """The file to write: `asked`, or `default` unless the answer is JSON. Its folder is made.

    Raises:
        ConfigError: another ending, a folder, or a place where no file can be written; before the work, not
            after minutes of it.
    """
    if asked is None:
        if as_json:
            return None
        asked = Path(default)
    if asked.suffix not in endings:
        raise ConfigError(f"-o {asked}: expected a file that ends in {', '.join(endings)}.")
    if asked.is_dir():
        inside = (asked / default).with_suffix(asked.suffix)
        raise ConfigError(f"-o {asked}: expected a file, this is a folder; take {inside}.")
    try:
        asked.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=asked.parent):
            return asked
    except OSError as error:
        raise ConfigError(
            f"-o {asked}: cannot write there ({error.strerror}); name another place."
        ) from error


def tell(what: str, path: Path, *, as_json: bool) -> None:
    """Say where it was written, beside a JSON document on standard error."""
    console = err if as_json else out
    console.print(f"{what}: {path.resolve()}", soft_wrap=True, highlight=False, markup=False)
