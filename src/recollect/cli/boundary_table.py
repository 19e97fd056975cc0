"""The table of failure boundaries, as the terminal shows it."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recollect.report.boundaries import (
    CAUSES,
    Cause,
    by_series,
    cause,
    interval,
    measured,
    passes,
    theory_words,
    untested,
    without_theory,
)
from recollect.report.floors import DEFECT, defects
from recollect.studies import ModelBoundary, Record

_BORDERS = 3
_WORDS = 14
"""Width in which the words of a boundary that does not cross stand on two lines."""
_WIDTH_WITH_ALPHA = 100
_SIGNS: dict[Cause, tuple[str, str]] = {
    "beyond": ("!", "bold red"),
    "architecture": ("⊥", "green"),
    "explicit": ("=", "green"),
    "optimisation": ("↑", "yellow"),
    "open": ("?", "dim"),
}
"""Behind a boundary, with its style."""


def boundary_rows(found: Iterable[ModelBoundary]) -> list[dict[str, Any]]:
    """The boundaries as plain JSON: one object for each model and series."""
    return [
        {
            "model": boundary.model,
            "series": boundary.series,
            "family": boundary.family,
            "kind": boundary.boundary.kind,
            "h95": boundary.boundary.strength,
            "low": boundary.boundary.low,
            "high": boundary.boundary.high,
            "alpha": boundary.alpha,
            "alpha_low": boundary.alpha_low,
            "alpha_high": boundary.alpha_high,
            "of": boundary.of,
            "threshold": boundary.threshold,
            "h95_range": [boundary.h95_low, boundary.h95_high],
            "num_runs": boundary.num_runs,
            "num_diverged": boundary.num_diverged,
            "num_failed": boundary.num_failed,
            "binding": boundary.theory.binds,
            "certain": boundary.certain,
            "possible": boundary.possible,
            "constructs": boundary.theory.constructs,
            "proven": [list(stretch) for stretch in boundary.theory.proven],
            "how": boundary.theory.how,
            "cause": cause(boundary),
        }
        for boundary in found
    ]


def print_boundaries(found: Sequence[ModelBoundary], records: Iterable[Record], console: Console) -> None:
    """Models down and series across, in several tables where they do not fit side by side.

    Below each boundary stands what theory says of its class, and on a wide terminal alpha. Runs below their
    floor come last.
    """
    series, models = by_series(found), list(dict.fromkeys(one.model for one in found))
    console.print(Text(_heading(found), style="italic"))
    cells = {(one.model, one.series): _cell(one, console.width >= _WIDTH_WITH_ALPHA) for one in found}
    widths = {
        title: max(cell_len(title), *(_width(cells[one.model, title]) for one in own))
        for title, own in series.items()
    }
    for titles in _blocks(widths, console.width - max(map(cell_len, ["model", *models])) - _BORDERS - 1):
        table = Table("model", *titles, show_lines=True)
        table.columns[0].no_wrap = True
        for model in models:
            table.add_row(model, *(cells.get((model, title), Text("")) for title in titles))
        console.print(table)
    for line in [*_legend(found), *untested(found)]:
        console.print(line, highlight=False, markup=False)
    if found_defects := defects(records):
        console.print("\n".join([*found_defects, DEFECT]), style="bold red", highlight=False, markup=False)


def _heading(found: Sequence[ModelBoundary]) -> str:
    return f"H95 at which the {' or '.join(dict.fromkeys(map(passes, found)))} [interval]"


def _cell(found: ModelBoundary, with_alpha: bool) -> Text:
    text = Text(measured(found), style="dim" if found.boundary.kind == "undecided" else "bold")
    if ends := interval(found):
        text.append(f" {ends}", style="not bold")
    if (why := cause(found)) is not None:
        sign, style = _SIGNS[why]
        text.append(f" {sign}", style=f"not bold {style}")
    if with_alpha and found.alpha is not None:
        text.append(f"\nalpha {found.alpha:.3g}", style="not bold dim")
    if theory := theory_words(found):
        text.append(f"\nclass {theory}", style="not bold dim")
    return text


def _width(cell: Text) -> int:
    """What a cell needs: words may be broken, numbers not."""
    return max(
        cell_len(line) if line[0].isdigit() else min(cell_len(line), _WORDS)
        for line in cell.plain.splitlines()
    )


def _blocks(widths: dict[str, int], room: int) -> list[list[str]]:
    """Series in their order, as many together as there is room for, one at least."""
    blocks: list[list[str]] = []
    left = 0
    for title, width in widths.items():
        if not blocks or width + _BORDERS > left:
            blocks.append([])
            left = room
        blocks[-1].append(title)
        left -= width + _BORDERS
    return blocks


def _legend(found: Sequence[ModelBoundary]) -> list[str]:
    shown = {cause(one) for one in found}
    lines = [f"{sign} {CAUSES[name]}" for name, (sign, _) in _SIGNS.items() if name in shown]
    if any(theory_words(one) for one in found):
        lines.append(
            "class a–b: the strength at which the best model of its class and size first fails, as far as "
            "that is known: not before a, where the explicit model does, nor after b, where all are proven to"
        )
    for reason, models in without_theory(found).items():
        lines.append(f"no theory: {', '.join(models)} ({reason})")
    return lines
