"""The tables of `recollect floor`, as the terminal shows them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from recollect.cli.console import out
from recollect.floors import ModelClass, SizeAnswer
from recollect.report.charts.floor_by_size import SMALLEST

_BAR_WIDTH = 16
_LAW = (
    "law: C m^.45 exp(-π √((2α-1) m)), squared, C that of one state. Leading order on an infinite horizon; a "
    "finite one needs fewer states. Derived and checked here, not in the literature."
)


def print_floors(name: str, unit: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of one class. Bars: an error that is unavoidable is solid, one that is open is light."""
    if not rows[0]["binding"]:
        _print_unbounded(name, rows[0]["how"])
        return
    theorems, bottom = _Theorems(row["how"] for row in rows), _bottom(rows)
    headings = ["lower", "attained", *(["law"] if "law" in rows[0] else [])]
    table = _table(f"{name}: size in {unit}", "size", *headings)
    table.add_column(f"{bottom:.0e} … 1", width=_BAR_WIDTH, no_wrap=True)
    table.add_column("bound")
    for row in rows:
        numbers = [_number(row[heading]) for heading in headings]
        bar = _bar(row["lower"], row["attained"], bottom)
        table.add_row(str(row["size"]), *numbers, bar, theorems.letter(row["how"]))
    out.print(table)
    theorems.print()


def print_answers(classes: dict[str, ModelClass], answers: dict[str, SizeAnswer], target: float) -> None:
    """A row for each class: the least size that is not proven unable, and one that suffices."""
    binding = {name: answer for name, answer in answers.items() if answer.binding}
    theorems = _Theorems(answer.how for answer in binding.values())
    table = _table(f"smallest size for an NMSE of {target:g}", "class", "needs", "suffices", "attained")
    table.add_column("size in")
    table.add_column("bound")
    for name, answer in binding.items():
        needed = answer.impossible_below or 1
        needs = f"≥ {needed}" if needed <= answer.max_size else f"> {answer.max_size}"
        suffices = str(answer.attained_at or f"none to {answer.max_size}")
        attained = _number(answer.floors[answer.deciding_size].attained)
        letter = theorems.letter(answer.how)
        table.add_row(name, needs, suffices, attained, classes[name].unit, letter)
    if binding:
        out.print(table)
        theorems.print()
    for name, answer in answers.items():
        if not answer.binding:
            _print_unbounded(name, answer.how)


def print_key(rows: Sequence[Mapping[str, Any]]) -> None:
    """How to read the tables: the bars, and the asymptotic law if there is one."""
    if any(row["binding"] for row in rows):
        out.print("█ no model has less   ░ open, up to an explicit model", style="dim", highlight=False)
    if any("law" in row for row in rows):
        out.print(_LAW, style="dim", highlight=False, markup=False)


def _print_unbounded(name: str, reason: str) -> None:
    out.print(Text.assemble((name, "bold"), f": no floor; {reason}.\n"), highlight=False)


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(first, title=title, title_justify="left", show_edge=False, title_style="bold")
    table.columns[0].justify = "right" if first == "size" else "left"
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


class _Theorems:
    """A letter for each theorem; what differs from size to size in its words is a number, here n."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.words: dict[str, set[str]] = {}
        for how in reasons:
            self.words.setdefault(_without_numbers(how), set()).add(how)

    def letter(self, how: str) -> str:
        return chr(ord("a") + list(self.words).index(_without_numbers(how)))

    def print(self) -> None:
        for general, found in self.words.items():
            text = next(iter(found)) if len(found) == 1 else general
            out.print(f"{self.letter(general)}: {text}", style="dim", highlight=False, markup=False)
        out.print()


def _without_numbers(how: str) -> str:
    return re.sub(r"\d+(\.\d+)?(e-?\d+)?", "n", how)


def _bottom(rows: Sequence[Mapping[str, Any]]) -> float:
    """The power of ten, below 1, at which the bars of a table begin."""
    values = [row[name] for row in rows for name in ("lower", "attained") if row[name]]
    smallest = max(SMALLEST, min(values, default=0.1))
    return min(0.1, 10.0 ** math.floor(math.log10(smallest)))


def _bar(lower: float, attained: float | None, bottom: float) -> Text:
    """Errors on a logarithmic axis from `bottom` to 1: solid up to `lower`, light up to `attained`."""

    def cells(error: float) -> int:
        return round(_BAR_WIDTH * (1 - math.log(min(max(error, bottom), 1.0)) / math.log(bottom)))

    solid, end = cells(lower), cells(1.0 if attained is None else attained)
    return Text("█" * solid + "░" * (end - solid))


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if value == 0 or value >= 1e-3 else f"{value:.1e}"
