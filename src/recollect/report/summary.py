"""The results as a table."""

from collections.abc import Sequence

import pandas as pd

from recollect.report.results import results
from recollect.studies.record import Record

_TYPES = {
    "model": "string",
    "task": "string",
    "family": "string",
    "alpha": "float64",
    "h95": "float64",
    "learning_rate": "float64",
    "num_rates": "int64",
    "num_seeds": "int64",
    "nmse": "float64",
    "low": "float64",
    "high": "float64",
    "interval_kind": "string",
    "coverage": "float64",
    "nmse_long": "float64",
    "num_diverged": "int64",
    "num_failed": "int64",
    "still_improving": "bool",
    "best": "bool",
    "tied": "bool",
}


def summarise(records: Sequence[Record]) -> pd.DataFrame:
    """One row per model and task; the columns are the fields of `Result`, missing where they are None.

    Rows go by family, in a family from short to long memory, in a task from the lowest error up.

    Example:
        >>> len(summarise([]))
        0
    """
    return pd.DataFrame(
        [[getattr(result, name) for name in _TYPES] for result in results(records)], columns=list(_TYPES)
    ).astype(_TYPES)
