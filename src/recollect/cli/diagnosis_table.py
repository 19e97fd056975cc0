"""The terminal page of `recollect diagnose`: the answer first, then the evidence, from the document alone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from recollect.cli.console import out
from recollect.cli.lag_plot import lag_plot
from recollect.diagnosis.sentences import counted, family_title, listed, number, percent, sized

Document = Mapping[str, Any]

_COLUMNS = (
    "needs: every smaller size is proven unable. suffices: the smallest that was built. state: numbers "
    "carried from a position to the next. MACs: multiply-adds a position."
)


def print_diagnosis(document: Document) -> None:
    """Sentences, warnings, memory function, numbers, families and, where it was asked for, confirmation."""
    _print_heading(document["series"])
    for sentence in document["sentences"]:
        out.print(sentence, highlight=False, markup=False)
        out.print()
    _print_list(document["warnings"], "Warnings", "yellow")
    if document["memory_found"]:
        _print_memory(document)
    _print_numbers(document)
    if document["recommendations"]:
        _print_families(document)
    if document["confirmation"] is not None:
        _print_confirmation(document["confirmation"])
    _print_list(document["series"]["notes"], "The data", "dim")


def memory_functions(document: Document) -> dict[str, Mapping[str, Sequence[float]]]:
    """The memory function of each input by its name, also where there is only one."""
    found, names = document["memory_function"], document["series"]["inputs"]
    return {names[0]: found} if len(names) == 1 else found


def _print_heading(series: Document) -> None:
    sequences = f" in {counted(series['sequences'], 'sequence')}" if series["sequences"] > 1 else ""
    step = f", step {series['step']}" if series["step"] else ""
    facts = f" from {listed(series['inputs'])}, {counted(series['rows'], 'row')}{sequences}{step}\n"
    out.print(Text.assemble((series["target"], "bold"), facts), highlight=False)


def _print_list(sentences: Sequence[str], title: str, style: str) -> None:
    if not sentences:
        return
    out.print(Text(title, style="bold"))
    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row("•", Text(sentence, style=style))
    out.print(grid)
    out.print()


def _print_memory(document: Document) -> None:
    h95 = document["horizon"]["h95"]
    shown = min(document["lags"], max(16, -(-3 * h95 // 2)))
    for name, found in memory_functions(document).items():
        unit = f", {document['series']['target']} per {name}, by lag"
        out.print(Text.assemble(("Memory function", "bold"), unit), highlight=False)
        for line in _plot(found, shown, h95):
            out.print(line, highlight=False, markup=False)
        out.print()
    confidence = percent(document["confidence"])
    out.print(f"█ the {confidence} band excludes 0   ░ it does not\n", style="dim", highlight=False)


def _plot(found: Mapping[str, Sequence[float]], shown: int, h95: int) -> list[str]:
    if all(lower <= 0 <= upper for lower, upper in zip(found["lower"], found["upper"], strict=True)):
        return ["The band holds 0 at every lag."]
    return lag_plot(**found, shown=shown, horizon=h95)


def _print_numbers(document: Document) -> None:
    grid = Table.grid(padding=(0, 3))
    pairs = [*_memory_numbers(document), *_data_numbers(document)]
    for name, value in pairs:
        grid.add_row(name, Text(value))
    out.print(Text("Numbers", style="bold"))
    out.print(grid)
    out.print()


def _memory_numbers(document: Document) -> Iterable[tuple[str, str]]:
    if not document["memory_found"]:
        return
    horizon, decay = document["horizon"], document["decay_law"]
    for name in ("h50", "h95"):
        value, interval = horizon[name], horizon[f"{name}_interval"]
        yield f"horizon H{name[1:]}", f"{counted(value, 'lag')} ({_interval(interval)})"
    for law, name in (("exponential", "rate"), ("power", "exponent")):
        found = decay[law]
        mark = ", preferred" if decay["preferred"] == law else ""
        if found["value"] is not None:
            interval = _interval((found["lower"], found["upper"]))
            yield f"{law} decay", f"{name} {number(found['value'])} ({interval}){mark}"
    yield "Hankel rank", f"{document['hankel_rank']} (real states seen above the noise)"
    yield "tensor-train rank", str(document["tensor_train_rank"])
    yield "effective taps", number(document["effective_taps"])
    yield "sign changes", str(document["sign_changes"])
    yield "delay", counted(document["delay"], "lag")


def _data_numbers(document: Document) -> Iterable[tuple[str, str]]:
    share = document["linear_share"]
    yield "linear share", f"{number(share)} ({_interval(document['linear_share_interval'])}), out of sample"
    yield "noise", f"{number(document['noise_nmse'])} of the variance"
    remainder = document["remainder"]
    yield "nonlinear remainder", f"p = {number(remainder['p_value'])}, share {number(remainder['share'])}"
    yield "condition of R_xx", number(document["excitation"]["condition"])
    yield "prior", document["estimation"]["prior"]


def _interval(ends: Sequence[float | None]) -> str:
    return f"{number(ends[0])} to {number(ends[1])}"


def _print_families(document: Document) -> None:
    """A row for each family that a theorem binds; the others with the reason why none does."""
    bound = [one for one in document["recommendations"] if one["binding"]]
    letters: dict[str, str] = {}
    table = Table(
        "family",
        title=f"Smallest size for an NMSE of {number(document['reached_below'])}",
        title_justify="left",
        title_style="bold",
        show_edge=False,
    )
    for heading in ("needs", "suffices", "predicted", "floor", "state", "MACs"):
        table.add_column(heading, justify="right")
    table.add_column("")
    best = document["recommended"]
    for one in bound:
        style = "bold" if best and one["family"] == best["family"] else ""
        needs = f"≥ {one['impossible_below'] or 1}"
        suffices = "not found" if one["size"] is None else sized(one)
        cells = [number(one[key]) for key in ("predicted", "floor")]
        costs = ["–" if one[key] is None else str(one[key]) for key in ("state_size", "cost_per_step")]
        letter = letters.setdefault(one["why"], chr(ord("a") + len(letters)))
        table.add_row(family_title(one["family"]), needs, suffices, *cells, *costs, letter, style=style)
    if bound:
        out.print(table)
        out.print(_COLUMNS, style="dim", highlight=False)
        for why, letter in letters.items():
            out.print(f"{letter}: {why}", style="dim", highlight=False, markup=False)
        out.print()
    _print_unbounded([one for one in document["recommendations"] if not one["binding"]])


def _print_unbounded(families: Sequence[Document]) -> None:
    by_reason: dict[str, list[str]] = {}
    for one in families:
        by_reason.setdefault(one["why"].removeprefix("no floor: ").rstrip("."), []).append(
            family_title(one["family"])
        )
    for why, names in by_reason.items():
        out.print(Text.assemble((listed(names), "bold"), f": no floor; {why}."), highlight=False)
    if families:
        out.print()


def _print_confirmation(confirmation: Document) -> None:
    table = Table(
        "trained",
        title="Confirmation by training",
        title_justify="left",
        title_style="bold",
        show_edge=False,
    )
    for heading in ("size", "predicted NMSE", "measured NMSE", "error"):
        table.add_column(heading, justify="right")
    for trial in confirmation["trials"]:
        name = f"{family_title(trial['family'])}, {trial['role']}"
        errors = [number(trial[key]) for key in ("predicted", "measured", "measured_se")]
        table.add_row(name, str(trial["size"]), *errors)
    out.print(table)
    smaller = {True: "the next smaller size misses the target", False: "the next smaller size suffices too"}
    verdict = "The recommended size is adequate" if confirmation["adequate"] else "The size is NOT adequate"
    beside = smaller.get(confirmation["smaller_is_not"], "there is no smaller size")
    noise = f"the estimated memory function itself leaves {number(confirmation['noise_there'])} there"
    out.print(f"{verdict}; {beside}; {noise}.", highlight=False)
    out.print(f"{confirmation['budget'].rstrip('.')}.\n", style="dim", highlight=False, markup=False)
