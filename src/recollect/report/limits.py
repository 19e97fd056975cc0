"""What the records do not show, said beside what they show."""

from collections.abc import Iterator, Sequence

from recollect.report.results import OVER_TEST_SEQUENCES, Result
from recollect.studies.record import Record


def limits(records: Sequence[Record], found: Sequence[Result], pending: int = 0) -> list[str]:
    """Sentences on what was not tested, from the records and their results alone."""
    return [*_unfinished(records, pending), *_uncertain(found), *_untested(records, found)]


def _unfinished(records: Sequence[Record], pending: int) -> Iterator[str]:
    if pending:
        yield f"{_runs(pending)} of the study not finished: an empty cell is open, not lost."
    failed = sum(record.status == "failed" for record in records)
    if failed:
        yield f"{_runs(failed)} ended with an error, left out of every number; open the run to see why."
    diverged = sum(record.status == "diverged" for record in records)
    if diverged:
        yield f"{_runs(diverged)} diverged (NaN or infinity), counted with the last good error (marked †)."


def _uncertain(found: Sequence[Result]) -> Iterator[str]:
    improving = [result for result in found if result.still_improving]
    if improving:
        models = ", ".join(sorted({result.model for result in improving}))
        yield (
            f"{len(improving)} of {len(found)} results come from runs that were still improving at their "
            f"last step ({models}; marked *). More steps may lower them: they are no architecture's limit."
        )
    single = sum(result.interval_kind == OVER_TEST_SEQUENCES for result in found)
    if single:
        which = "Every result has" if single == len(found) else f"{single} of {len(found)} results have"
        yield (
            f"{which} one seed: the interval is over test sequences and says nothing about another "
            "initialisation."
        )
    coverage = min(
        (result.coverage for result in found if result.num_seeds > 1 and result.coverage), default=1.0
    )
    if coverage < 0.95:
        yield (
            "An interval over fewer than six seeds is the range of the seeds, and encloses the median with a "
            f"probability below 95 % (here {coverage:.0%} at least)."
        )


def _untested(records: Sequence[Record], found: Sequence[Result]) -> Iterator[str]:
    if found and all(result.num_rates == 1 for result in found):
        yield "One learning rate per model and task: none was searched for, and another may do better."
    measured = {result.model for result in found if result.nmse_long is not None}
    undefined = sorted({result.model for result in found} - measured)
    if undefined:
        names = ", ".join(undefined)
        yield f"No error beyond the training length for {names} (not defined, or not asked for)."
    lengths = sorted({record.facts["length"] for record in records if "length" in record.facts})
    if len(lengths) == 1:
        yield f"One training length only: T = {lengths[0]}."


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
