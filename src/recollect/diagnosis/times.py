"""A time column: which step it has, and where steps are missing.

Times become whole numbers of steps. Months, quarters and years count by the calendar, trading days without
weekends, everything else by the clock.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from recollect.diagnosis.series import DataError
from recollect.diagnosis.tables import Table

_TOLERANCE = 0.25
"""A step may differ from a whole number of steps by this share of one."""

_QUARTER = r"\d{4}-?[Qq][1-4]"
_COMPACT_DATE = r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
_CALENDAR = {1: "month", 3: "quarter", 12: "year"}


@dataclass(frozen=True, eq=False)
class Ticks:
    """For each row its time in steps, whole up to `_TOLERANCE`, and the length of a step in words."""

    values: Float64[np.ndarray, " n"]
    step: str


def read_ticks(
    table: Table, name: str, groups: Int64[np.ndarray, " n"], order: Int64[np.ndarray, " n"]
) -> Ticks:
    """The times of all rows, taken in this order, in which the rows of a group follow one another.

    Raises:
        DataError: a time is missing or cannot be read, comes twice or before an earlier one of its group,
            or the times have no regular step. Names the rows.
    """
    column = table.column(name, "the time")
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise DataError(f"{table.place(missing[0], name)}: the time is missing ({table.counting}).")
    times = None if _are_numbers(column) else _dates(table, name, column).iloc[order]
    seconds = _elapsed(times) if times is not None else table.numbers(name, "the time")[order]
    same = groups[order][1:] == groups[order][:-1]
    _check_order(table, name, np.diff(seconds), same, order)
    if not same.any():
        raise DataError(f"no group of {table.source} has two times; check the column of the groups.")
    found = _on_calendar(times, same) if times is not None else None
    ticks = found or _by_clock(seconds, same, is_date=times is not None)
    _check_regular(table, name, np.diff(ticks.values), same, order, ticks.step)
    return ticks


def _are_numbers(column: pd.Series) -> bool:
    """Mostly numbers, so that a word among them is what is wrong; numbers such as 20240229 are dates."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    words = column.astype(str)
    if words.str.fullmatch(_COMPACT_DATE).all():
        return False
    return pd.Series(pd.to_numeric(words, errors="coerce")).notna().mean() > 0.5


def _dates(table: Table, name: str, column: pd.Series) -> pd.Series:
    words = column.astype(str)
    if words.str.fullmatch(_QUARTER).all():
        return pd.Series(pd.PeriodIndex(words.str.replace("-", ""), freq="Q").to_timestamp())
    if words.str.fullmatch(_COMPACT_DATE).all():
        column = words
    attempts: tuple[dict[str, Any], ...] = ({}, {"dayfirst": True}, {"format": "mixed"})
    dates = column
    for options in attempts:
        with warnings.catch_warnings():
            # Where no one format fits, pandas reads each date by itself and warns.
            warnings.simplefilter("ignore")
            dates = pd.to_datetime(column, errors="coerce", utc=True, **options)
        if dates.notna().all():
            return dates.dt.tz_localize(None)
    row = np.flatnonzero(dates.isna())[0]
    raise DataError(
        f"{table.place(row, name)}: cannot read {str(column.iloc[row])!r} as a time ({table.counting}); "
        f"write numbers, or dates such as 2024-02-29."
    )


def _elapsed(times: pd.Series) -> Float64[np.ndarray, " n"]:
    return (times - times.min()).dt.total_seconds().to_numpy(np.float64)


def _check_order(table: Table, name: str, steps: np.ndarray, same: np.ndarray, order: np.ndarray) -> None:
    wrong = np.flatnonzero(same & (steps <= 0))
    if not len(wrong):
        return
    before, row = (int(i) for i in order[wrong[0] : wrong[0] + 2])
    cells = table.frame[name]
    repeated = steps[wrong[0]] == 0
    what = (
        f"the time {cells.iloc[row]} stands in {table.place(before)} too"
        if repeated
        else (f"the time {cells.iloc[row]} is before {cells.iloc[before]} of {table.place(before)}")
    )
    advice = "keep one row for each time" if repeated else "sort the rows by time"
    raise DataError(
        f"{table.place(row, name)}: {what} ({table.counting}); {advice}, "
        f"or name the column that tells several sequences apart as the group."
    )


def _on_calendar(times: pd.Series, same: np.ndarray) -> Ticks | None:
    """Months and multiples of them, or days without weekends; None where the clock decides."""
    months = (times.dt.year * 12 + times.dt.month).to_numpy(np.float64)
    if times.dt.day.nunique() == 1 or times.dt.is_month_end.all():
        steps = np.diff(months)[same]
        if (steps > 0).all():
            step = int(_usual(steps))
            return Ticks(months / step, _CALENDAR.get(step, f"{step} months"))
    days = times.dt.normalize()
    weekdays = bool((times.dt.day_of_week < 5).all()) and bool((days == times).all())
    if weekdays and _usual(np.diff(_elapsed(times))[same]) == 86_400:
        counted = np.busday_count(days.min().date(), days.to_numpy().astype("datetime64[D]"))
        return Ticks(counted.astype(np.float64), "working day")
    return None


def _by_clock(times: np.ndarray, same: np.ndarray, *, is_date: bool) -> Ticks:
    step = _usual(np.diff(times)[same])
    return Ticks(times / step, _duration(step) if is_date else f"{step:g}")


def _duration(seconds: float) -> str:
    if seconds % 86_400 == 0:
        return "day" if seconds == 86_400 else f"{seconds / 86_400:g} days"
    return str(pd.Timedelta(seconds=seconds)).removeprefix("0 days ")


def _usual(steps: np.ndarray) -> float:
    """The lower median: one of the steps, also where there is an even number of them."""
    return float(np.sort(steps)[(len(steps) - 1) // 2])


def _check_regular(
    table: Table, name: str, steps: np.ndarray, same: np.ndarray, order: np.ndarray, step: str
) -> None:
    whole = np.maximum(np.round(steps), 1)
    wrong = np.flatnonzero(same & (np.abs(steps - whole) > _TOLERANCE))
    if len(wrong):
        row = int(order[wrong[0] + 1])
        raise DataError(
            f"{table.place(row, name)}: {steps[wrong[0]]:.3g} steps after the row before it, where the usual "
            f"step is {step} and only whole numbers of it can be gaps ({table.counting}); {len(wrong)} of "
            f"{int(same.sum())} steps are like this. Resample to a regular step, or leave out the time."
        )
