"""The numbers of a memory function in words, and its laws of decay as curves; from the stored document."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Number = float | Mapping[str, float | None] | None
"""A number alone, or with the interval that encloses it: `value`, `lower`, `upper`."""


@dataclass(frozen=True)
class NamedNumber:
    """A row of the table of numbers."""

    name: str
    value: str
    interval: str
    meaning: str


MEANINGS = {
    "h50": ("H50", "lags that hold half of the energy of the memory"),
    "h95": ("H95", "lags that hold 95 % of the energy of the memory"),
    "delay": ("delay", "lags before the first that stands above the noise"),
    "effective_taps": ("effective taps", "equal lags that would spread the energy as much"),
    "sign_changes": ("sign changes", "where both sides stand above the noise"),
    "hankel_rank": (
        "Hankel rank",
        "real states of a linear recurrence that are seen above the noise; at least so many are there",
    ),
    "tensor_train_rank": ("tensor-train rank", "width of a dilated convolution with two taps a level"),
}
LAW_MEANINGS = {
    "exponential": ("exponential rate", "a of exp(-a s), s counted from the largest lag: one time scale"),
    "power": ("power exponent", "p of (1 + s)^-p, s counted from the largest lag: no time scale"),
}
PREFERENCES = {
    "exponential": "an exponential fits better",
    "power": "a power law fits better",
    "undecided": "neither law fits clearly better",
    "none": "too few lags stand above the noise for a law",
}


def named_numbers(document: Mapping[str, Any]) -> list[NamedNumber]:
    """Every number that the document has, in the order of `MEANINGS`, the laws of decay last.

    Example:
        >>> rows = named_numbers({"horizon": {"h50": {"value": 3, "lower": 2, "upper": 4}}, "delay": 1})
        >>> [(row.name, row.value, row.interval) for row in rows]
        [('H50', '3', '2 … 4'), ('delay', '1', '')]
    """
    found = {**horizons_with_intervals(document), **document}
    rows = [
        NamedNumber(name, shown(found[key]), shown_interval(found[key]), meaning)
        for key, (name, meaning) in MEANINGS.items()
        if found.get(key) is not None
    ]
    law = document.get("decay_law") or {}
    for key, (name, meaning) in LAW_MEANINGS.items():
        if value_of(law.get(key)) is not None:
            note = f"{meaning}; {PREFERENCES[key]}" if law.get("preferred") == key else meaning
            rows.append(NamedNumber(name, shown(law[key]), shown_interval(law[key]), note))
    return rows


def value_of(number: Number) -> float | None:
    """Without its interval."""
    return number.get("value") if isinstance(number, Mapping) else number


def shown(number: Number) -> str:
    """Three significant digits, or all of a whole number.

    Example:
        >>> [shown(number) for number in (1234, 0.01234, 12.0, 1.2e-5, None, {"value": 0.5})]
        ['1234', '0.0123', '12', '1.2e-05', '–', '0.5']
    """
    value = value_of(number)
    if value is None:
        return "–"
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.3g}"


def shown_interval(number: Number) -> str:
    """Both ends; one of them where the other is open, nothing where there is no interval.

    Example:
        >>> shown_interval({"value": 3, "lower": 2, "upper": None})
        '≥ 2'
    """
    if not isinstance(number, Mapping):
        return ""
    lower, upper = number.get("lower"), number.get("upper")
    if lower is None or upper is None:
        known = {"≥": lower, "≤": upper}
        return "".join(f"{sign} {shown(end)}" for sign, end in known.items() if end is not None)
    return f"{shown(lower)} … {shown(upper)}"


def horizons(document: Mapping[str, Any]) -> dict[str, float | None]:
    """H50 and H95 without their intervals."""
    return {name.upper(): value_of(number) for name, number in horizons_with_intervals(document).items()}


def horizons_with_intervals(document: Mapping[str, Any]) -> dict[str, Number]:
    """With their intervals, which stand beside them or in them."""
    horizon = document.get("horizon") or {}
    return {
        name: with_interval(horizon.get(name), horizon.get(f"{name}_interval")) for name in ("h50", "h95")
    }


def with_interval(number: Number, ends: Sequence[float | None] | None) -> Number:
    """A number and its interval as one, where they stand apart.

    Example:
        >>> with_interval(3.0, [2.0, None])
        {'value': 3.0, 'lower': 2.0, 'upper': None}
    """
    if ends is None or number is None or isinstance(number, Mapping):
        return number
    return {"value": number, "lower": ends[0], "upper": ends[1]}


def law_curves(
    magnitude: Sequence[float], lower: Sequence[float], decay_law: Mapping[str, Any] | None
) -> dict[str, list[float | None]]:
    r"""The fitted laws at each lag of the stretch they were fitted to, None elsewhere.

    From the largest magnitude, where their age is 0, to the last lag that stands above the noise. The
    document has their slopes; their heights are least squares of the logarithm of the majorant
    $\max_{r \ge s} |k_r|$.

    Args:
        magnitude: by lag.
        lower: lower ends of its band: a lag stands above the noise where they are above 0.
        decay_law: as the document has it.
    """
    law = decay_law or {}
    values = np.asarray(magnitude, dtype=float)
    above = np.flatnonzero(np.asarray(lower) > 0)
    if law.get("preferred") in (None, "none") or len(above) == 0:
        return {}
    lags = np.arange(int(values.argmax()), int(above[-1]) + 1)
    if len(lags) < 2:
        return {}
    majorant = np.log(np.maximum.accumulate(values[: lags[-1] + 1][::-1])[::-1][lags])
    age = (lags - lags[0]).astype(float)
    shapes = {"exponential": -age, "power": -np.log1p(age)}
    curves: dict[str, list[float | None]] = {}
    for name, shape in shapes.items():
        slope = value_of(law.get(name))
        if slope is not None and math.isfinite(slope):
            fitted = np.exp(slope * shape + (majorant - slope * shape).mean())
            curve: list[float | None] = [None] * len(values)
            curve[lags[0] : lags[-1] + 1] = fitted.tolist()
            curves[name] = curve
    return curves
