"""What a boundary is: which error, which threshold, and how much may be spent on finding it."""

from typing import Literal

from pydantic import Field, PositiveInt

from recollect.core import Config

EVENLY_SPREAD = 3
"""Runs that open a search: at the weakest strength, at the strongest, and half-way."""


class BoundaryConfig(Config):
    """The strength of a memory at which a model's error passes a threshold.

    Attributes:
        threshold: the NMSE at which a model counts as having failed.
        of: `error`, or `excess`: what the error has above the proven floor, and where no floor is proven
            the error itself.
        budget: runs a model may take on one series of strengths, all seeds together.
        draws: bootstrap samples behind each interval.
        coverage: probability with which an interval encloses the boundary.

    Example:
        >>> BoundaryConfig(threshold=0.2).budget
        12
    """

    threshold: float = Field(default=0.1, gt=0, lt=1)
    of: Literal["error", "excess"] = "error"
    budget: int = Field(default=12, ge=EVENLY_SPREAD)
    draws: PositiveInt = 400
    coverage: float = Field(default=0.95, gt=0, lt=1)
