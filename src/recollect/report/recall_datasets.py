"""Data of the charts about recall: accuracy against state, factors, groups, and how soon a task is solved."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from recollect.report.datasets import Datasets, Rows, rounded
from recollect.report.factors import FACTORS, Estimate, Row, contrasts, shares
from recollect.report.layer_families import layer_family, variant_names
from recollect.report.over_seeds import STANDARD_ERRORS, chosen_runs, pooled, with_series
from recollect.report.results import Result
from recollect.report.untrained_datasets import untrained_datasets
from recollect.studies.record import Record
from recollect.tasks.criteria import CRITERIA

MAX_GROUPS = 24
"""Points of a line over numeric groups; more are merged with their neighbours."""

LABEL_STEP = 0.042
"""Accuracy that a line of text takes on the axis."""

SHARES = "share of the variance of accuracy"
CHANGES = "change of accuracy per doubling"

_FACTOR_TITLES = {"state": "state", "length": "length", "num_pairs": "pairs"}


def recall_datasets(records: Sequence[Record], found: Sequence[Result]) -> Datasets:
    """Tables by name: those of `untrained_datasets`, and those of trained models, with a number a row.

    `state` has a row per model and task, `front` the corners of its Pareto front. `factor` has a row per
    variant, state, length and number of pairs, `factor_summary` what explains them. `number_group` and
    `named_group` have a row per model, task and group, `solve` per model and task.
    """
    groups = [runs for runs in chosen_runs(records, found) if runs]
    state = _state_rows(groups, found)
    factor_rows = _factor_runs(groups)
    return untrained_datasets(groups, found) | {
        "state": state,
        "front": _front_rows(state),
        "factor": _factor_cells(factor_rows),
        "factor_summary": _factor_summary(factor_rows),
        "number_group": _group_tables(groups, named=False),
        "named_group": _group_tables(groups, named=True),
        "solve": _solve_rows(groups, found),
    }


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, score) that no other beats, by rising cost and hence rising score.

    A point beats another if it costs no more, scores no less, and is better in one of the two.

    Example:
        >>> pareto_front([(1, 0.2), (2, 0.1), (2, 0.5), (4, 0.5)])
        [(1, 0.2), (2, 0.5)]
    """
    front: list[tuple[float, float]] = []
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or score > front[-1][1]:
            front.append((cost, score))
    return front


def _by_key(groups: Sequence[Sequence[Record]]) -> dict[tuple[str, str], Record]:
    return {(runs[0].task, runs[0].model): runs[0] for runs in groups}


def _variants(groups: Sequence[Sequence[Record]]) -> dict[str, str]:
    return variant_names({runs[0].model: runs[0].config["model"] for runs in groups})


def _state_rows(groups: Sequence[Sequence[Record]], found: Sequence[Result]) -> Rows:
    """Accuracy and bytes of state; `on_front` and `last` (the largest of its variant) get labels."""
    runs, names = _by_key(groups), _variants(groups)
    rows = [
        {
            "task": result.task,
            "model": result.model,
            "variant": names[result.model],
            "family": layer_family(runs[result.task, result.model].config["model"]),
            "state_bytes": result.state_bytes,
            "num_parameters": result.num_parameters,
            "guess": rounded(result.guess),
            **{name: rounded(getattr(result, name)) for name in ("value", "low", "high")},
            "success": rounded(result.success),
            "seeds": result.num_seeds,
            "still_improving": result.still_improving,
            "note": result.note,
        }
        for result in found
        if result.criterion == "accuracy" and result.has_value and result.state_bytes
    ]
    for row in rows:
        same_task = [other for other in rows if other["task"] == row["task"]]
        front = pareto_front((other["state_bytes"], other["value"]) for other in same_task)
        row["on_front"] = (row["state_bytes"], row["value"]) in front
        sizes = [other["state_bytes"] for other in same_task if other["variant"] == row["variant"]]
        row["last"] = row["state_bytes"] == max(sizes)
    for task in dict.fromkeys(row["task"] for row in rows):
        _spread([row for row in rows if row["task"] == task and row["last"]])
    return rows


