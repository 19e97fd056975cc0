"""Simulated systems of known memory: four kinds, white and coloured input, 5 to 30 dB of output over noise.

Everything about a system follows from its number, so that anyone gets the same ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.signal import lfilter

LAGS, MEMORY = 128, 1024
"""Lags that are estimated, and lags that the systems have: power laws go on beyond the estimate."""

SNRS = (5, 10, 20, 30)
"""Variance of the output over that of the noise, in decibels."""

Taps = Float64[np.ndarray, " memory"]


@dataclass(frozen=True, eq=False)
class System:
    """A record of a system, and its memory function."""

    kind: str
    coloured: bool
    snr: int
    inputs: Float64[np.ndarray, " n"]
    target: Float64[np.ndarray, " n"]
    memory: Float64[np.ndarray, " lags"]


def _exponentials(rng: np.random.Generator) -> Taps:
    """Two or three modes of rates between 1/2 and 1/40, of either sign."""
    lags, count = np.arange(MEMORY), int(rng.integers(2, 4))
    rates = np.exp(rng.uniform(np.log(1 / 40), np.log(1 / 2), count))
    return (rng.normal(size=count)[:, None] * np.exp(-rates[:, None] * lags)).sum(0)


def _power_law(rng: np.random.Generator) -> Taps:
    return (1 + np.arange(MEMORY) / rng.uniform(0.5, 4)) ** -rng.uniform(0.8, 2)


def _delay(rng: np.random.Generator) -> Taps:
    """An impulse, or a fading memory, that begins after 4 to 60 lags."""
    delay = int(rng.integers(4, 61))
    age = np.arange(MEMORY) - delay
    rate = np.inf if rng.random() < 0.5 else 1 / rng.uniform(2, 12)
    return np.where(age == 0, 1.0, np.where(age > 0, np.exp(-rate * np.abs(age).clip(1)), 0.0))


def _oscillation(rng: np.random.Generator) -> Taps:
    lags = np.arange(MEMORY)
    frequency, phase = rng.uniform(0.1, 1.5), rng.uniform(0, 2 * np.pi)
    return np.exp(-lags / rng.uniform(5, 30)) * np.cos(frequency * lags + phase)


KINDS: dict[str, Callable[[np.random.Generator], Taps]] = {
    "exponentials": _exponentials,
    "power law": _power_law,
    "delay": _delay,
    "oscillation": _oscillation,
}


def make_system(number: int) -> System:
    """System `number`: the kinds take turns, then white and coloured input, then the noise levels.

    Coloured inputs are autoregressions of order one (pole .5 to .95) or two (radius .7 to .95). There are
    1000 to 2000 rows.
    """
    rng = np.random.default_rng([6, number])
    kind = list(KINDS)[number % 4]
    coloured = bool(number // 4 % 2)
    snr = SNRS[number // 8 % 4]
    n = int(rng.integers(1000, 2001))
    memory = KINDS[kind](rng)
    drive = rng.normal(size=n + 2 * MEMORY)
    inputs = np.asarray(lfilter([1.0], _colour(rng) if coloured else [1.0], drive))[MEMORY:]
    inputs = inputs / inputs.std()
    output = np.asarray(lfilter(memory, [1.0], inputs))[MEMORY:]
    noise = rng.normal(size=n) * output.std() * 10 ** (-snr / 20)
    return System(kind, coloured, snr, inputs[MEMORY:], output + noise, memory[:LAGS])


def _colour(rng: np.random.Generator) -> list[float]:
    if rng.random() < 0.5:
        return [1.0, -rng.uniform(0.5, 0.95)]
    radius, angle = rng.uniform(0.7, 0.95), rng.uniform(0.2, 2.5)
    return [1.0, -2 * radius * np.cos(angle), radius**2]
