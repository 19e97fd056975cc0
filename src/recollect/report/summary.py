r"""One row per model and task: what the model reaches, and how sure that is.

The learning rate is chosen on validation data, never on the test error that is then reported. Over n
seeds the reported value is the median, and its interval is between two order statistics,

$$P\big(x_{(r)} \le \mathrm{median} \le x_{(n+1-r)}\big) = 1 - 2 \sum_{i<r} \binom{n}{i} 2^{-n} ,$$

for the largest r that keeps the coverage at 95 % (Thompson 1936). It assumes nothing about the
distribution of the errors, which is bimodal where some seeds find the solution and others do not.
Below six seeds no interval reaches 95 %: it is then the whole range, and `coverage` says what it is worth.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from recollect.report.runs import runs_table
from recollect.studies.record import Record

OVER_SEEDS = "over seeds"
OVER_TEST_SEQUENCES = "over test sequences"

FAMILIES = ("exponential", "polynomial", "impulse", "airy")
"""The order in which families are shown; others follow in alphabetical order."""

_COVERAGE = 0.95
_STANDARD_ERRORS = 1.96
_TYPES = {
    "task": "string",
    "family": "string",
    "alpha": "float64",
    "h95": "float64",
    "model": "string",
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
}


def summarise(records: Sequence[Record]) -> pd.DataFrame:
    """Median test error of every model on every task, at the learning rate that validation chose.

    Columns:
        task, family, alpha, h95: the task; rows go by family, and in a family from short to long memory.
        model: its label; in a task, rows go from the lowest error to the highest.
        learning_rate: the one with the lowest median validation error over its seeds, of `num_rates`.
        num_seeds: runs at that rate that ended, those that diverged included.
        nmse, low, high: median over seeds and its interval; infinite where the median run has no error
            (it diverged before its first evaluation), missing where every run failed.
        interval_kind, coverage: `over test sequences` (one seed: 1.96 standard errors) or `over seeds`.
        nmse_long: median error at the longer test length; missing where it is not defined.
        num_diverged, num_failed: runs at that rate, and at any rate, respectively.
        still_improving: whether some run at that rate had not converged at its last step.
        best: the lowest error of its task.
        tied: not the best, but the interval overlaps that of the best: the data cannot tell them apart.

    Example:
        >>> len(summarise([]))
        0
    """
    runs = runs_table(records)
    rows = [_entry(group) for _, group in runs.groupby(["task", "model"], sort=False)]
    table = pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)
    return _ordered(_compared(table)).reset_index(drop=True)


def interval_over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Order statistics around the median, and the probability with which they enclose it.

    Example:
        >>> interval_over_seeds([0.3, 0.1, 0.2])
        (0.1, 0.3, 0.75)
    """
    ordered = sorted(values)
    count = len(ordered)
    ranks = range(1, (count + 1) // 2 + 1)
    enough = [rank for rank in ranks if _coverage(rank, count) >= _COVERAGE]
    rank = max(enough, default=1)
    return ordered[rank - 1], ordered[count - rank], _coverage(rank, count)


def _coverage(rank: int, count: int) -> float:
    return float(1 - 2 * binom.cdf(rank - 1, count, 0.5))


def _entry(group: pd.DataFrame) -> dict[str, Any]:
    first = group.iloc[0]
    ended = group[group["status"] != "failed"]
    row: dict[str, Any] = {name: first[name] for name in ("task", "family", "alpha", "h95", "model")}
    row |= {"num_rates": group["learning_rate"].nunique(), "num_failed": len(group) - len(ended)}
    if ended.empty:
        return row | {"num_seeds": 0, "num_diverged": 0, "still_improving": False}
    rate = _chosen_rate(ended)
    chosen = ended[ended["learning_rate"] == rate]
    return row | {
        "learning_rate": rate,
        "num_seeds": len(chosen),
        **_estimate(chosen),
        "nmse_long": chosen["nmse_long"].median(),
        "num_diverged": int((chosen["status"] == "diverged").sum()),
        "still_improving": bool(chosen["still_improving"].fillna(False).any()),
    }


def _chosen_rate(ended: pd.DataFrame) -> float:
    """Lowest median validation error; of equal ones the smallest rate, the safer of the two."""
    errors = ended["validation_nmse"].fillna(np.inf)
    medians = errors.groupby(ended["learning_rate"]).median()
    return float(medians.sort_index().idxmin())


def _estimate(chosen: pd.DataFrame) -> dict[str, Any]:
    """Median and interval. A run without an error counts as infinitely bad, so it cannot help its model."""
    errors = chosen["nmse"].fillna(np.inf).tolist()
    if len(errors) > 1:
        low, high, coverage = interval_over_seeds(errors)
        kind = OVER_SEEDS
    else:
        spread = _STANDARD_ERRORS * float(chosen["nmse_se"].fillna(0).iloc[0])
        low, high, coverage = max(errors[0] - spread, 0.0), errors[0] + spread, _COVERAGE
        kind = OVER_TEST_SEQUENCES
    nmse = float(np.median(errors))
    return {"nmse": nmse, "low": low, "high": high, "interval_kind": kind, "coverage": coverage}


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    """With `best` and `tied`: intervals that overlap that of the lowest error in their task."""
    finite = table[np.isfinite(table["nmse"])]
    winners = finite.loc[finite.groupby("task")["nmse"].idxmin()]
    limit = table["task"].map(winners.set_index("task")["high"])
    table["best"] = table.index.isin(winners.index)
    table["tied"] = ~table["best"] & (table["low"] <= limit)
    return table


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """By family, then from short to long memory, then from the lowest error to the highest."""
    known = {family: place for place, family in enumerate(FAMILIES)}
    return (
        table.assign(_known=table["family"].map(known).fillna(len(known)).astype(int))
        .sort_values(["_known", "family", "h95", "alpha", "task", "nmse", "model"])
        .drop(columns="_known")
    )


def families_in(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows by family, in the order shown, where alpha says how strong the dependence is."""
    rows = summary.dropna(subset=["family", "alpha"])
    for family in rows["family"].unique():
        yield family, rows[rows["family"] == family]
