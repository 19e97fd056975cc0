"""Data of the charts of layers as they are, untrained: capacity, tracking, smoothing."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recollect.report.datasets import SMALLEST_ERROR, Datasets, Rows, rounded
from recollect.report.layer_families import FAMILIES, layer_family, variant_names
from recollect.report.over_seeds import STANDARD_ERRORS, band, column, pooled, with_series
from recollect.report.results import Result
from recollect.studies.record import Record

SMALLEST_SQUARED_ERROR = 1e-4
"""Of the value's square: below it a recalled value is right for every purpose, and is drawn here."""

LEAST_SQUARES = "exact least squares"
"""The line that others are held against where the decay is the axis."""

REGIONS = ("boundary", "interior")
PARTS = {"bias_squared": "bias²", "variance": "variance", "mse": "mean squared error"}

LOCAL_FITS = {
    0: "theory: local constant, Gaussian (leading terms)",
    1: "theory: local linear, Gaussian (leading terms)",
}
"""By degree."""

_THEORY = ("linear_attention", "linear_attention_scaled", "least_squares")
_THEORY_ACCURACY = ("linear_attention_accuracy", "least_squares_accuracy")
_MAX_POSITIONS = 120


def untrained_datasets(groups: Sequence[Sequence[Record]], found: Sequence[Result]) -> Datasets:
    """Tables by name, from the runs behind each result.

    Columns of numbers, which a chart flattens, in `load` (per task and layer), `tracking` and `fitted_curve`;
    one number a row in `decay`, `bandwidth` and `pairs`.
    """
    first_of_task = {runs[0].task: runs[0] for runs in reversed(groups)}.values()
    smoothing = [_smoothing(runs) for runs in groups] + _local_theory(first_of_task)
    return {
        "load": _placed(row for runs in groups if (row := _load_row(runs))),
        "tracking": _placed(row for runs in groups if (row := _tracking_row(runs))),
        "decay": _decay_rows(groups, found),
        "bandwidth": [row for rows in smoothing for row in _at_most_pairs(rows)],
        "pairs": [row for rows in smoothing for row in _at_best_bandwidth(rows)],
        "fitted_curve": [row for runs in groups if (row := _fitted_row(runs))],
    }


def _head(run: Record) -> dict[str, Any]:
    return {"task": run.task, "model": run.model, "family": layer_family(run.config["model"])}


def _numbers(columns: Mapping[str, np.ndarray]) -> dict[str, list[float | None]]:
    return {name: [rounded(number) for number in values.tolist()] for name, values in columns.items()}


def _placed(rows: Iterable[dict[str, Any]]) -> Rows:
    """In the order of the families, with the `place` of each layer among those of its task and family."""
    order = list(FAMILIES.values())
    ordered = sorted(rows, key=lambda row: (row["task"], order.index(row["family"]), _natural(row["model"])))
    places: dict[tuple[str, str], int] = {}
    for row in ordered:
        key = (row["task"], row["family"])
        row["place"] = places[key] = places.get(key, -1) + 1
    return ordered


def _natural(label: str) -> list[str]:
    """Of labels as people sort them: 16 comes before 128."""
    return [part.zfill(9) if part.isdigit() else part for part in re.split(r"(\d+)", label)]


