"""Sweeps in a study file: a list of strengths, or a range of them, stands for one task each."""

import math
from itertools import product
from typing import Any, get_origin

from pydantic import Field, PositiveFloat, model_validator

from recollect.core import Config, ConfigError
from recollect.memory import from_horizon
from recollect.tasks import TASKS

_SWEPT = ("alpha", "h95")


class Spacing(Config):
    """Values spaced evenly in their logarithm: what a mapping in place of a list of strengths means.

    Attributes:
        low, high: the first value and the last, above 0.
        count: how many, both ends included; whole numbers that rounding makes equal are taken once.

    Example:
        >>> Spacing(low=2, high=32, count=5).values(whole=True)
        [2, 4, 8, 16, 32]
    """

    low: PositiveFloat
    high: PositiveFloat
    count: int = Field(ge=2)

    @model_validator(mode="after")
    def _is_a_range(self) -> "Spacing":
        if self.low >= self.high:
            raise ValueError(f"expected low < high, got low={self.low:g} and high={self.high:g}")
        return self

    def values(self, *, whole: bool) -> list[Any]:
        """The values in growing order, to six digits or as whole numbers."""
        ratio = math.log(self.high / self.low) / (self.count - 1)
        spaced = [self.low * math.exp(ratio * i) for i in range(self.count)]
        return list(dict.fromkeys(round(value) if whole else float(f"{value:.6g}") for value in spaced))


def expand_task(task: Any) -> list[Any]:
    """Tasks for every value of a field that is given as a list where one value belongs.

    Of a functional task these are `memory.alpha` or `memory.h95`, and `length`; of the others every field
    that holds one value. Two lists make all pairs. `h95: 12` sets alpha so that 95 % of rho's energy lies
    in the first 12 lags of the task's length. A mapping `{low: 2, high: 60, count: 20}` in place of a list of
    strengths is `Spacing`.

    Example:
        >>> tasks = expand_task({"memory": {"family": "impulse", "alpha": [2, 4]}, "length": 8})
        >>> [task["memory"]["alpha"] for task in tasks]
        [2, 4]
    """
    if not isinstance(task, dict):
        return [task]
    if not isinstance(task.get("memory"), dict):
        return _all_pairs(task)
    memory = task["memory"]
    if all(name in memory for name in _SWEPT):
        raise ConfigError(f"memory {memory}: give `alpha` or `h95`, not both.")
    axes = [
        [(name, value) for value in _strengths(name, memory[name])] for name in _SWEPT if name in memory
    ] or [[(None, None)]]
    lengths = _listed(task["length"]) if "length" in task else [None]
    return [_one_task(task, strength, length) for length, strength in product(lengths, axes[0])]


def _all_pairs(task: dict[str, Any]) -> list[Any]:
    """One task for each combination of the listed values; unknown kinds are left for the parser to refuse."""
    kind = task.get("kind")
    known = TASKS.get(kind) if isinstance(kind, str) else None
    if known is None:
        return [task]
    swept = [
        name
        for name, value in task.items()
        if isinstance(value, list) and name in known.model_fields and not _holds_many(known, name)
    ]
    if empty := [name for name in swept if not task[name]]:
        raise ConfigError(f"task {kind}: the list of {empty[0]!r} is empty; give a value or several.")
    return [
        task | dict(zip(swept, values, strict=True)) for values in product(*(task[name] for name in swept))
    ]


def _holds_many(task: type[Config], name: str) -> bool:
    return get_origin(task.model_fields[name].annotation) is tuple


def _one_task(task: dict[str, Any], strength: tuple[str | None, Any], length: Any) -> dict[str, Any]:
    expanded = task | ({} if length is None else {"length": length})
    name, value = strength
    if name is None:
        return expanded
    options = {key: field for key, field in task["memory"].items() if key not in _SWEPT}
    if name == "alpha":
        return expanded | {"memory": options | {"alpha": value}}
    family = options.pop("family", None)
    if not isinstance(family, str) or type(value) is not int or not isinstance(length, int | None):
        raise ConfigError(
            f"memory {task['memory']}: `h95` needs a `family` and a `length`, and is a whole "
            f"number or a list of them, like `length`."
        )
    if length is None:
        raise ConfigError(f"memory {task['memory']}: `h95` needs the task's `length` to be written out.")
    return expanded | {
        "memory": from_horizon(family, value, length, dt=float(task.get("dt", 1.0)), **options)
    }


def _strengths(name: str, given: Any) -> list[Any]:
    """The values of `alpha` or `h95`: of a range, a list, or one."""
    if not isinstance(given, dict):
        return _listed(given)
    spacing = Spacing.parse(given, f"memory.{name}")
    if name == "h95" and not (spacing.low.is_integer() and spacing.high.is_integer()):
        raise ConfigError(f"memory.h95: `low` and `high` count lags, so they are whole numbers, got {given}.")
    return spacing.values(whole=name == "h95")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
