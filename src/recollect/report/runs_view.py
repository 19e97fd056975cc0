"""The runs of a page: a table to sort and filter, and the full config behind each row."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import itables
import pandas as pd
from itables.typing import JavascriptFunction

from recollect.report.datasets import rounded
from recollect.report.runs import run_row
from recollect.studies.record import Record

_COLUMNS = {
    "id": "run",
    "task": "task",
    "model": "model",
    "seed": "seed",
    "status": "status",
    "learning_rate": "learning rate",
    "nmse": "NMSE",
    "nmse_se": "± SE",
    "nmse_long": "NMSE, longer",
    "validation_nmse": "validation",
    "linear_error": "linear error",
    "nonlinear_remainder": "nonlinear",
    "steps": "steps",
    "train_seconds": "seconds",
    "num_parameters": "parameters",
    "state_size": "state",
    "still_improving": "converged",
}
_NUMBERS = [
    place
    for place, name in enumerate(_COLUMNS)
    if name not in ("id", "task", "model", "status", "still_improving")
]
_SHORT_ID = 10

# Missing numbers sort after all others: comparisons with NaN have no order.
_NUMBER = JavascriptFunction(
    "function (value, type) {"
    " const missing = typeof value !== 'number' || isNaN(value);"
    " if (type === 'display') return missing ? '' : String(Number(value.toPrecision(3)));"
    " return missing ? (type === 'sort' ? Infinity : '') : value; }"
)
_OPENER = JavascriptFunction(
    "function (value, type) {"
    " if (type !== 'display') return value;"
    " return '<button class=\"open\" title=\"Show config\">' + value + '</button>'; }"
)


def runs_html(records: Sequence[Record], tasks: list[str]) -> str:
    """The table, with DataTables' own escaping; `tasks` gives the order in which tasks sort."""
    rows = [_cells(run_row(record)) for record in records]
    table = pd.DataFrame(rows, columns=list(_COLUMNS.values()))
    table["task"] = pd.Categorical(table["task"], categories=tasks)
    return itables.to_html_datatable(
        table,
        connected=False,
        table_id="runs-table",
        maxBytes=0,
        pageLength=25,
        display_logo_when_loading=False,
        column_filters="footer",
        text_in_header_can_be_selected=False,
        columnDefs=[
            {"targets": 0, "render": _OPENER},
            {"targets": _NUMBERS, "render": _NUMBER, "className": "dt-right"},
        ],
        classes="display compact nowrap",
        style="width:100%",
    )


def run_details(records: Sequence[Record]) -> dict[str, Any]:
    """Everything about each run that its row does not show, in the order of `records`.

    Runs of a study share most of their config, so each part is stored once: `values` holds the distinct
    parts, and each entry of `runs` points at its own by number.
    """
    values: dict[str, int] = {}

    def place(value: Any) -> int:
        return values.setdefault(json.dumps(value, sort_keys=True, separators=(",", ":")), len(values))

    runs = [
        {
            "id": record.id,
            "config": {key: place(value) for key, value in record.config.items()},
            "environment": place(record.environment),
            "error": place(record.error),
        }
        for record in records
    ]
    return {"values": [json.loads(value) for value in values], "runs": runs}


def distinct(values: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each value once, in order of first appearance."""
    return list({json.dumps(value, sort_keys=True): value for value in values}.values())


def _cells(row: dict[str, Any]) -> list[Any]:
    """The values shown: a float for every number, since a missing one is NaN."""
    texts = {
        "id": row["id"][:_SHORT_ID],
        "still_improving": {True: "no", False: "yes", None: ""}[row["still_improving"]],
    }
    return [
        _float(row[name]) if place in _NUMBERS else texts.get(name, row[name])
        for place, name in enumerate(_COLUMNS)
    ]


def _float(value: float | None) -> float:
    short = rounded(value)
    return math.nan if short is None else float(short)