def _load_row(runs: Sequence[Record]) -> dict[str, Any]:
    """Recall at each number of pairs; the theory's curves are the same for all layers of a task."""
    having = with_series(runs, "load", "load")
    if not having:
        return {}
    first = having[0]
    accuracy = band(having, "load", "accuracy")
    error = band(having, "load", "squared_error")
    columns = {
        "load": column(first, "load", "load"),
        "guess": 1 / column(first, "load", "pairs"),
        "accuracy": accuracy["accuracy"],
        "accuracy_low": accuracy["low"].clip(0, 1),
        "accuracy_high": accuracy["high"].clip(0, 1),
        **{
            name: values.clip(SMALLEST_SQUARED_ERROR)
            for name, values in (
                ("squared_error", error["squared_error"]),
                ("squared_error_low", error["low"]),
                ("squared_error_high", error["high"]),
                ("squared_error_scaled", pooled(having, "load", "squared_error_scaled")[0]),
            )
        },
    }
    for name in _THEORY:
        values = _theory(first, name)
        # 0 is no place on a logarithmic axis: where the theory is exact its line ends.
        columns[name] = np.where(values >= SMALLEST_SQUARED_ERROR, values, np.nan)
    columns |= {name: _theory(first, name) for name in _THEORY_ACCURACY}
    return _head(first) | _numbers(columns)


def _theory(run: Record, name: str) -> np.ndarray:
    """A curve of the theory at the loads of the run; NaN where it has none."""
    table, loads = run.series.get("theory", {}), run.series["load"]["load"]
    if name not in table or table.get("load") != loads:
        return np.full(len(loads), np.nan)
    return column(run, "theory", name)


def _tracking_row(runs: Sequence[Record]) -> dict[str, Any]:
    """Error at each position, thinned evenly, beside the two references on the same data."""
    having = with_series(runs, "position", "kalman")
    if not having:
        return {}
    first = having[0]
    positions = column(first, "position", "position")
    kept = np.unique(
        np.linspace(0, len(positions) - 1, min(len(positions), _MAX_POSITIONS)).round().astype(int)
    )
    error = band(having, "position", "error")
    columns = {
        "error": error["error"],
        "error_low": error["low"],
        "error_high": error["high"],
        "kalman": pooled(having, "position", "kalman")[0],
        "least_squares": pooled(having, "position", "least_squares")[0],
    }
    drawn = {name: values[kept].clip(SMALLEST_ERROR) for name, values in columns.items()}
    return _head(first) | _numbers({"position": positions[kept], **drawn})


def _decay_rows(groups: Sequence[Sequence[Record]], found: Sequence[Result]) -> Rows:
    """Tracking error by decay: of the layers that differ in it alone, and of exact least squares."""
    values = {(result.task, result.model): result for result in found if result.criterion == "tracking_error"}
    decays = {(runs[0].task, runs[0].model): decay_of(runs[0]) for runs in groups}
    decaying = {
        key: decay for key, decay in decays.items() if key in values and decay is not None and decay < 1
    }
    first = {(runs[0].task, runs[0].model): runs[0] for runs in groups}
    names = variant_names({key[1]: first[key].config["model"] for key in decaying}, hidden=("decay",))
    rows = [
        _decay_row(first[key].task, key[1], names[key[1]], decay, result.value, result.low, result.high)
        for key, decay in decaying.items()
        if (result := values[key]).has_value
    ]
    paths = [(row["task"], row["variant"]) for row in rows]
    kept = [row for row in rows if paths.count((row["task"], row["variant"])) > 1]
    return kept + [
        row for run in {run.task: run for run in first.values()}.values() for row in _exact_rows(run)
    ]


def _exact_rows(run: Record) -> Rows:
    """Least squares at every decay, the same for every layer of a task, and what theory says of it."""
    series, kalman = run.series.get("decay", {}), run.metrics.get("error_kalman")
    if not series or not kalman:
        return []
    said = series.get("theory", [None] * len(series["decay"]))
    columns = zip(series["decay"], series["error"], said, strict=True)
    return [
        _decay_row(run.task, LEAST_SQUARES, LEAST_SQUARES, decay, error / kalman, None, None)
        | {"theory": None if theory is None else rounded(theory / kalman)}
        for decay, error, theory in columns
        if error is not None and decay < 1
    ]


