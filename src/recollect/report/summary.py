"""The results as a table."""

from collections.abc import Sequence

import pandas as pd

from recollect.report.results import results
from recollect.report.runs import FACTS
from recollect.studies.record import Record

_TYPES = {
    "criterion": "string",
    "learning_rate": "float64",
    "num_rates": "int64",
    "num_seeds": "int64",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "interval_kind": "string",
    "coverage": "float64",
    "value_long": "float64",
    "success": "float64",
    "steps_to_solve": "float64",
    "seconds_to_solve": "float64",
    "num_parameters": "float64",
    "state_bytes": "float64",
    "num_diverged": "int64",
    "num_failed": "int64",
    "still_improving": "bool",
    "at_least": "bool",
    "nmse_exact": "float64",
    "floor": "float64",
    "floor_attained": "float64",
    "floor_binds": "boolean",
    "floor_how": "string",
    "excess": "float64",
    "excess_low": "float64",
    "excess_high": "float64",
    "below_floor": "bool",
    "steps_to_half": "float64",
    "best": "bool",
    "tied": "bool",
}


def summarise(records: Sequence[Record]) -> pd.DataFrame:
    """One row per model and task: the facts of the task, then the fields of `Result`, missing where None.

    `value`, `low` and `high` are in the unit of the row's `criterion`. Rows go as those of `results`.

    Example:
        >>> len(summarise([]))
        0
    """
    types = {"model": "string", "task": "string", **FACTS, **_TYPES}
    rows = [
        [result.model, result.task]
        + [result.facts.get(name) for name in FACTS]
        + [getattr(result, name) for name in _TYPES]
        for result in results(records)
    ]
    return pd.DataFrame(rows, columns=list(types)).astype(types)
