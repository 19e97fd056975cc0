"""From a table to a `Series`: columns are chosen, checked, ordered, cut where something is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64

from recollect.core import one_of
from recollect.diagnosis.rows import Rows, counted, differences, with_own_past, without_missing
from recollect.diagnosis.series import DataError, Series
from recollect.diagnosis.tables import Source, Table, read_table
from recollect.diagnosis.times import read_ticks

Missing = Literal["refuse", "split"]

_FEWEST_ROWS = 16
_CONSTANT = 1e-13
"""A deviation below this share of the largest value is rounding."""


def read_series(
    source: Source,
    *,
    inputs: Sequence[str] = (),
    target: str | None = None,
    group: str | None = None,
    time: str | None = None,
    missing: Missing = "refuse",
    own_past: bool = False,
    difference: bool = False,
) -> Series:
    r"""Read and check the data of a diagnosis.

    Without inputs the series is autonomous: the target is predicted one step ahead, and the only input is
    its own past, $x_t = y_{t-1}$. Rows of one group, with times that follow one another, are a sequence; a
    gap in the times or a row with a missing value ends it and another one begins.

    Args:
        source: a CSV, TSV or Parquet file, `.npy` or `.npz`, a DataFrame, or an array (rows,) or
            (rows, columns), whose columns are called "0", "1", ...
        inputs: columns that may be remembered; none for an autonomous series.
        target: the column to predict; may be left out where only one column holds numbers.
        group: a column whose value tells several sequences apart.
        time: a column of numbers or dates, which must rise in each group. Regular are equal steps, months,
            quarters and years of the calendar, and days without weekends.
        missing: "refuse" a missing value, or "split" the sequence there.
        own_past: the target's own past becomes an input beside the others.
        difference: every column is replaced by its step-to-step change. A linear relation between inputs
            and target stays the same, drifts and unit roots go.

    Raises:
        DataError: a column is unknown, named twice, constant or not of finite numbers; a value is missing;
            times repeat, fall or are irregular; there are fewer than 16 rows. Names row and column.

    Example:
        >>> import numpy as np
        >>> series = read_series(np.sin(np.arange(40.0)))
        >>> series.autonomous, series.inputs[:2, 0].round(2).tolist(), series.target[:2].round(2).tolist()
        (True, [0.0, 0.84], [0.84, 0.91])
    """
    one_of(missing, ("refuse", "split"), "missing")
    table = read_table(source)
    chosen = _choose(table, list(inputs), target, group, time)
    order, segments, step, notes = _sequences(table, group, time)
    roles = dict.fromkeys(chosen.inputs, "an input") | {chosen.target: "the target"}
    values = np.stack([table.numbers(name, role) for name, role in roles.items()], axis=1)
    known = np.logical_not(np.isnan(values))
    if missing == "refuse":
        _refuse_missing(table, list(roles), known)
    rows = Rows(values[order], segments, [*roles])
    rows = without_missing(rows, np.all(known[order], axis=1), notes)
    _check_enough(table, rows)
    _check_varying(table, rows, "is constant")
    if difference:
        rows = differences(rows, notes)
    if own_past or not chosen.inputs:
        rows = with_own_past(rows, notes, only=not chosen.inputs)
    _check_enough(table, rows)
    _check_varying(table, rows, "is constant after differencing" if difference else "is constant")
    return Series(
        inputs=rows.values[:, :-1],
        target=rows.values[:, -1],
        input_names=tuple(rows.names[:-1]),
        target_name=chosen.target,
        segments=rows.segments,
        step=step,
        autonomous=not chosen.inputs,
        notes=tuple(notes),
        source=table.source,
    )


@dataclass(frozen=True)
class _Chosen:
    inputs: tuple[str, ...]
    target: str


def _choose(
    table: Table, inputs: list[str], target: str | None, group: str | None, time: str | None
) -> _Chosen:
    others = {group, time}
    if target is None:
        numeric = [name for name in table.numeric_columns() if name not in others]
        if inputs or len(numeric) != 1:
            raise DataError(
                f"which column of {table.source} is the target? Columns of numbers: "
                f"{', '.join(numeric) or 'none'}."
            )
        target = numeric[0]
    for name, role in ((target, "the target"), (group, "the group"), (time, "the time")):
        if name is not None:
            table.column(name, role)
    for place, name in enumerate(inputs):
        table.column(name, "an input")
        if name == target:
            raise DataError(
                f"the column {name!r} is both target and input. For its own past leave the inputs out, or "
                f"ask for it beside the other inputs (--own-past, own_past=True)."
            )
        if name in inputs[:place]:
            raise DataError(f"the input {name!r} is named twice; name it once.")
    taken = {group: "group", time: "time"}
    for name in (*inputs, target):
        if name in taken:
            raise DataError(
                f"the column {name!r} is the {taken[name]}; it cannot be an input or the target too."
            )
    if group is not None and group == time:
        raise DataError(f"the column {group!r} cannot be the group and the time.")
    return _Chosen(tuple(inputs), target)


def _sequences(
    table: Table, group: str | None, time: str | None
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], str | None, list[str]]:
    """The order of the rows in which sequences follow one another, the number of each row's sequence."""
    notes: list[str] = []
    groups = _groups(table, group)
    order = np.argsort(groups, kind="stable")
    starts = np.diff(groups[order], prepend=-1) != 0
    if group is not None:
        notes.append(f"{int(starts.sum())} sequences by {group}.")
    step = None
    if time is not None:
        ticks = read_ticks(table, time, groups, order)
        step = ticks.step
        gaps = ~starts & (np.diff(ticks.values, prepend=np.nan) > 1.5)
        if gaps.any():
            after = order[np.flatnonzero(gaps) - 1]
            notes.append(
                f"{counted(len(after), 'gap')} in {time} (after "
                f"{_listed([table.place(i) for i in after])}): a new sequence begins there."
            )
        starts = starts | gaps
    return order, starts.cumsum() - 1, step, notes


def _groups(table: Table, group: str | None) -> Int64[np.ndarray, " n"]:
    if group is None:
        return np.zeros(len(table.frame), dtype=np.int64)
    codes, _ = pd.factorize(table.column(group, "the group"))
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise DataError(f"{table.place(missing[0], group)}: the group is missing ({table.counting}).")
    return codes.astype(np.int64)


def _refuse_missing(table: Table, names: list[str], known: Bool[np.ndarray, "n columns"]) -> None:
    rows, columns = np.nonzero(~known)
    if len(rows):
        total = counted(len(rows), "value")
        raise DataError(
            f"{table.place(rows[0], names[columns[0]])}: the value is missing ({table.counting}; {total} "
            f"missing in all). Fill them in, or split the sequence there (--missing split, missing='split')."
        )


def _check_enough(table: Table, rows: Rows) -> None:
    if len(rows.values) < _FEWEST_ROWS:
        raise DataError(
            f"{table.source} has {counted(len(rows.values), 'row')} that can be used, from row "
            f"{table.first_row} on; a diagnosis needs at least {_FEWEST_ROWS}, and some hundreds to say much."
        )


def _check_varying(table: Table, rows: Rows, what: str) -> None:
    for name, column in zip(rows.names, rows.values.T, strict=True):
        if np.ptp(column) <= _CONSTANT * np.abs(column).max():
            raise DataError(
                f"column {name!r} {what}: {column[0]:g} from row {table.first_row} to the last of "
                f"{len(column)} rows; nothing can be learnt from it, leave it out."
            )


def _listed(places: list[str]) -> str:
    return ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")
