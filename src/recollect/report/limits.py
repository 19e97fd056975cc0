"""What the records do not show, said beside what they show."""

from collections.abc import Iterator, Sequence

import pandas as pd

from recollect.report.summary import OVER_TEST_SEQUENCES
from recollect.studies.record import Record


def limits(records: Sequence[Record], summary: pd.DataFrame, pending: int = 0) -> list[str]:
    """Sentences on what was not tested, from the records alone."""
    return [
        *_unfinished(records, pending),
        *_uncertain(summary),
        *_untested(records, summary),
    ]


def _unfinished(records: Sequence[Record], pending: int) -> Iterator[str]:
    if pending:
        yield f"{_runs(pending)} of the study {_are(pending)} not finished: cells without a value are open, not lost."
    failed = sum(record.status == "failed" for record in records)
    if failed:
        yield f"{_runs(failed)} ended with an error and {_are(failed)} left out of every number; the table of runs says why."
    diverged = sum(record.status == "diverged" for record in records)
    if diverged:
        yield f"{_runs(diverged)} diverged (NaN or infinity) and {'counts' if diverged == 1 else 'count'} with the last good error (marked †)."


def _uncertain(summary: pd.DataFrame) -> Iterator[str]:
    improving = summary[summary["still_improving"]]
    if len(improving):
        models = ", ".join(sorted(improving["model"].unique()))
        yield (
            f"{len(improving)} of {len(summary)} results come from runs that were still improving at their last step "
            f"({models}; marked *): more steps may lower them, so they are not an architecture's limit."
        )
    single = summary[summary["interval_kind"] == OVER_TEST_SEQUENCES]
    if len(single):
        which = "Every result has" if len(single) == len(summary) else f"{len(single)} results have"
        yield f"{which} one seed: the interval is over test sequences and says nothing about another initialisation."
    coverage = summary.loc[summary["num_seeds"] > 1, "coverage"]
    if len(coverage) and coverage.min() < 0.95:
        yield (
            f"Intervals over fewer than six seeds are the range of the seeds; they enclose the median with "
            f"probability {coverage.min():.0%} at least, not 95 %."
        )


def _untested(records: Sequence[Record], summary: pd.DataFrame) -> Iterator[str]:
    if len(summary) and summary["num_rates"].max() == 1:
        yield "One learning rate per model and task: no rate was searched, and another one may do better."
    undefined = summary.groupby("model")["nmse_long"].agg(lambda errors: errors.isna().all())
    names = [str(name) for name in undefined.index[undefined]]
    if names:
        yield f"No error beyond the training length for {', '.join(names)} (not defined, or not asked for)."
    lengths = sorted({record.facts["length"] for record in records if "length" in record.facts})
    if len(lengths) == 1:
        yield f"One training length only: T = {lengths[0]}."


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
