"""The terminal page of `recollect probe`, from the document alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from recollect.cli.console import out
from recollect.cli.lag_plot import lag_plot
from recollect.report.memory_numbers import NamedNumber, horizons, named_numbers
from recollect.report.probe.page import dependences

Document = Mapping[str, Any]

_FEWEST_SHOWN = 16
_BAR_WIDTH = 40
_MOST_BARS = 8


def print_probe(document: Document) -> None:
    """Sentences, the memory function, its numbers, and what lags are worth to the output."""
    out.print(Text.assemble((document["name"], "bold"), f": {_facts(document)}\n"), highlight=False)
    for sentence in document["sentences"]:
        out.print(sentence, highlight=False, markup=False)
        out.print()
    _print_memory(document)
    _print_numbers([*named_numbers(document), *dependences(document)])
    if document["bracket"]:
        _print_bracket(document)


def _facts(document: Document) -> str:
    channels = document["channels"]
    size = f"{channels['inputs']} in, {channels['outputs']} out"
    return f"{document['estimator']}, {document['length']} lags, {document['samples']} sequences, {size}"


def _print_memory(document: Document) -> None:
    """Signed where there is one channel, else the magnitude over all of them."""
    channels = document["memory_function"]
    is_alone = len(channels) == 1
    found = channels[0] if is_alone else document["magnitude"]
    h95 = horizons(document)["H95"]
    reach = document["length"] if h95 is None else math.ceil(1.5 * h95)
    heading = "by lag" if is_alone else "by lag: its magnitude, all channels together"
    out.print(Text.assemble(("Memory function", "bold"), f", {heading}"), highlight=False)
    for line in lag_plot(
        found["values"],
        found["lower"],
        found["upper"],
        shown=min(document["length"], max(_FEWEST_SHOWN, reach)),
        horizon=None if h95 is None else max(round(h95), 1),
    ):
        out.print(line, highlight=False, markup=False)
    percent = f"{100 * document['confidence']:g} %"
    out.print(f"█ the {percent} band excludes 0   ░ it does not\n", style="dim", highlight=False)


def _print_numbers(numbers: Sequence[NamedNumber]) -> None:
    grid = Table.grid(padding=(0, 3))
    for number in numbers:
        interval = f" ({number.interval})" if number.interval else ""
        grid.add_row(number.name, Text(f"{number.value}{interval}"))
    out.print(Text("Numbers", style="bold"))
    out.print(grid)
    out.print()


def _print_bracket(document: Document) -> None:
    """The lags that are worth most, by the upper bound: solid at least, light at most."""
    bracket = document["bracket"]
    pairs = [*zip(bracket["lower"], bracket["upper"], strict=True)]
    largest = max((upper for _, upper in pairs), default=0.0)
    if largest <= 0:
        return
    worth = sorted(range(len(pairs)), key=lambda lag: -pairs[lag][1])[:_MOST_BARS]
    table = Table("lag", show_edge=False, title_justify="left", title_style="bold")
    table.title = "Share of the output's variance due to a lag, the largest"
    table.columns[0].justify = "right"
    table.add_column("at least", justify="right")
    table.add_column("at most", justify="right")
    table.add_column("", width=_BAR_WIDTH, no_wrap=True)
    for lag in sorted(worth):
        lower, upper = pairs[lag]
        solid, end = (round(_BAR_WIDTH * share / largest) for share in (lower, upper))
        table.add_row(str(lag), f"{lower:.3g}", f"{upper:.3g}", "█" * solid + "░" * (end - solid))
    out.print(table)
    out.print("█ linear in the lag   ░ at most, content included\n", style="dim", highlight=False)