def _spread(rows: Rows) -> None:
    """Give rows a place for their names, right of all points, where no two names lie on each other."""
    rising = sorted(rows, key=lambda row: row["value"])
    place = math.inf
    for row in reversed(rising):
        place = row["label_place"] = min(row["value"], place - LABEL_STEP)
    place = 0.0
    for row in rising:
        place = row["label_place"] = max(row["label_place"], place)
        place += LABEL_STEP
    right = max(row["state_bytes"] for row in rows) * 1.5
    for row in rows:
        row |= {"label_place": round(row["label_place"], 4), "label_at": right}


def _front_rows(state: Rows) -> Rows:
    """Corners of the front of each task, level to its largest state."""
    rows: Rows = []
    for task in dict.fromkeys(row["task"] for row in state):
        points = [(row["state_bytes"], row["value"]) for row in state if row["task"] == task]
        front = pareto_front(points)
        end = (max(size for size, _ in points), front[-1][1])
        rows += [{"task": task, "state_bytes": size, "value": value} for size, value in [*front, end]]
    return rows


def _factor_runs(groups: Sequence[Sequence[Record]]) -> dict[str, list[Row]]:
    """By variant its runs on settings with a number of pairs; left out unless two factors vary."""
    names = _variants(groups)
    rows: dict[str, list[Row]] = {}
    for run in (run for runs in groups for run in runs):
        setting, state = run.series.get("setting"), run.metrics.get("state_bytes")
        if setting and state and run.facts.get("criterion") == "accuracy":
            columns = (setting[name] for name in ("score", "length", "num_pairs"))
            rows.setdefault(names[run.model], []).extend(
                Row(score, state, length, pairs, run.seed)
                for score, length, pairs in zip(*columns, strict=True)
                if pairs is not None and score is not None and length is not None
            )
    varied = {
        name: sum(len({getattr(row, factor) for row in found}) > 1 for factor in FACTORS)
        for name, found in rows.items()
    }
    return {name: found for name, found in rows.items() if varied[name] > 1}


def _factor_cells(factor_rows: dict[str, list[Row]]) -> Rows:
    """Mean over seeds of each cell of the grid."""
    cells: Rows = []
    for name, rows in factor_rows.items():
        scores: dict[tuple[float, float, float], list[float]] = {}
        for row in rows:
            scores.setdefault((row.num_pairs, row.length, row.state), []).append(row.accuracy)
        cells += [
            {"variant": name, "num_pairs": pairs, "panel": f"{name}, {pairs:g} pairs", "length": length}
            | {
                "place": place,
                "state_bytes": state,
                "accuracy": rounded(float(np.mean(values))),
                "seeds": len(values),
            }
            | {"low": rounded(min(values)), "high": rounded(max(values))}
            for place, ((pairs, length, state), values) in enumerate(sorted(scores.items()), len(cells))
        ]
    return cells


def _factor_summary(factor_rows: dict[str, list[Row]]) -> Rows:
    """Shares and contrasts of each variant, one bar or point a row."""
    rows: Rows = []
    for name, found in factor_rows.items():
        explained, changes = shares(found), contrasts(found)
        parts = [(SHARES, _FACTOR_TITLES[factor], share) for factor, share in explained.by_factor.items()]
        parts += [(SHARES, "all three", explained.explained)]
        parts += [
            (CHANGES, "state doubles", changes.state),
            (CHANGES, "length doubles", changes.length),
            (CHANGES, "pairs double", changes.num_pairs),
            (CHANGES, "length less pairs", changes.difference),
        ]
        rows += [
            {"variant": name, "panel": panel, "factor": factor, **_estimate_columns(estimate)}
            for panel, factor, estimate in parts
            if math.isfinite(estimate.value)
        ]
    return rows


def _estimate_columns(estimate: Estimate) -> dict[str, Any]:
    numbers = {name: rounded(getattr(estimate, name)) for name in ("value", "low", "high")}
    return {**numbers, "cells": estimate.count}