def _decay_row(
    task: str,
    model: str,
    variant: str,
    decay: float,
    value: float | None,
    low: float | None,
    high: float | None,
) -> dict[str, Any]:
    numbers = {"remembered": 1 / (1 - decay), "value": value, "low": low, "high": high}
    head = {"task": task, "model": model, "variant": variant, "decay": decay}
    return head | {name: rounded(number) for name, number in numbers.items()}


def decay_of(run: Record) -> float | None:
    """The constant decay of a layer: as measured, or as the options of the layer or its weights give it."""
    options = run.config["model"].get("options", {})
    for place in (run.metrics, options, options.get("weights") or {}):
        decay = place.get("decay")
        if isinstance(decay, float | int) and not isinstance(decay, bool):
            return float(decay)
    return None


def _at_most_pairs(rows: Rows) -> Rows:
    """Bias, variance and their sum at each bandwidth, for the largest number of pairs."""
    most = max((row["pairs"] for row in rows), default=None)
    return [row for row in rows if row["pairs"] == most]


def _at_best_bandwidth(rows: Rows) -> Rows:
    """The same at each number of pairs, for the bandwidth that is best for it."""
    best: dict[tuple[str, float], dict[str, Any]] = {}
    for row in rows:
        key = (row["region"], row["pairs"])
        is_error = row["part"] == PARTS["mse"] and row["value"] is not None
        if is_error and (key not in best or row["value"] < best[key]["value"]):
            best[key] = row
    return [
        row
        for row in rows
        if (chosen := best.get((row["region"], row["pairs"]))) and row["bandwidth"] == chosen["bandwidth"]
    ]


def _smoothing(runs: Sequence[Record]) -> Rows:
    """Long rows: one for each part of the error, region, number of pairs and bandwidth."""
    having = with_series(runs, "bandwidth", "bandwidth")
    if not having:
        return []
    head, series = _head(having[0]), having[0].series["bandwidth"]
    rows: Rows = []
    for part, title in PARTS.items():
        values, errors = pooled(having, "bandwidth", part)
        spread = STANDARD_ERRORS * np.nan_to_num(errors)
        ends = {"value": values, "low": values - spread, "high": values + spread}
        drawn = _numbers({name: ends[name].clip(SMALLEST_ERROR) for name in ends})
        rows += [
            head
            | {"part": title, "region": region, "panel": f"{title}, {region}"}
            | {"pairs": series["pairs"][place], "bandwidth": series["bandwidth"][place]}
            | {name: column[place] for name, column in drawn.items()}
            for place, region in enumerate(series["region"])
            if region in REGIONS
        ]
    return rows


def _local_theory(runs: Iterable[Record]) -> list[Rows]:
    """What theory says of the error of local fits, in rows as those of `_smoothing`, by task and degree."""
    found: dict[tuple[str, int], Rows] = {}
    for run in runs:
        table = run.series.get("theory", {})
        if "degree" not in table:
            continue
        columns = (
            table[name] for name in ("degree", "pairs", "bandwidth", "region", "bias_squared", "variance")
        )
        for degree, pairs, bandwidth, region, bias, variance in zip(*columns, strict=True):
            values = {"bias_squared": bias, "variance": variance, "mse": bias + variance}
            found.setdefault((run.task, degree), []).extend(
                {"task": run.task, "theory": LOCAL_FITS[degree], "part": title, "region": region}
                | {"panel": f"{title}, {region}", "pairs": pairs, "bandwidth": bandwidth}
                # 0 is no place on a logarithmic axis: a line that fits a line has no bias.
                | {"value": rounded(values[part]) if values[part] >= SMALLEST_ERROR else None}
                for part, title in PARTS.items()
            )
    return list(found.values())


def _fitted_row(runs: Sequence[Record]) -> dict[str, Any]:
    """The picture of one run: averages over seeds would narrow its band."""
    having = with_series(runs, "curve_at", "x")
    if not having:
        return {}
    names = ("x", "truth", "mean", "low", "high")
    return _head(having[0]) | _numbers({name: column(having[0], "curve_at", name) for name in names})
