"""The study `mqar-recipe` on this machine: what accuracy, in how many steps and seconds."""

import math
from statistics import median

from benchmarks.timing import markdown_table
from recollect.report.results import Result, results
from recollect.studies import LocalExecutor, Record, Store, find_study, run_study


def recipe(scale: str) -> str:
    """Run it (`full`, or one of its scales) and tabulate accuracy, success, steps and seconds to 99 %."""
    study = find_study("mqar-recipe")
    study = study if scale == "full" else study.scaled(scale)
    with Store("sqlite://") as store:
        records = run_study(study, store, LocalExecutor())
    rows = [_row(result, records) for result in results(records)]
    header = ["task", "layer", "rate", "accuracy, median", "range", "above 99 %", "steps to 99 %", "seconds"]
    return markdown_table(header, rows)


def _row(result: Result, records: list[Record]) -> list[str]:
    """One layer on one task, at the rate chosen on validation data."""
    chosen = [
        record
        for record in records
        if (record.task, record.model) == (result.task, result.model)
        and record.config["training"]["learning_rate"] == result.learning_rate
    ]
    scores = [score for record in chosen if (score := record.metrics.get("accuracy")) is not None]
    value = median(scores) if scores else math.nan
    between = f"{min(scores):.3f} to {max(scores):.3f}" if scores else ""
    solved = f"{sum(score > 0.99 for score in scores)} of {len(chosen)}"
    rate = "" if result.learning_rate is None else f"{result.learning_rate:g}"
    reached = [
        "" if number is None else f"{number:.0f}"
        for number in (result.steps_to_solve, result.seconds_to_solve)
    ]
    return [result.task, result.model, rate, f"{value:.3f}", between, solved, *reached]