def _group_tables(groups: Sequence[Sequence[Record]], *, named: bool) -> Rows:
    """Of models that differ in size alone, on each task that with the largest state."""
    names = _variants(groups)
    best: dict[tuple[str, str], Sequence[Record]] = {}
    for runs in groups:
        key = (runs[0].task, names[runs[0].model])
        size = runs[0].metrics.get("state_bytes") or 0
        if key not in best or size > (best[key][0].metrics.get("state_bytes") or 0):
            best[key] = runs
    return [
        {"variant": variant} | row
        for (_, variant), runs in best.items()
        for row in _group_rows(runs, named=named)
    ]


def _group_rows(runs: Sequence[Record], *, named: bool) -> Rows:
    """Score of each group over seeds; groups are numbers (a gap) or names (hits and the rest)."""
    having = with_series(runs, "group", "group")
    if not having:
        return []
    first = having[0]
    series = first.series["group"]
    by = series.get("by") or ["group"] * len(series["group"])
    score, error = pooled(having, "group", "score")
    counts = np.array(series.get("count") or [1] * len(by), dtype=float)
    rows: Rows = []
    for kind in dict.fromkeys(by):
        places = [place for place, own in enumerate(by) if own == kind]
        labels = [series["group"][place] for place in places]
        if any(isinstance(label, str) for label in labels) == named:
            head = {"task": first.task, "model": first.model, "heading": _heading(first, kind)}
            columns = (score[places], error[places], counts[places])
            points = _points(labels, *columns) if named else _merged(np.array(labels, float), *columns)
            rows += [head | point for point in points]
    return rows


def _heading(run: Record, kind: str) -> str:
    criterion = CRITERIA.get(run.facts.get("criterion", ""))
    return f"{criterion.title if criterion else 'score'} by {kind}"


def _merged(groups: np.ndarray, score: np.ndarray, error: np.ndarray, counts: np.ndarray) -> Rows:
    """At most `MAX_GROUPS` numeric groups: neighbours are merged, weighted by how often they occur."""
    order = np.argsort(groups)
    parts = np.array_split(order, min(len(order), MAX_GROUPS))
    weights = [
        counts[part] / counts[part].sum() if counts[part].sum() else 0 * counts[part] for part in parts
    ]
    return _points(
        [rounded(float(weight @ groups[part])) for part, weight in zip(parts, weights, strict=True)],
        np.array([weight @ score[part] for part, weight in zip(parts, weights, strict=True)]),
        np.array([np.linalg.norm(weight * error[part]) for part, weight in zip(parts, weights, strict=True)]),
        np.array([counts[part].sum() for part in parts]),
    )


def _points(labels: Sequence[Any], score: np.ndarray, error: np.ndarray, counts: np.ndarray) -> Rows:
    spread = STANDARD_ERRORS * np.nan_to_num(error)
    ends = {"score": score, "low": score - spread, "high": score + spread, "count": counts}
    return [
        {"group": label, **{name: rounded(float(values[place])) for name, values in ends.items()}}
        for place, label in enumerate(labels)
    ]


def _solve_rows(groups: Sequence[Sequence[Record]], found: Sequence[Result]) -> Rows:
    """Median steps and seconds to 99 % over the seeds that get there, and their range; None if none does."""
    runs = {(group[0].task, group[0].model): group for group in groups}
    rows: Rows = []
    for result in found:
        group = runs.get((result.task, result.model), ())
        if result.criterion != "accuracy" or not any("steps_to_solve" in run.metrics for run in group):
            continue
        for unit in ("steps", "seconds"):
            times = [run.metrics.get(f"{unit}_to_solve") for run in group]
            reached = sorted(time for time in times if time is not None)
            rows.append(
                {"task": result.task, "model": result.model, "panel": f"{unit} to 99 %"}
                | {"value": rounded(float(np.median(reached))) if reached else None}
                | {"low": rounded(reached[0]) if reached else None}
                | {"high": rounded(reached[-1]) if reached else None}
                | {"solved": f"{len(reached)}/{len(times)}", "never": not reached}
            )
    # A task that no model solves has nothing to draw, and Vega warns of an axis without values.
    solved = {row["task"] for row in rows if not row["never"]}
    return [row for row in rows if row["task"] in solved]
