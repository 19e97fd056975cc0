"""What is measured on a trained model: plain JSON metrics and series for the record."""

from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from recollect.core import ConfigError, RecollectError
from recollect.core.plain import finite, rounded
from recollect.probing import audit, population_nmse
from recollect.tasks import FunctionalTask, Task
from recollect.training.config import TrainingConfig
from recollect.training.evaluation import NormalisedError, Predictions, normalised_error, predict_split
from recollect.training.settings import assess_settings
from recollect.training.trainer import parameter_dtype, resolve_device

Metrics = dict[str, Any]
Series = dict[str, dict[str, list[Any]]]


def assess(model: nn.Module, task: Task, config: TrainingConfig, seed: int) -> tuple[Metrics, Series]:
    """What the test split shows: of a functional task with its audit, else by setting and by group."""
    model.eval()
    if isinstance(task, FunctionalTask):
        return _assess_functional(model, task, config, seed)
    return assess_settings(model, task, config, seed)


def _assess_functional(
    model: nn.Module, task: FunctionalTask, config: TrainingConfig, seed: int
) -> tuple[Metrics, Series]:
    """Test error, its expectation where that is known, error at a longer length, and the per-lag audit."""
    predictions = _predict_test(model, task, config, seed, task.length)
    error = normalised_error(predictions)
    metrics = {
        "nmse": finite(error.value),
        "nmse_se": finite(error.standard_error),
        "nmse_exact": _exact(model, task),
        **_longer(model, task, config, seed),
    }
    series: Series = {"position": _by_position(error)}
    shares, lags = _audited(predictions)
    return metrics | shares, series | lags


def _exact(model: nn.Module, task: FunctionalTask) -> float | None:
    """The expectation of the test error; known of affine models on linear targets of white input."""
    try:
        return finite(population_nmse(model, task))
    except ConfigError:
        return None


def _predict_test(
    model: nn.Module, task: FunctionalTask, config: TrainingConfig, seed: int, length: int
) -> Predictions:
    # The same number of positions at every length, so that a longer test costs no more.
    count = max(min(32, config.test_examples), config.test_examples * task.length // length)
    dtype, device = parameter_dtype(config), resolve_device(config)
    return predict_split(model, task, seed, "test", count, dtype=dtype, device=device, length=length)


def _longer(model: nn.Module, task: FunctionalTask, config: TrainingConfig, seed: int) -> Metrics:
    if config.long_factor is None:
        return {"nmse_long": None, "nmse_long_se": None, "long_length": None, "long_note": "not asked"}
    length = config.long_factor * task.length
    try:
        error = normalised_error(_predict_test(model, task, config, seed, length))
    except Exception as reason:
        # A mixer or a record may end before this length: that must not cost the test at the trained one.
        note = str(reason) if isinstance(reason, RecollectError) else f"{type(reason).__name__}: {reason}"
        return {"nmse_long": None, "nmse_long_se": None, "long_length": length, "long_note": note}
    return {
        "nmse_long": finite(error.value),
        "nmse_long_se": finite(error.standard_error),
        "long_length": length,
        "long_note": None,
    }


def _by_position(error: NormalisedError) -> dict[str, list[Any]]:
    return {
        "position": list(range(len(error.by_position))),
        "nmse": _column(error.by_position),
        "nmse_se": _column(error.by_position_se),
    }


def _audited(predictions: Predictions) -> tuple[Metrics, Series]:
    """The audit of the first output and input channel's memory function, and the shares over all."""
    try:
        found = audit(predictions.inputs, predictions.outputs, predictions.targets)
    except ConfigError as reason:
        absent = {"linear_error": None, "nonlinear_remainder": None, "bias": None, "audit_note": str(reason)}
        return absent, {}
    shares = {
        "linear_error": finite(found.linear_error),
        "nonlinear_remainder": finite(found.nonlinear_remainder),
        "bias": finite(found.bias),
    }
    lags = {
        "lag": list(range(len(found.missed))),
        "true": _column(found.true[:, 0, 0]),
        "learned": _column(found.learned[:, 0, 0]),
        "learned_se": _column(found.learned_se[:, 0, 0]),
        "missed": _column(found.missed),
    }
    return shares, {"lag": lags}


def _column(values: Float64[Tensor, " n"]) -> list[float | None]:
    return [rounded(value) for value in torch.as_tensor(values).tolist()]
