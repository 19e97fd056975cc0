"""The model of a stored run, trained again: the store keeps numbers, and a run is a value."""

import math
import warnings

from recollect.core import ConfigError
from recollect.models import SequenceModel
from recollect.studies.excess import start_from_construction
from recollect.studies.fit import drawn_model, fit
from recollect.studies.record import Record
from recollect.studies.run import Run, source_of
from recollect.tasks import Task, UntrainedTask
from recollect.training.trainer import Progress


def trained_model(
    record: Record, on_progress: Progress = lambda step, error: None
) -> tuple[SequenceModel, Task]:
    """The model that a run ended with, in evaluation mode, and the task it was trained on.

    Same config, same seed: on the machine that made the record the same parameters, to the digit. Where the
    validation error is another (another machine or version of PyTorch), a warning says so.

    Cost: that of the run.

    Args:
        record: of a run that ended well.
        on_progress: called with the steps taken and the best validation error so far.

    Raises:
        ConfigError: a run that failed, diverged or trained nothing, or whose code or data are not those of
            the record any more.
    """
    run = _run_of(record)
    task, training = run.task, run.training
    assert training is not None
    assert not isinstance(task, UntrainedTask)
    model = drawn_model(run, task)
    if training.start == "construction":
        start_from_construction(task, model, run.model.title)
    _compare(record, fit(run, task, model, on_progress).validation_error)
    return model, task


def _run_of(record: Record) -> Run:
    title = f"run {record.id} ({record.model} on {record.task}, seed {record.seed})"
    if record.status != "done":
        last = (record.error or "its parameters became NaN or Inf").strip().splitlines()[-1]
        raise ConfigError(f"{title} {record.status}: {last}. It has no trained model to probe.")
    if record.config.get("training") is None:
        raise ConfigError(
            f"{title} measured an untrained layer: probe the layer by its name, "
            f"{record.config['model']['mixer']}."
        )
    run = Run.parse(record.config, title)
    if run.source and source_of(run.model) != run.source:
        raise ConfigError(
            f"the source of {run.model.title} has changed since {title} was trained: run the study again, "
            "and probe the new run."
        )
    if run.id != record.id:
        raise ConfigError(
            f"{title} was made by another version of recollect, or from a file whose content has changed; it "
            "would be another run today. Run the study again, and probe the new run."
        )
    return run


def _compare(record: Record, error: float | None) -> None:
    recorded = record.metrics.get("validation_error")
    if error is None or not math.isfinite(error):
        raise ConfigError(f"run {record.id} diverged when it was trained again: run the study again here.")
    if error != recorded:
        warnings.warn(
            f"run {record.id}, trained again, has a validation error of {error:.6g} where its record has "
            f"{recorded}: another machine or version of PyTorch rounds otherwise.",
            stacklevel=3,
        )
