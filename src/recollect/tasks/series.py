r"""Windows of a user's own table: predict the target from the inputs up to the same row.

The rows are cut in their order: the first 60 % train, the next 20 % validate, the last 20 % test. A target is
asked in its own part only, and whatever a model sees at training lies in the training part. A window of a
later part may begin in the one before: the past is known by the time its target is asked.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int64
from pydantic import NonNegativeInt, PositiveInt, model_validator
from torch import Tensor

from recollect.core import ConfigError, derive_seed, integers, lookup, random_words
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.continuous import ContinuousTask
from recollect.tasks.labels import label_of

_SHARES = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table, in its order.

    Attributes:
        inputs: numbers, standardised by the training part.
        target: so is it.
        segments: number of the gap-free sequence that each row belongs to.
        shares: rows of the training part, and of it and the validation part together.
        scales: deviation in the training part of each input, then of the target, in the table's units.
    """

    inputs: Float64[Tensor, "rows inputs"]
    target: Float64[Tensor, " rows"]
    segments: Int64[Tensor, " rows"]
    shares: tuple[int, int]
    scales: Float64[Tensor, " columns"]

    def part(self, split: Split) -> slice:
        """The rows that are asked in a split."""
        borders = (0, *self.shares, len(self.target))
        place = list(_SHARES).index(split)
        return slice(borders[place], borders[place + 1])

    def pieces(self, split: Split) -> list[tuple[int, int, int]]:
        """Of each segment with rows in the split: its first row at all, its first there and its end there."""
        part, borders = self.part(split), (self.segments.diff() != 0).nonzero()[:, 0] + 1
        edges = [0, *borders.tolist(), len(self.target)]
        cut = [(first, max(first, part.start), min(end, part.stop)) for first, end in pairwise(edges)]
        return [piece for piece in cut if piece[1] < piece[2]]


@dataclass(frozen=True, eq=False)
class Windows:
    """Where windows begin, and which of their rows are asked: from `asked` on, before `end`."""

    start: Int64[Tensor, " windows"]
    asked: Int64[Tensor, " windows"]
    end: Int64[Tensor, " windows"]

    def of(self, chosen: Int64[Tensor, " some"]) -> "Windows":
        """Some of them, in that order."""
        return Windows(self.start[chosen], self.asked[chosen], self.end[chosen])


