"""Records: checked inputs and target, and where one gap-free sequence ends and the next begins."""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64
from numpy.typing import ArrayLike

from recollect.core import ConfigError

_GAP = 1.5
"""A time step of more than so many usual steps is a gap; months differ in length by less."""

_SMALLEST = 1e-100

Spans = tuple[tuple[int, int], ...]
"""First row, and row after the last, of each gap-free sequence."""


@dataclass(frozen=True, eq=False)
class Records:
    """Rows in order of time, by sequence.

    Attributes:
        inputs: one column for each input.
        target: what is to be explained; None where only a prediction is asked for.
        spans: the gap-free sequences.
        names: of the inputs.
    """

    inputs: Float64[np.ndarray, "n p"]
    target: Float64[np.ndarray, " n"] | None
    spans: Spans
    names: tuple[str, ...]


def read_records(
    X: ArrayLike | pd.DataFrame | pd.Series,
    y: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    times: ArrayLike | None = None,
) -> Records:
    """Arrays, lists or tables as records.

    Args:
        X: `(n,)` or `(n, p)`.
        y: `(n,)`.
        groups: a label of each row; where it changes, a new sequence begins.
        times: numbers or dates, rising inside a group; a gap begins a new sequence.

    Raises:
        ConfigError: rows that do not match, values that are missing or no numbers, times that do not rise.

    Example:
        >>> read_records([1.0, 2.0, 3.0, 4.0], groups=["a", "a", "b", "b"]).spans
        ((0, 2), (2, 4))
    """
    inputs, names = _table(X)
    n = len(inputs)
    target = None if y is None else _column(y, n)
    breaks = np.zeros(max(n - 1, 0), dtype=bool)
    if groups is not None:
        labels = np.asarray(groups)
        _same_rows(labels, n, "groups")
        breaks |= labels[1:] != labels[:-1]
    if times is not None:
        moments = np.asarray(times)
        _same_rows(moments, n, "times")
        breaks |= _gaps(moments, breaks)
    borders = [0, *(np.flatnonzero(breaks) + 1).tolist(), n]
    spans = tuple((start, stop) for start, stop in itertools.pairwise(borders) if stop > start)
    return Records(inputs, target, spans, names)


def _table(X: ArrayLike | pd.DataFrame | pd.Series) -> tuple[Float64[np.ndarray, "n p"], tuple[str, ...]]:
    if isinstance(X, pd.DataFrame):
        names = tuple(str(name) for name in X.columns)
    elif isinstance(X, pd.Series):
        names = (str(X.name),) if X.name is not None else ("x0",)
    else:
        names = None
    array = np.asarray(X)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ConfigError(f"expected inputs of shape (n,) or (n, p), got {array.shape}: give at least a row.")
    columns = array.reshape(len(array), -1)
    names = names or tuple(f"x{column}" for column in range(columns.shape[1]))
    return np.column_stack([_numbers(columns[:, i], name) for i, name in enumerate(names)]), names


def _column(y: ArrayLike, n: int) -> Float64[np.ndarray, " n"]:
    name = str(y.name) if isinstance(y, pd.Series) and y.name is not None else "y"
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ConfigError(f"expected one target of shape (n,), got {array.shape}: fit each on its own.")
    _same_rows(array, n, name)
    return _numbers(array, name)


def _same_rows(array: np.ndarray, n: int, name: str) -> None:
    if len(array) != n:
        raise ConfigError(f"expected {n} rows of `{name}`, as many as of the inputs, got {len(array)}.")


def _numbers(column: np.ndarray, name: str) -> Float64[np.ndarray, " n"]:
    """A column as finite numbers, or an error that names the first cell that is none."""
    if np.iscomplexobj(column):
        raise ConfigError(
            f"column `{name}` holds complex numbers: give real and imaginary part as two inputs."
        )
    try:
        numbers = column.astype(np.float64)
    except (TypeError, ValueError):
        row = next(place for place, cell in enumerate(column) if not _is_number(cell))
        raise ConfigError(
            f"expected a number in row {row}, column `{name}`, got {column[row]!r}: mend or drop it."
        ) from None
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise ConfigError(
            f"row {bad[0]} of column `{name}` is {numbers[bad[0]]} ({len(bad)} such rows): fill them, or "
            "drop the rows and pass `times`, so that the gaps are known."
        )
    largest = float(np.abs(numbers).max(initial=0.0))
    if largest and not _SMALLEST < largest < 1 / _SMALLEST:
        raise ConfigError(
            f"column `{name}` holds numbers as large as {largest:g}, whose squares leave the range of "
            "computation: give it in other units."
        )
    return numbers


def _is_number(cell: object) -> bool:
    try:
        np.float64(cell)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return False
    return True


def _gaps(times: np.ndarray, breaks: Bool[np.ndarray, " steps"]) -> Bool[np.ndarray, " steps"]:
    """Steps of a group that are longer than usual."""
    if np.issubdtype(times.dtype, np.number):
        numbers = times.astype(np.float64)
    else:
        stamps = pd.DatetimeIndex(pd.to_datetime(pd.Series(times)))
        numbers = stamps.to_numpy("datetime64[ns]").astype(np.int64).astype(np.float64)
    steps = np.diff(numbers)
    wrong = np.flatnonzero(~(steps > 0) & ~breaks)
    if len(wrong):
        row = int(wrong[0]) + 1
        raise ConfigError(
            f"times must rise inside a group: row {row} is {times[row]}, after {times[row - 1]}. "
            "Sort the rows, and drop repeated ones."
        )
    inside = steps[~breaks]
    return steps > _GAP * np.median(inside) if len(inside) else np.zeros_like(breaks)
