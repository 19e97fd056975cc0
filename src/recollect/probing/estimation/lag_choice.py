"""How many lags the data ask for: twice the fewest whose evidence is close to the best.

The second half shows where the memory ends.

All numbers of lags are compared on the same rows, those which have the largest number of lags: the normal
equations of fewer lags are blocks of those of the most.
"""

import numpy as np

from recollect.core import ConfigError
from recollect.probing.estimation.memory_fit import first_problem, scout
from recollect.probing.estimation.moments import NormalEquations
from recollect.probing.estimation.posterior import posterior
from recollect.probing.estimation.records import Records

_MOST, _MOST_COLUMNS, _ROWS_A_LAG, _FEWEST_ROWS = 512, 1024, 10, 30
_FEWEST = 16
"""Lags to look at where the rows allow: under a prior, those that are not needed cost little."""

_SCOUTS = ("dc", "heavy_dc")

_CLOSE = 3.0
"""Differences of log marginal likelihood that are no reason for more lags."""


def choose_lags(records: Records, noise: str) -> int:
    """Powers of two up to the limit of `most_lags` are tried, and that limit itself.

    The limit is also taken where memory still shows beyond the lags that were chosen.

    Raises:
        ConfigError: fewer than 30 rows in the longest sequence.
    """
    longest = max(stop - start for start, stop in records.spans)
    if longest < _FEWEST_ROWS:
        raise ConfigError(
            f"expected at least {_FEWEST_ROWS} rows without a gap, got {longest}: "
            f"give {_FEWEST_ROWS - longest} more, or say how many `lags` to look at."
        )
    most = most_lags(records)
    tried = [2**k for k in range(2, 10) if 2**k <= 0.75 * most] + [most]
    whole = first_problem(records, most, noise).problem.equations
    evidences = []
    for lags in tried:
        part = _fewer_lags(whole, most, lags)
        evidences.append(max(posterior(part, scout(part, lags, family)).evidence for family in _SCOUTS))
    best = max(evidences)
    needed = next(lags for lags, evidence in zip(tried, evidences, strict=True) if evidence > best - _CLOSE)
    chosen = min(most, max(2 * needed, _FEWEST))
    # A slow, weak end is worth no evidence lag by lag, and all the same shows as memory beyond.
    return most if first_problem(records, chosen, noise).goes_on else chosen


def most_lags(records: Records) -> int:
    """The largest number tried."""
    longest = max(stop - start for start, stop in records.spans)
    few = max(4, min(_FEWEST, longest // 4))
    return min(_MOST, _MOST_COLUMNS // records.inputs.shape[1], max(longest // _ROWS_A_LAG, few))


def _fewer_lags(equations: NormalEquations, most: int, lags: int) -> NormalEquations:
    kept = np.flatnonzero(np.arange(len(equations.cross)) % most < lags)
    return NormalEquations(
        gram=equations.gram[np.ix_(kept, kept)],
        cross=equations.cross[kept],
        energy=equations.energy,
        count=equations.count,
        degrees=equations.degrees,
    )