class SeriesTask(ContinuousTask):
    r"""Predict a column of a table, row by row, from other columns of the same and earlier rows.

    Numbers are standardised by mean and deviation of the training part, so that an NMSE of 1 is that of its
    mean. The first `warmup` positions of a window are not asked: there a model has read too little of the
    past. So the first `warmup` rows of a segment are never asked in training, nor anywhere else.

    Training windows begin at random rows. Validation and test windows ask each target of their part once, in
    an order that the seed shuffles: there an example beyond the last window asks nothing, and the standard
    error of a score is that of so many blocks of consecutive rows.

    Attributes:
        path: a Parquet file, rows in the order of time.
        inputs: names of the columns that are read.
        target: name of the column that is predicted.
        segment: name of a column whose value changes where a new gap-free sequence begins; windows keep to
            one of them. Without it all rows are one sequence.
        ahead: rows between the last inputs read and the target. With 1 or more the target may be an input
            too: its own past.
        length: positions of a window.
        warmup: positions at the beginning of a window that are not asked; below `length`.
        content: hash of the file, filled in: another table is another task.

    Raises:
        ValidationError: no such file, no inputs, the target among them with `ahead` 0, a column twice, or
            a `warmup` that leaves nothing to ask.
        ConfigError: on the first batch: a column that is not there, not of finite numbers or constant in the
            training part, or a part of too few rows.

    Cost: O(rows) for each batch.

    Example:
        >>> import tempfile, pandas
        >>> path = Path(tempfile.mkdtemp()) / "ramp.parquet"
        >>> pandas.DataFrame({"u": range(100), "y": range(0, 200, 2)}).to_parquet(path)
        >>> task = SeriesTask(path=path, inputs=("u",), target="y", length=8, warmup=3)
        >>> batch = task.batch(0, "test", 0, 4)
        >>> batch.inputs.shape, batch.mask.sum(1).tolist()
        (torch.Size([4, 8, 1]), [5, 5, 5, 5])
    """

    kind: Literal["series"] = "series"
    path: Path
    inputs: tuple[str, ...]
    target: str
    segment: str | None = None
    ahead: NonNegativeInt = 0
    length: PositiveInt = 256
    warmup: NonNegativeInt = 64
    content: str = ""

    @model_validator(mode="after")
    def _meaningful(self) -> "SeriesTask":
        if not self.path.is_file():
            raise ValueError(f"expected a Parquet file; {str(self.path)!r} does not exist")
        if not self.inputs:
            raise ValueError("`inputs` must name at least one column")
        if len(set(self.inputs)) < len(self.inputs):
            raise ValueError(f"`inputs` must differ, got {list(self.inputs)}")
        if self.target in self.inputs and not self.ahead:
            raise ValueError(
                f"the target {self.target!r} is among the inputs: leave it out, or predict from its own past "
                f"with `ahead: 1`"
            )
        if self.warmup >= self.length:
            raise ValueError(
                f"`warmup` must leave positions to ask: expected it below length={self.length}, "
                f"got {self.warmup}"
            )
        object.__setattr__(self, "content", hashlib.sha256(self.path.read_bytes()).hexdigest())
        return self

    @property
    def input_size(self) -> int:
        return len(self.inputs)

    @property
    def output_size(self) -> int:
        return 1

    @property
    def label(self) -> str:
        """The columns and whatever differs from the default, the file and the beginning of its hash."""
        return f"{label_of(self, 'path', 'content')[:-1]}, {self.path.stem} {self.content[:6]})"

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"inputs": len(self.inputs), "warmup": self.warmup, "ahead": self.ahead}

    @cached_property
    def rows(self) -> Rows:
        """The table, standardised; with `ahead` each row holds the target of so many rows later."""
        table = _read(self.path)
        columns = {name: name for name in table}
        names = [lookup(columns, name, f"column of {self.path.name}") for name in (*self.inputs, self.target)]
        values = torch.tensor(np.stack([_numbers(table, name, self.path) for name in names], axis=1))
        if self.segment is None:
            segments = torch.zeros(len(table), dtype=torch.int64)
        else:
            labels = table[lookup(columns, self.segment, f"column of {self.path.name}")]
            segments = torch.tensor((labels != labels.shift()).cumsum().to_numpy())
        known = segments[self.ahead :] == segments[: len(segments) - self.ahead]
        inputs = values[: len(values) - self.ahead, :-1][known]
        target = values[self.ahead :, -1][known]
        return _standardised(inputs, target, segments[self.ahead :][known], names)

    def num_windows(self, split: Split, length: int | None = None) -> int:
        """Windows that a split holds: of the training part every place where one can begin."""
        return len(self.windows(split, self.length if length is None else length).start)

    def sweep(self, split: Split, dtype: torch.dtype = torch.float32) -> Batch:
        """All windows of the validation or test part in the order of time: its mask asks each target once."""
        windows = self.windows(split, self.length)
        return self._read_windows(
            windows, torch.ones(len(windows.start), dtype=torch.bool), self.length, dtype
        )

    def windows(self, split: Split, length: int) -> Windows:
        """All windows of a split, in the order of time.

        Raises:
            ConfigError: no row of the split has `warmup` rows of its segment before it.
        """
        pieces = self.rows.pieces(split)
        if split == "train":
            found = [self._everywhere(first, end, length) for _, first, end in pieces]
        else:
            found = [self._each_row_once(*piece, length) for piece in pieces]
        start, asked, end = torch.cat([torch.empty(3, 0, dtype=torch.int64), *found], dim=1)
        if not len(start):
            longest = max((end - first for _, first, end in pieces), default=0)
            raise ConfigError(
                f"{self.path.name}: the {split} part has nothing to ask: its longest sequence has {longest} "
                f"rows, and the first {self.warmup} of a window only warm up. Give a longer table, or a "
                f"smaller `warmup`."
            )
        return Windows(start, asked, end)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        windows = self.windows(split, length)
        chosen, is_there = self._chosen(seed, split, indices.cpu(), len(windows.start))
        batch = self._read_windows(windows.of(chosen), is_there, length, dtype)
        return Batch(*(part.to(indices.device) for part in batch[:3]))

    def _read_windows(self, windows: Windows, is_there: Tensor, length: int, dtype: torch.dtype) -> Batch:
        positions = windows.start[:, None] + torch.arange(length)
        asked, end = windows.asked[:, None], windows.end[:, None]
        mask = (positions >= asked) & (positions < end) & is_there[:, None]
        # A segment may end before the window does: what is read there is not asked, and nothing sees it.
        positions = positions.minimum(end - 1)
        return Batch(self.rows.inputs[positions].to(dtype), self.rows.target[positions, None].to(dtype), mask)

    def _chosen(self, seed: int, split: Split, indices: Indices, count: int) -> tuple[Tensor, Tensor]:
        """The window of each example, and whether there is one."""
        drawn = derive_seed(seed, "windows", split)
        if split == "train":
            return integers(drawn, indices, 1, count)[:, 0], torch.ones_like(indices, dtype=torch.bool)
        order = random_words(drawn, torch.arange(count), 1)[:, 0].argsort(stable=True)
        return order[indices.clamp(max=count - 1)], indices < count

    def _everywhere(self, first: int, end: int, length: int) -> Int64[Tensor, "3 windows"]:
        """Windows within these rows, as start, first asked row and end."""
        if end - first <= self.warmup:
            return torch.empty(3, 0, dtype=torch.int64)
        start = torch.arange(first, max(first, end - length) + 1)
        return torch.stack([start, start + self.warmup, (start + length).clamp(max=end)])

    def _each_row_once(self, begin: int, first: int, end: int, length: int) -> Int64[Tensor, "3 windows"]:
        """Windows whose asked rows tile `first .. end`, reading the segment from `begin` on."""
        if length <= self.warmup:
            raise ConfigError(f"a window of length {length} only warms up: expected more than {self.warmup}.")
        asked = torch.arange(max(first, begin + self.warmup), end, length - self.warmup)
        finish = (asked + length - self.warmup).clamp(max=end)
        # The last window reaches further back than it must, where it can, rather than past the end.
        start = torch.minimum(asked - self.warmup, (finish - length).clamp(min=begin))
        return torch.stack([start, asked, finish])


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path).rename(columns=str)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected a Parquet table ({error}).") from error


