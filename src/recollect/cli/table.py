"""The tables of scores, one for each criterion, as the terminal shows them."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recollect.report import Result, results
from recollect.report.floors import (
    DEFECT,
    NEGLIGIBLE,
    STANDINGS,
    Standing,
    compared_error,
    defects,
    is_bounded,
    overall_standings,
    standing,
    with_negligible_floor,
    without_floor,
)
from recollect.report.labels import distinguishing, in_order
from recollect.report.results import SOLVED_ABOVE
from recollect.report.scores import (
    by_criterion,
    format_score,
    format_value,
    guesses,
    heading,
    mean_scores,
    mean_title,
)
from recollect.studies import Record

_WIDTH_WITH_INTERVALS = 100
_WIDTH_WITH_ROWS_OF_THREE = 64
_CELL_BORDERS = 3
_GUESS = "guess"
_SIGNS: dict[Standing | None, tuple[str, str]] = {
    "below": (" !", "bold red"),
    "floor": (" ⊥", "green"),
    "explicit": (" =", "green"),
    "above": (" ↑", "yellow"),
}
"""Behind a cell, with its style; nothing where it is undecided."""


def summary_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The summary as plain JSON: one object for each model and task."""
    return [
        {name: None if value in (math.inf, -math.inf) else value for name, value in asdict(result).items()}
        for result in results(records)
    ]


def print_summary(records: Sequence[Record], console: Console) -> None:
    """A table for each criterion; the best model of each task marked, marks explained below.

    Tasks down and models across. Where not all models fit side by side, they stand down and the tasks
    across if that takes fewer tables, else the models stand below one another in several tables.
    """
    found = results(records)
    with_intervals = console.width >= _WIDTH_WITH_INTERVALS
    models = list(dict.fromkeys(record.model for record in records))
    for part in by_criterion(found).values():
        console.print(Text(heading(part[0].criterion), style="italic"))
        _print(_layout(part, models, with_intervals), {result.task for result in part}, console)
    console.print(_legend(found, with_intervals), highlight=False, markup=False)
    _print_floors(found, console)
    for sentence in (found_defects := defects(records)):
        console.print(sentence, style="bold red", highlight=False, markup=False)
    if found_defects:
        console.print(DEFECT, style="bold red", highlight=False, markup=False)


class _Layout(NamedTuple):
    """A table: heading of the first column, names of the rows, columns by their heading."""

    first: str
    rows: list[str]
    columns: dict[str, list[Text]]


def _layout(found: Sequence[Result], models: Sequence[str], with_intervals: bool) -> _Layout:
    """A column of what guessing gives where that is known, then the models.

    The last row is the mean where that is a number of its own.
    """
    means, known = mean_scores(found), guesses(found)
    tasks = list(dict.fromkeys(result.task for result in found))
    columns: dict[str, list[Text]] = {}
    if known:
        columns[_GUESS] = [Text(format_score(known[task], found[0].criterion), style="dim") for task in tasks]
        columns[_GUESS] += [Text("")] if means else []
    for model in models:
        by_task = {result.task: result for result in found if result.model == model}
        if by_task:
            last = [Text(format_score(means[model], "accuracy"))] if means else []
            columns[model] = [*(_cell(by_task.get(task), with_intervals) for task in tasks), *last]
    first = "memory" if all(result.family for result in found) else "task"
    return _Layout(first, [*tasks, *([mean_title(found)] if means else [])], columns)


def _turned(layout: _Layout, tasks: Set[str]) -> _Layout:
    """Models down and tasks across, under the part of their names in which they differ."""
    short = distinguishing([row for row in layout.rows if row in tasks])
    columns = {
        short.get(row, row): [cells[i] for cells in layout.columns.values()]
        for i, row in enumerate(layout.rows)
    }
    return _Layout("model", list(layout.columns), columns)


def _print(layout: _Layout, tasks: Set[str], console: Console) -> None:
    """Turned if that takes fewer tables, in as many as the width asks for."""
    layout = min(layout, _turned(layout, tasks), key=lambda layout: len(_blocks_of(layout, console)))
    for block in _blocks_of(layout, console):
        table = Table(layout.first, *block)
        for column in table.columns:
            column.no_wrap = True
        for i, row in enumerate(layout.rows):
            table.add_row(row, *(layout.columns[name][i] for name in block))
        console.print(table)


