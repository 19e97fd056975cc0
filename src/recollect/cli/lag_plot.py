"""A memory function in block characters: lags from left to right, a column for one or several of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT, _LABEL = 64, 8, 9
_RISING = " ▁▂▃▄▅▆▇█"
_FALLING = " ▔▔▀▀▀██"
_WIDEST = 4


def lag_plot(
    values: Sequence[float],
    lower: Sequence[float],
    upper: Sequence[float],
    *,
    shown: int,
    horizon: int | None = None,
) -> list[str]:
    """Lines of at most 75 characters, the first `shown` lags; columns whose band holds 0 are light.

    Where there are more lags than columns, a column is the lag of the largest magnitude among its own.
    `horizon`: a number of lags whose last one is marked as H95.

    Example:
        >>> lines = lag_plot([4.0, 2.0, -2.0], [3.0, 1.0, -3.0], [5.0, 3.0, -1.0], shown=3, horizon=2)
        >>> print(*lines[3:], sep="\\n")
                 │███ ███
                 │███ ███
                0┼────┬───────
                 │        ███
                 │        ███
               -2│        ▀▀▀
                  0   H95    2
    """
    each = math.ceil(shown / _WIDTH)
    bins = [range(first, min(first + each, shown)) for first in range(0, shown, each)]
    peaks = [max(part, key=lambda lag: abs(values[lag])) for part in bins]
    columns = [_Column(values[lag], not lower[lag] <= 0 <= upper[lag]) for lag in peaks]
    wide = min(_WIDEST, _WIDTH // len(columns))
    mark = None if horizon is None or horizon > shown else wide * ((horizon - 1) // each)
    return [*_bars(columns, wide, mark), " " * (_LABEL + 1) + _ticks(wide * len(columns), shown, mark)]


@dataclass(frozen=True)
class _Column:
    value: float
    is_certain: bool

    def cell(self, fill: float, parts: str) -> str:
        """What a row shows, `fill` of it covered."""
        covered = min(max(fill, 0.0), 1.0)
        if not self.is_certain:
            return "░" if covered >= 0.5 else " "
        return parts[round(covered * (len(parts) - 1))]


def _bars(columns: Sequence[_Column], wide: int, mark: int | None) -> list[str]:
    top, bottom = (pick(0.0, *(column.value for column in columns)) for pick in (max, min))
    if top == bottom:
        top = 1.0
    up = min(max(round(_HEIGHT * top / (top - bottom)), top > 0), _HEIGHT - (bottom < 0))
    down = _HEIGHT - up
    unit = max(top / up if up else 0.0, -bottom / down if down else 0.0)

    def row(label: str, fill: Callable[[float], float], parts: str) -> str:
        cells = "".join(_widened(column.cell(fill(column.value), parts), wide) for column in columns)
        return f"{label:>{_LABEL}}│{cells}".rstrip()

    above = [
        row(f"{top:.3g}" if r == up - 1 else "", lambda value, r=r: value / unit - r, _RISING)
        for r in reversed(range(up))
    ]
    below = [
        row(f"{bottom:.3g}" if r == down - 1 else "", lambda value, r=r: -value / unit - r, _FALLING)
        for r in range(down)
    ]
    axis = ["─"] * (wide * len(columns))
    if mark is not None:
        axis[mark] = "┬"
    return [*above, f"{'0':>{_LABEL}}┼{''.join(axis)}", *below]


def _widened(cell: str, wide: int) -> str:
    return cell if wide == 1 else cell * (wide - 1) + " "


def _ticks(width: int, shown: int, mark: int | None) -> str:
    """The first and the last lag, and H95 where there is room for it."""
    line = [" "] * (width + 4)
    last = str(shown - 1)
    for place, text in ((mark, "H95"), (0, "0"), (width - len(last), last)):
        if place is not None and all(char == " " for char in line[max(place - 1, 0) : place + len(text) + 1]):
            line[place : place + len(text)] = text
    return "".join(line).rstrip()
