"""Rows of values in sequences: what may be done to them before they are read as inputs and target."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from recollect.diagnosis.series import past_of


@dataclass(frozen=True, eq=False)
class Rows:
    """Values by row and column, the target last, in the order in which sequences are read."""

    values: Float64[np.ndarray, "n columns"]
    segments: Int64[np.ndarray, " n"]
    names: list[str]

    def kept(self, rows: Bool[np.ndarray, " n"]) -> "Rows":
        return Rows(self.values[rows], self.segments[rows], self.names)

    def starts(self) -> Bool[np.ndarray, " n"]:
        """Whether a row is the first of its sequence."""
        return np.diff(self.segments, prepend=-1) != 0


def without_missing(rows: Rows, known: Bool[np.ndarray, " n"], notes: list[str]) -> Rows:
    """A sequence ends before a row with a missing value, and another one begins behind it."""
    if known.all():
        return rows
    starts = rows.starts() | np.concatenate([[False], ~known[:-1]])
    cut = Rows(rows.values, starts.cumsum() - 1, rows.names).kept(known)
    again = Rows(cut.values, cut.starts().cumsum() - 1, rows.names)
    sequences = counted(len(np.unique(again.segments)), "sequence")
    notes.append(f"{counted(int((~known).sum()), 'row')} with missing values cut out, {sequences} left.")
    return again


def differences(rows: Rows, notes: list[str]) -> Rows:
    notes.append("All columns are differences: the change from the row before.")
    changes = np.diff(rows.values, axis=0, prepend=rows.values[:1])
    return Rows(changes, rows.segments, rows.names).kept(~rows.starts())


def with_own_past(rows: Rows, notes: list[str], *, only: bool) -> Rows:
    """The target of the row before becomes an input, and the first row of each sequence goes."""
    target = rows.names[-1]
    past = np.roll(rows.values[:, -1:], 1, axis=0)
    names = [*rows.names[:-1], past_of(target), target]
    values = np.concatenate([rows.values[:, :-1], past, rows.values[:, -1:]], axis=1)
    if only:
        notes.append(
            f"No input was named: {target} is predicted one step ahead, and its own past is the input "
            f"(lag 0 is the value before)."
        )
    else:
        notes.append(f"The past of {target} is one of the inputs (its lag 0 is the value before).")
    return Rows(values, rows.segments, names).kept(~rows.starts())


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
