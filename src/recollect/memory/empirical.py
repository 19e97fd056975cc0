r"""A memory function given by numbers: measured, estimated, or designed elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from pydantic import AliasChoices, Field, PositiveFloat, model_validator
from torch import Tensor

from recollect.core import ConfigError, lookup
from recollect.memory.algebra import AbstractMemoryFunction


@final
class Empirical(AbstractMemoryFunction):
    r"""Given numbers: linear between them, 0 beyond.

    $\rho(k\,\Delta) = r_k$ for the given $r_0, \dots, r_{n-1}$; linear in between, 0 beyond.

    The dependence is as long as the numbers say. Give them as `taps` (or `values`), or as the `path`
    of a file: `.npy` (one axis), `.txt` (one number a line), `.csv` or `.parquet` (one column, or the
    one called `column`). A file is read once, when the config is made: the config then holds the
    numbers, so a run does not change when the file does and needs no file on another machine.

    Provenance: ours.

    Attributes:
        taps: the numbers $r_k$.
        name: shown in the label; the file's stem if absent.
        spacing: $\Delta$ > 0, the lag between two numbers, in units of s.
        path: file to read the taps from; not part of the stored config.
        column: its column, where it has several; not part of the stored config.

    Example:
        >>> Empirical(taps=(1.0, 0.5)).values(5, dt=0.5)
        tensor([1.0000, 0.7500, 0.5000, 0.0000, 0.0000], dtype=torch.float64)
    """

    family: Literal["empirical"] = "empirical"
    taps: tuple[float, ...] = Field(default=(), min_length=1, validation_alias=AliasChoices("taps", "values"))
    name: str = ""
    spacing: PositiveFloat = 1.0
    path: Path | None = Field(default=None, exclude=True)
    column: str | None = Field(default=None, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = data.get("path")
        if (given is None) != bool({"taps", "values"} & data.keys()):
            raise ValueError("expected either `taps` (numbers) or `path` (a file), one of the two")
        if not isinstance(given, str | Path):
            return data
        path = Path(given)
        try:
            return {"name": path.stem, **data, "taps": _read_taps(path, data.get("column"))}
        except ConfigError as error:
            # As a ValueError it is reported together with the place of this field in the whole config.
            raise ValueError(str(error)) from error

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        grid = self.spacing * np.arange(len(self.taps))
        return torch.from_numpy(np.interp(s.numpy(), grid, self.taps, right=0.0))

    @property
    def label(self) -> str:
        return f"empirical({self.name or f'{len(self.taps)} taps'})"


def _read_taps(path: Path, column: str | None) -> list[float]:
    read = lookup(_READERS, path.suffix.lower(), "type of file for a memory function")
    try:
        table = pd.DataFrame(read(path)).rename(columns=str)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error}") from error
    if column is None and table.shape[1] > 1:
        raise ConfigError(f"{str(path)!r} has several columns; name one as `column`: {', '.join(table)}.")
    if column is None and path.suffix.lower() == ".csv" and _is_number(table.columns[0]):
        raise ConfigError(
            f"{str(path)!r} begins with {table.columns[0]!r}, where a .csv file has the name of its column. "
            f"Add one, or save bare numbers as .txt."
        )
    return table[lookup({name: name for name in table}, column or table.columns[0], "column")].tolist()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_npy(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


def _read_txt(path: Path) -> Any:
    return np.loadtxt(path, ndmin=1)


_READERS: dict[str, Callable[[Path], Any]] = {
    ".npy": _read_npy,
    ".txt": _read_txt,
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
}
