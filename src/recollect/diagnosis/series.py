"""A user's data, ready to be diagnosed: numbers, names, and where one sequence ends and the next begins."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from recollect.core import ConfigError


class DataError(ConfigError):
    """The data cannot be diagnosed as they are. The message names the row and the column."""


@dataclass(frozen=True, eq=False)
class Series:
    """A target and the inputs it may remember, row by row in time.

    Attributes:
        inputs: what is remembered; the target's own past is the column that is shifted by one row.
        target: what is predicted at the same rows.
        input_names: one for each column of `inputs`.
        target_name: the target's column.
        segments: a number for each row, constant inside a sequence without gaps.
        step: the time from a row to the next, in words; None where no time is known.
        autonomous: whether the target's own past is the only input.
        notes: what reading the data found or did, in sentences.
        source: the file, or what the data came as.
    """

    inputs: Float64[np.ndarray, "n inputs"]
    target: Float64[np.ndarray, " n"]
    input_names: tuple[str, ...]
    target_name: str
    segments: Int64[np.ndarray, " n"]
    step: str | None
    autonomous: bool
    notes: tuple[str, ...]
    source: str

    @property
    def reads_own_past(self) -> bool:
        """Whether the target's own past is among the inputs."""
        return self.autonomous or past_of(self.target_name) in self.input_names

    @property
    def num_rows(self) -> int:
        """Rows that can be predicted."""
        return len(self.target)

    @property
    def num_segments(self) -> int:
        """Sequences without gaps."""
        return len(np.unique(self.segments))


def past_of(target: str) -> str:
    """The name of the input that is the target of the row before."""
    return f"past of {target}"
