"""Files and arrays as tables whose rows keep the numbers a user sees in the file."""

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from recollect.core import suggestion
from recollect.diagnosis.series import DataError

Source = Path | str | pd.DataFrame | np.ndarray

_SEPARATORS = ("\t", ";", ",", "|")
_DECIMAL_COMMA = re.compile(r"(^|;)\s*-?\d+,\d+\s*(;|$)")


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name, and how its rows are counted.

    Attributes:
        frame: the columns; its index is 0, 1, 2, ...
        first_row: the number of the first row of values: 2 below a header, else 1.
        source: the file, or what the data came as.
    """

    frame: pd.DataFrame
    first_row: int
    source: str

    def place(self, index: int | np.integer, column: str | None = None) -> str:
        """A row and a column in words."""
        row = f"row {index + self.first_row}"
        return row if column is None else f"{row}, column {column!r}"

    @property
    def counting(self) -> str:
        """How rows are counted, in words."""
        return "the header is row 1" if self.first_row == 2 else "the first row is row 1"

    def column(self, name: str, role: str) -> pd.Series:
        """The column of this name.

        Raises:
            DataError: there is none; names the nearest and all.
        """
        if name not in self.frame:
            hint = suggestion(name, self.frame.columns) or "."
            raise DataError(
                f"{self.source} has no column {name!r} for {role}{hint} Columns: {', '.join(self.frame)}."
            )
        return pd.Series(self.frame[name])

    def numbers(self, name: str, role: str) -> Float64[np.ndarray, " n"]:
        """The column as numbers, NaN where a cell is empty.

        Raises:
            DataError: a cell is not a number, or not a finite one; names row and column.
        """
        column = self.column(name, role)
        if not _can_be_numbers(column):
            raise DataError(f"column {name!r} of {self.source} holds {column.dtype}; {role} needs numbers.")
        converted = pd.Series(pd.to_numeric(column, errors="coerce"))
        found = converted.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        wrong = np.isnan(found) & column.notna().to_numpy()
        self._refuse(
            wrong, name, "is not a number", "write a number, or leave the cell empty if it is missing"
        )
        self._refuse(np.isinf(found), name, "is not finite", "correct it, or empty the cell if it is missing")
        return found

    def numeric_columns(self) -> list[str]:
        """Names of the columns that hold numbers."""
        return [name for name in self.frame if pd.api.types.is_numeric_dtype(self.frame[name].dtype)]

    def _refuse(self, wrong: np.ndarray, name: str, what: str, advice: str) -> None:
        rows = np.flatnonzero(wrong)
        if len(rows):
            cell = self.frame[name].iloc[rows[0]]
            more = f"; so are {len(rows) - 1} more cells of it" if len(rows) > 1 else ""
            raise DataError(
                f"{self.place(rows[0], name)}: {str(cell)!r} {what}{more} ({self.counting}); {advice}."
            )


def read_table(source: Source) -> Table:
    """A table from a file (CSV, TSV, Parquet, `.npy`, `.npz`), a DataFrame or an array of one or two axes.

    Raises:
        DataError: the file is missing, empty, of another kind, or not a table; a column is named twice.
    """
    if isinstance(source, pd.DataFrame):
        table = Table(_with_index(source), 1, "the DataFrame")
    elif isinstance(source, np.ndarray):
        table = Table(_from_array(source, "the array"), 1, "the array")
    else:
        table = _read_file(Path(source))
    twice = [name for name, count in Counter(table.frame.columns).items() if count > 1]
    if twice:
        raise DataError(f"{table.source} names the column {twice[0]!r} twice; rename one of them.")
    if table.frame.empty:
        raise DataError(f"{table.source} has no rows of values; expected one row for each time.")
    return Table(table.frame.reset_index(drop=True), table.first_row, table.source)


def _read_file(path: Path) -> Table:
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"{path}: expected a file that ends in {', '.join(_READERS)}; save the data as one of these."
        )
    if not path.is_file():
        raise DataError(f"{path}: {'this is a folder' if path.is_dir() else 'there is no such file'}.")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; expected a header and one row for each time.")
    try:
        frame = read(path)
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8; save it with this encoding.") from error
    except (OSError, ValueError, EOFError, KeyError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    return Table(frame, 2 if read is _read_text else 1, str(path))


def _read_text(path: Path) -> pd.DataFrame:
    """Every line is a row, also an empty one, so that rows are counted as in the file."""
    text = path.read_text(encoding="utf-8-sig")
    lines = text.splitlines()
    separator = _separator(lines[0])
    names = [name.strip() for name in next(csv.reader(lines[:1], delimiter=separator))]
    _check_header(names, path)
    decimal = "," if separator == ";" and any(map(_DECIMAL_COMMA.search, lines[1:100])) else "."
    with warnings.catch_warnings():
        # A first row that is longer than the header is only a warning to pandas, which drops its end.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                names=list(range(len(names))),
                skiprows=1,
                index_col=False,
                skip_blank_lines=False,
                skipinitialspace=True,
                decimal=decimal,
                low_memory=False,
            )
        except pd.errors.ParserWarning:
            raise DataError(f"{path}: row 2 has more cells than the {len(names)} of the header.") from None
        except pd.errors.ParserError as error:
            raise DataError(f"{path}: {_explained(str(error))}.") from error
    frame.columns = pd.Index(names)
    filled = np.flatnonzero(frame.notna().any(axis=1).to_numpy())
    return frame.iloc[: filled[-1] + 1 if len(filled) else 0]


def _explained(error: str) -> str:
    """What the parser of pandas found, in the rows of the file."""
    if longer := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error):
        expected, row, found = longer.groups()
        return f"row {row} has {found} cells, the header {expected}; a name or a quotation mark is missing"
    if unclosed := re.search(r"EOF inside string starting at row (\d+)", error):
        return f"a quotation mark that opens in row {int(unclosed[1]) + 1} is never closed"
    return " ".join(error.split())


def _separator(header: str) -> str:
    """The first of the usual separators that the header holds outside quotes; a comma where none does."""
    bare = re.sub(r'"[^"]*"', "", header)
    return next((separator for separator in _SEPARATORS if separator in bare), ",")


def _check_header(names: list[str], path: Path) -> None:
    if all(map(_is_number, names)):
        raise DataError(
            f"{path}: row 1 holds numbers ({', '.join(names[:3])}) where the names of the columns are "
            f"expected; add a first row with a name for each column."
        )
    if "" in names and len(names) > 1 and names.index("") != 0:
        raise DataError(f"{path}: row 1 has no name for column {names.index('') + 1}; name it.")
    if names[0] == "":
        # Tables are often saved with the numbers of their rows in a first column without a name.
        names[0] = "index"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path) -> pd.DataFrame:
    return _with_index(pd.read_parquet(path))


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """An index that says something, such as dates, becomes a column."""
    says_something = frame.index.name is not None or not pd.api.types.is_integer_dtype(frame.index.dtype)
    frame = frame.reset_index() if says_something else frame
    return frame.set_axis([str(name) for name in frame.columns], axis=1)


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{path} holds no plain array of numbers, as numpy.save writes it.") from error


def _read_npy(path: Path) -> pd.DataFrame:
    return _from_array(_load(path), str(path))


def _read_npz(path: Path) -> pd.DataFrame:
    """One array (n,) for each column, by name; an array (n, k) gives k columns."""
    columns: dict[str, Any] = {}
    with _load(path) as arrays:
        for name, values in arrays.items():
            if values.ndim == 1:
                columns[name] = values
            else:
                part = _from_array(values, f"{path}, array {name!r}")
                columns |= {f"{name}_{i}": part[i] for i in part}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path}: expected arrays of one length, got {lengths}.")
    return pd.DataFrame(columns)


def _from_array(values: np.ndarray, source: str) -> pd.DataFrame:
    if values.dtype.names is None and values.ndim not in (1, 2):
        raise DataError(f"{source}: expected the shape (rows,) or (rows, columns), got {values.shape}.")
    frame = pd.DataFrame(values)
    return frame.set_axis([str(name) for name in frame.columns], axis=1)


def _can_be_numbers(column: pd.Series) -> bool:
    types = pd.api.types
    if types.is_complex_dtype(column.dtype):
        return False
    return any(
        is_a(column.dtype) for is_a in (types.is_numeric_dtype, types.is_object_dtype, types.is_string_dtype)
    )


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".txt": _read_text,
    ".parquet": _read_parquet,
    ".npy": _read_npy,
    ".npz": _read_npz,
}
