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
        yield f"{_runs(diverged)} diverged (NaN or infinity), counted with the last good score (marked †)."


def _uncertain(found: Sequence[Result]) -> Iterator[str]:
    improving = [result for result in found if result.still_improving]
    if improving:
        models = ", ".join(sorted({result.model for result in improving}))
        yield (
            f"{len(improving)} of {len(found)} results come from runs that were still improving at their "
            f"last step ({models}; marked *). More steps may better them: they are no architecture's limit."
        )
    single = [result for result in found if result.num_seeds == 1]
    if single:
        every = len(single) == len(found)
        which = "Every result has" if every else f"{len(single)} of {len(found)} results have"
        stated = any(result.interval_kind == OVER_TEST_SEQUENCES for result in single)
        interval = "the interval is over test sequences and" if stated else "there is no interval, and it"
        other = "initialisation" if any(result.is_trained for result in single) else "draw of the data"
        yield f"{which} one seed: {interval} says nothing about another {other}."
    coverage = min(
        (result.coverage for result in found if result.num_seeds > 1 and result.coverage), default=1.0
    )
    if coverage < 0.95:
        yield (
            "An interval over fewer than six seeds is the range of the seeds, and encloses the median with a "
            f"probability below 95 % (here {coverage:.0%} at least)."
        )


def _untested(records: Sequence[Record], found: Sequence[Result]) -> Iterator[str]:
    trained = [result for result in found if result.is_trained]
    if len(trained) < len(found):
        yield (
            f"{len(found) - len(trained)} of {len(found)} results are of untrained layers, measured as they "
            "are: what training could make of them is not shown."
        )
    if trained and all(result.num_rates == 1 for result in trained):
        yield "One learning rate per model and task: none was searched for, and another may do better."
    functional = [result for result in trained if result.family is not None]
    measured = {result.model for result in functional if result.value_long is not None}
    undefined = sorted({result.model for result in functional} - measured)
    if undefined:
        names = ", ".join(undefined)
        yield f"No error beyond the training length for {names} (not defined, or not asked for)."
    unknown = sum(result.floor_binds is None for result in functional)
    if 0 < unknown < len(functional):
        yield f"{unknown} of {len(functional)} results on memory functions were stored without their floor."
    lengths = training_lengths(records)
    if len(lengths) == 1:
        yield f"One training length only: T = {lengths[0]}."


def training_lengths(records: Sequence[Record]) -> list[int]:
    """Lengths that models were trained at, rising."""
    trained = [record for record in records if record.config["training"] is not None]
    return sorted({record.facts["length"] for record in trained if record.facts.get("length") is not None})


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
