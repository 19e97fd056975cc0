"""The table of normalised errors, as the terminal shows it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recollect.report import Result, results
from recollect.studies import Record

_WIDTH_WITH_INTERVALS = 100
_BORDERS = 4


def format_error(value: float | None) -> str:
    """Two or three significant digits, as short as possible."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.01 else f"{value:.0e}".replace("e-0", "e-")


def summary_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The summary as plain JSON: one object for each model and task."""
    return [
        {name: None if value in (math.inf, -math.inf) else value for name, value in asdict(result).items()}
        for result in results(records)
    ]


def print_summary(records: Sequence[Record], console: Console) -> None:
    """Tasks down, models across; the best model of each task marked, marks explained below.

    Where not all models fit side by side, they stand below one another in several tables.
    """
    found = results(records)
    with_intervals = console.width >= _WIDTH_WITH_INTERVALS
    tasks = list(dict.fromkeys(result.task for result in found))
    columns = {}
    for model in dict.fromkeys(record.model for record in records):
        by_task = {result.task: result for result in found if result.model == model}
        columns[model] = [_cell(by_task.get(task), with_intervals) for task in tasks]
    title = "Normalised test error (NMSE); lower is better, 1 is no better than zero"
    room = console.width - max(map(len, ["memory", *tasks])) - _BORDERS
    for models in _blocks({model: _width(model, cells) for model, cells in columns.items()}, room):
        table = Table("memory", *models, title=title)
        for column in table.columns:
            column.no_wrap = True
        for i, task in enumerate(tasks):
            table.add_row(task, *(columns[model][i] for model in models))
        console.print(table)
        title = None
    console.print(_legend(found, with_intervals), highlight=False, markup=False)


def _width(model: str, cells: list[Text]) -> int:
    """What a column takes of the terminal, with its border and margins."""
    return max(cell_len(model), *(cell.cell_len for cell in cells)) + 3


def _blocks(widths: Mapping[str, int], room: int) -> list[list[str]]:
    """Models in their order, as many together as there is room for, one at least.

    Example:
        >>> _blocks({"a": 5, "b": 5, "c": 9}, room=10)
        [['a', 'b'], ['c']]
    """
    blocks: list[list[str]] = []
    left = 0
    for model, width in widths.items():
        if not blocks or width > left:
            blocks.append([])
            left = room
        blocks[-1].append(model)
        left -= width
    return blocks


def _cell(result: Result | None, with_interval: bool) -> Text:
    if result is None:
        return Text("")
    if not result.has_error:
        return Text("diverged" if result.num_diverged else "failed", style="red")
    text = Text(format_error(result.nmse), style="bold green" if result.best else "")
    if result.best:
        text.append("★")
    if result.still_improving:
        text.append("*", style="yellow")
    if result.num_diverged:
        text.append("†", style="red")
    if with_interval and result.low is not None and result.high is not None:
        text.append(f" ±{format_error((result.high - result.low) / 2)}", style="not bold dim")
    return text


def _legend(found: Sequence[Result], with_intervals: bool) -> str:
    lines = ["★ lowest error of its row"]
    if any(result.still_improving for result in found):
        lines.append("* not converged: still improving when its steps ended; more would lower the error")
    if any(result.num_diverged for result in found):
        lines.append("† some runs diverged; the error is that of the last good checkpoint")
    if not with_intervals:
        return "\n".join([*lines, "Intervals are shown on a wider terminal and in the report."])
    for kind in sorted({result.interval_kind for result in found if result.interval_kind}):
        coverage = min(r.coverage or 0 for r in found if r.interval_kind == kind)
        lines.append(f"± half width of the interval {kind} ({coverage:.0%} or more)")
    return "\n".join(lines)
