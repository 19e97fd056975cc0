"""The table of normalised errors, as the terminal shows it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recollect.report import summarise
from recollect.studies import Record


def format_error(value: float | None) -> str:
    """Three significant digits, as short as possible."""
    if value is None or pd.isna(value):
        return "-"
    return f"{value:.3f}" if value >= 0.1 else f"{value:.2g}" if value >= 0.001 else f"{value:.1e}"


def summary_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The summary as plain JSON: one object for each model and task."""
    frame = summarise(records)
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def print_summary(records: Sequence[Record], console: Console) -> None:
    """Tasks down, models across; the best model of each task in bold, marks explained below."""
    frame = summarise(records)
    models = list(dict.fromkeys(frame["model"]))
    table = Table("memory", *models, title="Normalised test error (NMSE), lower is better")
    for task, rows in frame.groupby("task", sort=False):
        by_model = {row["model"]: row for _, row in rows.iterrows()}
        table.add_row(str(task), *[_cell(by_model.get(model)) for model in models])
    console.print(table)
    console.print(_legend(frame), highlight=False, markup=False)


def _cell(row: "pd.Series[Any] | None") -> Text:
    if row is None:
        return Text("")
    if pd.isna(row["nmse"]):
        return Text("diverged" if row["num_diverged"] else "failed", style="red")
    text = Text(format_error(row["nmse"]))
    if pd.notna(row["low"]) and pd.notna(row["high"]):
        text.append(f" ±{format_error((row['high'] - row['low']) / 2)}", style="dim")
    if row["still_improving"]:
        text.append(" ~", style="yellow")
    if row["num_diverged"]:
        text.append(" !", style="red")
    if row["best"]:
        text.stylize("bold green")
        text.append(" *", style="bold green")
    return text


def _legend(frame: pd.DataFrame) -> str:
    kinds = ", ".join(sorted(set(frame["interval_kind"].dropna())))
    lines = ["* best of its row (or not distinguishable from it)"]
    if kinds:
        lines.append(f"± half width of the 95 % interval {kinds}")
    if frame["still_improving"].any():
        lines.append("~ not converged: still improving at its last step")
    if (frame["num_diverged"] > 0).any():
        lines.append("! some runs diverged; the error is that of the last good checkpoint")
    return "\n".join(lines)
