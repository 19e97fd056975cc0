"""The boundaries of a study: one for each model and series of memories, beside what theory says."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recollect.core import ConfigError
from recollect.studies.boundary.config import BoundaryConfig
from recollect.studies.boundary.estimate import Boundary, Point, estimate
from recollect.studies.boundary.search import search_error
from recollect.studies.boundary.series import Pair, Series, pairs_of
from recollect.studies.boundary.theory import Theory, theory_of
from recollect.studies.record import Record
from recollect.studies.study import Study

_SMALLEST = 1e-300


@dataclass(frozen=True)
class ModelBoundary:
    """Where one model fails along one series of memories. Strengths are H95, in lags.

    Attributes:
        model: its title.
        series: title of the series: the family of its memory functions, and what else tells it from others.
        family: of its memory functions.
        boundary: kind, H95* and interval.
        alpha, alpha_low, alpha_high: the same as alpha, between the grid's strengths by interpolation.
        threshold: the error that counts as failure.
        of: `error` or `excess`.
        h95_low, h95_high: the range that was searched.
        num_runs: runs that the estimate is made from.
        num_diverged: those of them that diverged: they count as failures.
        num_failed: runs that ended with an error: they are left out.
        theory: what is proven and what is constructed, on the grid.
        points: the runs.
    """

    model: str
    series: str
    family: str
    boundary: Boundary
    alpha: float | None
    alpha_low: float | None
    alpha_high: float | None
    threshold: float
    of: str
    h95_low: int
    h95_high: int
    num_runs: int
    num_diverged: int
    num_failed: int
    theory: Theory
    points: tuple[Point, ...]

    @property
    def certain(self) -> int | None:
        """H95 from which on every model of the class is proven to fail, at all strengths of the grid."""
        return self.theory.certain

    @property
    def possible(self) -> int | None:
        """H95 at which the explicit construction fails first."""
        return self.theory.possible

    @property
    def verdict(self) -> str:
        """The boundary in words."""
        found = self.boundary
        match found.kind:
            case "crosses":
                return f"fails from H95 = {found.strength:.3g}"
            case "never_fails":
                return f"never fails up to H95 = {self.h95_high}"
            case "fails_everywhere":
                return f"fails everywhere from H95 = {self.h95_low}"
            case "undecided":
                return "too few runs to say"


def boundaries(study: Study, records: Iterable[Record]) -> list[ModelBoundary]:
    """The boundary of every model along every series of a study, series outermost.

    Records of other studies may be among them and are not read.

    Raises:
        ConfigError: a study without `boundary`.
    """
    if study.boundary is None:
        raise ConfigError(
            f"the study {study.name} has no `boundary`: add one, e.g. `boundary: {{threshold: 0.1}}`."
        )
    by_id = {record.id: record for record in records}
    return [_boundary(pair, study.boundary, by_id) for pair in pairs_of(study.runs())]


def _boundary(pair: Pair, config: BoundaryConfig, records: Mapping[str, Record]) -> ModelBoundary:
    series = pair.series
    ended = [
        (h95, records[run_id])
        for h95, ids in zip(series.h95s, pair.ids, strict=True)
        for run_id in ids
        if run_id in records
    ]
    used = [(h95, record) for h95, record in ended if record.status != "failed"]
    points = tuple(Point(h95, _log(search_error(record, config)), record.seed) for h95, record in used)
    found = estimate(
        points,
        config.threshold,
        series.h95s[0],
        series.h95s[-1],
        draws=config.draws,
        coverage=config.coverage,
    )
    return ModelBoundary(
        model=pair.model,
        series=series.title,
        family=series.family,
        boundary=found,
        alpha=_alpha_at(found.strength, series),
        alpha_low=_alpha_at(found.low, series),
        alpha_high=_alpha_at(found.high, series),
        threshold=config.threshold,
        of=config.of,
        h95_low=series.h95s[0],
        h95_high=series.h95s[-1],
        num_runs=len(used),
        num_diverged=sum(record.status == "diverged" for _, record in used),
        num_failed=len(ended) - len(used),
        theory=theory_of(pair, config, [record for _, record in used]),
        points=points,
    )


def _log(error: float) -> float:
    """An excess may be negative by chance: it is then as small as any."""
    return math.log(max(error, _SMALLEST))


def _alpha_at(h95: float | None, series: Series) -> float | None:
    """Alpha at an H95 within the grid, along a power of H95 between two neighbours."""
    if h95 is None:
        return None
    after = min(max(1, bisect_left(series.h95s, h95)), len(series.h95s) - 1)
    (h0, h1), (a0, a1) = series.h95s[after - 1 : after + 1], series.alphas[after - 1 : after + 1]
    share = math.log(h95 / h0) / math.log(h1 / h0)
    alpha = (1 - share) * a0 + share * a1 if min(a0, a1) <= 0 else a0 ** (1 - share) * a1**share
    return float(f"{alpha:.9g}")