def _numbers(table: pd.DataFrame, name: str, path: Path) -> Float64[np.ndarray, " rows"]:
    column = table[name]
    if not pd.api.types.is_numeric_dtype(column):
        raise ConfigError(f"{path.name}: expected numbers in the column {name!r}, got {column.dtype}.")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ConfigError(
            f"{path.name}: expected finite numbers, got {values[row]} in row {row} (counted from 0) of the "
            f"column {name!r}: cut the sequence there, with a `segment` column, or fill it in."
        )
    return values


def _standardised(
    inputs: Float64[Tensor, "rows inputs"],
    target: Float64[Tensor, " rows"],
    segments: Int64[Tensor, " rows"],
    names: list[str],
) -> Rows:
    """By mean and deviation of the first part."""
    train, validation = (int(len(target) * _SHARES[split][1]) for split in ("train", "validation"))
    values = torch.cat([inputs, target[:, None]], dim=1)
    known = values[:train]
    scales = known.std(0) if train > 1 else torch.zeros(len(names), dtype=torch.float64)
    # Rounding of the mean leaves a deviation of some units in the last place in a constant column.
    constant = scales <= 1e-12 * known.abs().amax(0) if train > 1 else scales == 0
    if constant.any():
        name = names[int(constant.nonzero()[0])]
        raise ConfigError(f"the column {name!r} does not vary in the {train} rows of the training part.")
    values = (values - known.mean(0)) / scales
    return Rows(values[:, :-1], values[:, -1], segments, (train, validation), scales)
