"""Failure boundaries: the strength of a memory at which a model's error passes a threshold.

`boundaries`, which reads a whole study, is exported by `recollect.studies`: a study holds a `BoundaryConfig`.
"""

from recollect.studies.boundary.config import BoundaryConfig
from recollect.studies.boundary.estimate import Boundary, Point, estimate
from recollect.studies.boundary.search import Asked, bracket, most_runs, search, search_error
from recollect.studies.boundary.series import Pair, Series, pairs_of, series_of

__all__ = [
    "Asked",
    "Boundary",
    "BoundaryConfig",
    "Pair",
    "Point",
    "Series",
    "bracket",
    "estimate",
    "most_runs",
    "pairs_of",
    "search",
    "search_error",
    "series_of",
]
