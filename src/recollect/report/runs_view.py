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
    "nmse_se": "NMSE ± SE",
    "nmse_long": "NMSE, longer",
    "accuracy": "accuracy",
    "accuracy_se": "accuracy ± SE",
    "cross_entropy": "cross-entropy",
    "cross_entropy_se": "cross-entropy ± SE",
    "capacity": "capacity",
    "accuracy_at_1": "accuracy at load 1",
    "squared_error_at_1": "error at load 1",
    "tracking_error": "tracking error",
    "smoothing_error": "smoothing error",
    "bias_squared": "bias²",
    "variance": "variance",
    "validation_error": "validation error",
    "linear_error": "linear error",
    "nonlinear_remainder": "nonlinear",
    "bias": "bias",
    "floor": "floor",
    "excess": "excess",
    "steps": "steps",
    "train_seconds": "seconds",
    "steps_to_solve": "steps to solve",
    "seconds_to_solve": "seconds to solve",
    "num_parameters": "parameters",
    "state_size": "state",
    "state_bytes": "state, bytes",
    "still_improving": "converged",
}
_ALWAYS = ("id", "task", "model", "seed", "status")
_TEXTS = ("id", "task", "model", "status", "still_improving")
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
    """The table, with DataTables' own escaping; `tasks` gives the order in which tasks sort.

    A column that no run has a value for is left out.
    """
    rows = [run_row(record) for record in records]
    names = [name for name in _COLUMNS if name in _ALWAYS or any(row[name] is not None for row in rows)]
    cells = [[_cell(row, name) for name in names] for row in rows]
    numbers = [place for place, name in enumerate(names) if name not in _TEXTS]
    table = pd.DataFrame(cells, columns=[_COLUMNS[name] for name in names])
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
            {"targets": numbers, "render": _NUMBER, "className": "dt-right"},
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


def _cell(row: dict[str, Any], name: str) -> Any:
    """The value shown: a float for every number, since a missing one is NaN."""
    match name:
        case "id":
            return row["id"][:_SHORT_ID]
        case "still_improving":
            return {True: "no", False: "yes", None: ""}[row[name]]
        case _:
            return row[name] if name in _TEXTS else _float(row[name])


def _float(value: float | None) -> float:
    short = rounded(value)
    return math.nan if short is None else float(short)
