"""Laws of the input sequence: zero mean and unit variance at every position, exactly unless recorded.

`is_independent` laws draw each value by itself: only there do the errors at single lags add up.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float64
from pydantic import Field, model_validator
from torch import Tensor

from recollect.core import Config, ConfigError, integers, normal, signs, uniform
from recollect.core.shapes import Indices
from recollect.tasks.base import Split

Draws = Float64[Tensor, "B T inputs"]

_SHARES = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}


class Gaussian(Config):
    """Independent standard normal values: the default, for which the risk identity is exact."""

    law: Literal["gaussian"] = "gaussian"
    label: ClassVar[str] = "gaussian"
    is_independent: ClassVar[bool] = True

    def draw(self, seed: int, split: Split, indices: Indices, length: int, channels: int) -> Draws:
        return normal(seed, indices, length * channels).unflatten(1, (length, channels))


class Uniform(Config):
    """Independent values, uniform on [-sqrt 3, sqrt 3]."""

    law: Literal["uniform"] = "uniform"
    label: ClassVar[str] = "uniform"
    is_independent: ClassVar[bool] = True

    def draw(self, seed: int, split: Split, indices: Indices, length: int, channels: int) -> Draws:
        values = uniform(seed, indices, length * channels).unflatten(1, (length, channels))
        return (2 * values - 1) * 3**0.5


class Signs(Config):
    """Independent -1 or +1. White, but one state can pack many bits: Gaussian floors do not bind."""

    law: Literal["signs"] = "signs"
    label: ClassVar[str] = "signs"
    is_independent: ClassVar[bool] = True

    def draw(self, seed: int, split: Split, indices: Indices, length: int, channels: int) -> Draws:
        return signs(seed, indices, length * channels).unflatten(1, (length, channels))


class AutoRegressive(Config):
    r"""AR(1): `x_t = a x_{t-1} + sqrt(1 - a^2) e_t`, stationary from the first position on."""

    law: Literal["ar1"] = "ar1"
    is_independent: ClassVar[bool] = False
    coefficient: float = Field(gt=-1, lt=1)

    @property
    def label(self) -> str:
        return f"ar1({self.coefficient:g})"

    def draw(self, seed: int, split: Split, indices: Indices, length: int, channels: int) -> Draws:
        x = normal(seed, indices, length * channels).unflatten(1, (length, channels))
        x[:, 1:] *= (1 - self.coefficient**2) ** 0.5
        # sum_s a^s L^s = (1 + aL)(1 + a^2 L^2)(1 + a^4 L^4)...: log2(T) passes instead of T.
        shift = 1
        while shift < length:
            x[:, shift:] += self.coefficient**shift * x[:, :-shift].clone()
            shift *= 2
        return x


class Recorded(Config):
    """Windows of a recorded series (`.npy`, or `.csv`/`.txt` with one column per channel).

    Standardised by the mean and deviation of the training part; `content` is the file's hash. Training,
    validation and test windows come from the first 60 %, the next 20 % and the last 20 % of the record, so
    that they never overlap.
    """

    law: Literal["recorded"] = "recorded"
    is_independent: ClassVar[bool] = False
    path: Path
    content: str = ""

    @property
    def label(self) -> str:
        return f"recorded({self.path.stem}, {self.content[:6]})"

    @model_validator(mode="after")
    def _readable(self) -> "Recorded":
        if not self.path.is_file():
            raise ValueError(f"expected a .npy, .csv or .txt file; {str(self.path)!r} does not exist")
        # Part of a run's identity: other numbers under the same name are another input.
        object.__setattr__(self, "content", hashlib.sha256(self.path.read_bytes()).hexdigest())
        return self

    @cached_property
    def _series(self) -> Float64[Tensor, "time inputs"]:
        try:
            values = np.load(self.path) if self.path.suffix == ".npy" else _read_text(self.path)
            series = torch.as_tensor(np.asarray(values, dtype=np.float64))
        except (ValueError, OSError) as error:
            raise ConfigError(f"{self.path}: expected numbers, one column per channel ({error}).") from error
        series = series[:, None] if series.ndim == 1 else series
        if series.ndim != 2 or not series.isfinite().all() or (series.std(0) == 0).any():
            raise ConfigError(
                f"{self.path}: expected finite numbers that vary, as (time,) or (time, channels)."
            )
        trained = series[: int(len(series) * _SHARES["train"][1])]
        return (series - trained.mean(0)) / trained.std(0)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, channels: int) -> Draws:
        total, columns = self._series.shape
        if columns != channels:
            raise ConfigError(f"{self.path} has {columns} channels; the task asks for {channels}.")
        first, last = (int(total * part) for part in _SHARES[split])
        windows = last - first - length + 1
        if windows < 1:
            raise ConfigError(
                f"{self.path}: its {split} part has {last - first} values, fewer than the length {length}; "
                f"give a longer record or a smaller `length`."
            )
        start = first + integers(seed, indices, 1, windows)
        positions = start.cpu() + torch.arange(length)
        return self._series[positions].to(indices.device)


InputLaw = Annotated[Gaussian | Uniform | Signs | AutoRegressive | Recorded, Field(discriminator="law")]


def _read_text(path: Path) -> np.ndarray:
    rows = path.read_text().splitlines()
    has_header = bool(rows) and any(char.isalpha() and char not in "eEnaif" for char in rows[0])
    return np.loadtxt(rows[has_header:], delimiter="," if "," in rows[-1] else None, ndmin=2)
