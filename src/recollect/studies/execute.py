"""From a run to its record. Whatever happens inside is part of the record, never a crash."""

import dataclasses
import math
import time
import traceback
from datetime import UTC, datetime
from typing import Any

from recollect.core import ConfigError, derive_seed, seeded_initialisation, source_hash
from recollect.memory import effective_taps, energy_horizon
from recollect.studies.environment import environment, peak_memory_bytes
from recollect.studies.record import Record, Status
from recollect.studies.run import Run
from recollect.training import Metrics, Series, Trained, assess, train
from recollect.training.trainer import Progress


def execute(run: Run, on_progress: Progress = lambda step, error: None) -> Record:
    """Build, train and assess; a record of status `failed` with the traceback if any of it raises."""
    started = time.perf_counter()
    try:
        status, metrics, series = _train_and_assess(run, on_progress)
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
        facts=_facts(run),
        config=run.model_dump(mode="json"),
        metrics=metrics,
        series=series,
        environment=environment(),
        error=error,
        wall_seconds=wall_seconds,
        peak_memory_bytes=peak_memory_bytes(),
        created_at=datetime.now(UTC),
    )


def _train_and_assess(run: Run, on_progress: Progress) -> tuple[Status, Metrics, Series]:
    task, config = run.task, run.training
    model = run.model.build(task.input_size, task.output_size, seed=derive_seed(run.seed, "model"))
    if run.source and source_hash(run.model.mixer) != run.source:
        raise ConfigError(f"the source of {run.model.mixer} changed while the study ran; run it again.")
    # A user's module may draw (dropout) while it trains: those draws belong to the run's seed too.
    with seeded_initialisation(derive_seed(run.seed, "training")):
        trained = train(model, task, config, derive_seed(run.seed, "data"), on_progress)
    metrics: Metrics = {
        "validation_nmse": trained.validation_nmse,
        "steps": trained.steps,
        "train_seconds": trained.seconds,
        "still_improving": trained.still_improving,
        "num_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "state_size": model.state_size(task.length),
        "receptive_field": model.receptive_field,
    }
    series: Series = {"curve": _curve(trained)}
    if trained.validation_nmse is not None:
        measured, measured_series = assess(model, task, config, derive_seed(run.seed, "data"))
        metrics, series = metrics | measured, series | measured_series
    return trained.status, metrics, series


def _curve(trained: Trained) -> dict[str, list[Any]]:
    columns = dataclasses.asdict(trained.curve)
    return {name: [v if math.isfinite(v) else None for v in values] for name, values in columns.items()}


def _facts(run: Run) -> dict[str, Any]:
    taps = run.task.taps()
    return {
        "family": run.task.memory.family,
        "alpha": getattr(run.task.memory, "alpha", None),
        "length": run.task.length,
        "h50": energy_horizon(taps, 0.5),
        "h95": energy_horizon(taps, 0.95),
        "effective_taps": effective_taps(taps),
    }
