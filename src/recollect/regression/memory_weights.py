"""A memory function as regression weights: a sum of exponentials, or the values themselves."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from recollect.memory import ExponentialSum, exponential_sum_of, fit_exponential_sum
from recollect.regression.weights import Memory

BEYOND = 16
"""What leaving out late ages costs is measured over this many times the ages that are kept."""


@dataclass(frozen=True)
class MemoryWeights:
    """What a memory function became.

    Attributes:
        sum: the sum of exponentials, or `None` where none within the tolerance was found.
        taps: the values at the ages 0, 1, ..., for the case without a sum.
        error: relative error in l2 over the ages that were fitted; 0 where the sum is exact.
        length: how many ages were looked at.
        left_out: relative error in l2 of leaving out all later ages, over 16 times as many; 0 for a sum.
    """

    sum: ExponentialSum | None
    taps: Tensor
    error: float
    length: int
    left_out: float

    @property
    def description(self) -> str:
        """How the weights run, in a few words."""
        if self.sum is None:
            values = f"the values at {len(self.taps)} ages themselves"
            if self.left_out == 0:
                return values
            over = f"over {BEYOND * self.length} ages"
            return f"{values}, later ones left out: relative error {self.left_out:.1e} {over}"
        kind = "exactly"
        if self.error > 0:
            kind = f"fitted over {self.length} ages, relative error {self.error:.1e}"
        return f"{len(self.sum.poles)} exponentials, {kind}"


def memory_weights(config: Memory) -> MemoryWeights:
    """The fewest exponentials that reach the tolerance, else the values.

    Example:
        >>> from recollect.memory import Polynomial
        >>> memory_weights(Memory(function=Polynomial(alpha=0.6), tolerance=1e-3)).description
        '6 exponentials, fitted over 256 ages, relative error 2.7e-04'
    """
    return _memory_weights(config.canonical_json())


@lru_cache(maxsize=128)
def _memory_weights(json: str) -> MemoryWeights:
    """By a key that can be hashed: a layer asks several times, and a fit takes a while."""
    config = Memory.model_validate_json(json)
    taps = config.function.values(config.length)
    exact = exponential_sum_of(config.function)
    if exact is not None:
        return MemoryWeights(exact, taps, 0.0, config.length, 0.0)
    for num_terms in range(1, min(config.max_terms, config.length // 2) + 1):
        fit = fit_exponential_sum(taps, num_terms)
        error = float((fit.values(config.length) - taps).norm() / taps.norm())
        # A pole outside the unit circle would grow beyond the ages that were fitted.
        if error <= config.tolerance and bool((fit.poles.abs() <= 1).all()):
            return MemoryWeights(fit, taps, error, config.length, 0.0)
    known = config.function.values(BEYOND * config.length)
    left_out = float(known[config.length :].norm() / known.norm())
    kept = int(torch.nonzero(taps).max()) + 1
    return MemoryWeights(None, taps[:kept], 0.0, config.length, left_out)