def _blocks_of(layout: _Layout, console: Console) -> list[list[str]]:
    """The columns of each table; guesses stand in each."""
    fixed = [name for name in layout.columns if name == _GUESS]
    widths = {name: _width(name, cells) for name, cells in layout.columns.items()}
    first = max(map(cell_len, [layout.first, *layout.rows])) + _CELL_BORDERS
    room = console.width - first - 1 - sum(widths.pop(name) for name in fixed)
    return [fixed + block for block in _blocks(widths, room)]


def _width(name: str, cells: Sequence[Text]) -> int:
    """What a column takes of the terminal, with its border and margins."""
    return max(cell_len(name), *(cell.cell_len for cell in cells)) + _CELL_BORDERS


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
    if not result.has_value:
        return Text(format_value(result), style="red")
    text = Text(format_value(result), style="bold green" if result.best else "")
    if result.best:
        text.append("★")
    if result.still_improving:
        text.append("*", style="yellow")
    if result.num_diverged:
        text.append("†", style="red")
    if result.solved:
        text.append(f" {result.solved}", style="not bold dim")
    if with_interval and result.low is not None and result.high is not None:
        half = format_score((result.high - result.low) / 2, result.criterion)
        text.append(f" ±{half}", style="not bold dim")
    return text


def _legend(found: Sequence[Result], with_intervals: bool) -> str:
    lines = ["★ best of its task"]
    if any(result.still_improving for result in found):
        lines.append("* not converged: still improving when its steps ended; more would help")
    if any(result.num_diverged for result in found):
        lines.append("† some runs diverged; the score is that of the last good checkpoint")
    if any(result.at_least for result in found):
        lines.append("≥ beyond the largest load that was measured")
    if any(result.solved for result in found):
        lines.append(f"2/3: two of three seeds reach an accuracy above {SOLVED_ABOVE:g}")
    if not with_intervals:
        return "\n".join([*lines, "Intervals are shown on a wider terminal and in the report."])
    for kind in sorted({result.interval_kind for result in found if result.interval_kind}):
        coverage = min(r.coverage or 0 for r in found if r.interval_kind == kind)
        lines.append(f"± half width of the interval {kind} ({coverage:.0%} or more)")
    return "\n".join(lines)


def _print_floors(found: Sequence[Result], console: Console) -> None:
    """Error, floor and excess where a floor makes a difference, then where every model stands.

    Nothing where no run says anything of floors.
    """
    bounded = [result for result in found if is_bounded(result) and result.has_value]
    if bounded:
        heading_text = f"Error / floor / excess, where a floor of {NEGLIGIBLE:g} or more is proven"
        if any(result.nmse_exact is not None for result in bounded):
            heading_text += "; the expected error where it is known exactly, else that of the test"
        console.print(Text(heading_text, style="italic"))
        separator = " / " if console.width >= _WIDTH_WITH_ROWS_OF_THREE else "\n"
        _print(_floor_layout(bounded, separator), {result.task for result in bounded}, console)
    for line in _floor_lines(found):
        console.print(line, highlight=False, markup=False)


def _floor_layout(bounded: Sequence[Result], separator: str) -> _Layout:
    tasks = list(dict.fromkeys(result.task for result in bounded))
    by_place = {(result.task, result.model): result for result in bounded}
    columns = {
        model: [_floor_cell(by_place.get((task, model)), separator) for task in tasks]
        for model in in_order(result.model for result in bounded)
    }
    return _Layout("memory", tasks, columns)


def _floor_cell(result: Result | None, separator: str) -> Text:
    if result is None:
        return Text("")
    levels = (compared_error(result), result.floor, result.excess)
    sign, style = _SIGNS.get(standing(result), ("", ""))
    return Text(separator.join(format_score(level, "nmse") for level in levels) + sign, style=style)


def _floor_lines(found: Sequence[Result]) -> list[str]:
    stood = overall_standings(found)
    if not stood and not without_floor(found):
        return []
    signs = {name: sign.strip() for name, (sign, _) in _SIGNS.items()}
    lines = [f"{signs.get(name, '')} {STANDINGS[name]}: {models}".lstrip() for name, models in stood.items()]
    small = with_negligible_floor(found)
    lines += [f"floor below {NEGLIGIBLE:g} on every task: {', '.join(small)}"] if small else []
    lines += [f"no floor: {', '.join(names)} ({reason})" for reason, names in without_floor(found).items()]
    return lines
