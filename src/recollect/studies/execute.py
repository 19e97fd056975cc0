"""From a run to its record. Whatever happens inside is part of the record, never a crash."""

import dataclasses
import math
import time
import traceback
from datetime import UTC, datetime
from typing import Any

import torch

from recollect.core import ConfigError, NumericalError, derive_seed, seeded_initialisation
from recollect.models import SequenceModel, measured_state_bytes
from recollect.probing import MEASURES, population_nmse
from recollect.regression import RegressionLayer
from recollect.studies.environment import environment, peak_memory_bytes
from recollect.studies.excess import excess, floor_metrics, start_from_construction
from recollect.studies.fit import data_seed, drawn_model, fit
from recollect.studies.record import Record, Status
from recollect.studies.run import Run, source_of
from recollect.tasks import Task, UntrainedTask
from recollect.tasks.labels import label_kind
from recollect.training import SOLVED_BELOW, Metrics, Series, Trained, assess
from recollect.training.trainer import Progress

HALF = 0.5
"""Error at which half of the target is explained: where a plateau of training has been left."""


def execute(run: Run, on_progress: Progress = lambda step, error: None) -> Record:
    """Build, train and assess (or measure untrained); what raises gives a record of status `failed`."""
    started = time.perf_counter()
    try:
        if isinstance(run.task, UntrainedTask):
            status, metrics, series = _measure(run, run.task, on_progress)
        else:
            status, metrics, series = _train_and_assess(run, run.task, on_progress)
        error = None
    except Exception:
        status, metrics, series, error = "failed", {}, {}, traceback.format_exc()
    return make_record(run, status, metrics, series, error, time.perf_counter() - started)


def make_record(
    run: Run,
    status: Status,
    metrics: Metrics,
    series: Series,
    error: str | None,
    wall_seconds: float,
) -> Record:
    """The record of a run with these results."""
    return Record(
        id=run.id,
        model=run.model.title,
        task=run.task.label,
        seed=run.seed,
        status=status,
        facts={**run.task.facts(), "criterion": run.task.criterion},
        config=run.model_dump(mode="json"),
        metrics=metrics,
        series=series,
        environment=environment(),
        error=error,
        wall_seconds=wall_seconds,
        peak_memory_bytes=peak_memory_bytes(),
        created_at=datetime.now(UTC),
    )


def _train_and_assess(run: Run, task: Task, on_progress: Progress) -> tuple[Status, Metrics, Series]:
    assert run.training is not None
    model = drawn_model(run, task)
    _check_source(run)
    # Before training: should a floor raise, nothing is lost.
    before = floor_metrics(task, model) | _start(run, task, model)
    trained = fit(run, task, model, on_progress)
    solved, halved = trained.curve.reached(SOLVED_BELOW), trained.curve.reached(HALF)
    metrics: Metrics = {
        **before,
        "validation_error": trained.validation_error,
        "steps": trained.steps,
        "train_seconds": trained.seconds,
        "steps_to_solve": solved and solved[0],
        "seconds_to_solve": solved and solved[1],
        "steps_to_half": halved and halved[0],
        "still_improving": trained.still_improving,
        "num_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "state_size": model.state_size(task.length),
        "state_bytes": measured_state_bytes(model, task.length),
        "receptive_field": model.receptive_field,
    }
    series: Series = {"curve": _curve(trained)}
    if trained.validation_error is None:
        return trained.status, metrics, series
    try:
        measured, measured_series = assess(model, task, run.training, data_seed(run))
    except NumericalError:
        return "diverged", metrics, series
    metrics |= measured
    return trained.status, metrics | excess(metrics), series | measured_series


def _start(run: Run, task: Task, model: SequenceModel) -> Metrics:
    """Set the model to its construction if the run asks for it; the error it then starts from."""
    assert run.training is not None
    if run.training.start == "random":
        return {}
    start_from_construction(task, model, run.model.title)
    return {"start_nmse": population_nmse(model, task)}


def _measure(run: Run, task: UntrainedTask, on_progress: Progress) -> tuple[Status, Metrics, Series]:
    """An untrained layer's own regression on the associations of a task, in float64."""
    layer = untrained_layer(run, task)
    _check_source(run)
    with torch.no_grad():
        metrics, series = MEASURES[label_kind(task)](layer, task, data_seed(run), on_progress)
    return "done", metrics, series


def untrained_layer(run: Run, task: UntrainedTask) -> RegressionLayer:
    """The layer of a run, at the width that the task's keys ask for.

    Raises:
        ConfigError: a mixer that solves no regression.
    """
    with seeded_initialisation(derive_seed(run.seed, "model")):
        layer = run.model.make(task.dim)
    if not isinstance(layer, RegressionLayer):
        raise ConfigError(
            f"{run.model.title}: the task {task.label} gives associations to a regression layer; "
            f"`recollect list layers` shows those, and {run.model.mixer} is none."
        )
    return layer.double().eval()


def _check_source(run: Run) -> None:
    if run.source and source_of(run.model) != run.source:
        raise ConfigError(f"the source of {run.model.title} changed while the study ran; run it again.")


def _curve(trained: Trained) -> dict[str, list[Any]]:
    columns = dataclasses.asdict(trained.curve)
    return {name: [v if math.isfinite(v) else None for v in values] for name, values in columns.items()}
