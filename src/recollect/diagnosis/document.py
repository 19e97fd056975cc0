"""A diagnosis as plain JSON: what `--json` prints, and the page and the terminal are drawn from."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from scipy.linalg import toeplitz

from recollect.core.plain import finite
from recollect.diagnosis.recommendation import Recommendation
from recollect.diagnosis.series import Series
from recollect.probing import MemoryEstimator, MemoryNumbers

VERSION = 1
"""Of the keys and their meaning."""

_RECOMMENDATION = (
    "family",
    "unit",
    "size",
    "floor",
    "binding",
    "predicted",
    "impossible_below",
    "why",
    "state_size",
    "cost_per_step",
    "model",
)
_SIZED = ("size", "floor", "predicted")


def plain(value: Any) -> Any:
    """Numbers, words, lists and mappings as JSON has them: arrays become lists, classes mappings, NaN null.

    Example:
        >>> import numpy as np
        >>> plain({"a": np.arange(2), "b": (np.float64("nan"), np.int64(3), None)})
        {'a': [0, 1], 'b': [None, 3, None]}
    """
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return finite(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"expected numbers, words, lists and mappings, got {type(value).__name__}.")


def series_facts(series: Series) -> dict[str, Any]:
    """What the data are."""
    return {
        "source": series.source,
        "target": series.target_name,
        "inputs": series.input_names,
        "autonomous": series.autonomous,
        "rows": series.num_rows,
        "sequences": series.num_segments,
        "step": series.step,
        "notes": series.notes,
    }


def memory_function(estimator: MemoryEstimator, names: tuple[str, ...]) -> dict[str, Any]:
    """`values`, `lower` and `upper`, lag 0 first, in data units; where there are several inputs, by name."""
    bands = {"values": estimator.memory_, "lower": estimator.lower_, "upper": estimator.upper_}
    found = {name: {key: band[:, i] for key, band in bands.items()} for i, name in enumerate(names)}
    return found[names[0]] if len(names) == 1 else found


def input_shares(estimator: MemoryEstimator, series: Series) -> dict[str, float]:
    r"""Variance of what each input contributes, $\rho_i^\top R_{ii} \rho_i$, over that of the target.

    They add up to the share that is explained where the inputs are uncorrelated.
    """
    covariance, variance = estimator.input_covariance_[: estimator.lags_], series.target.var()
    pairs = zip(series.input_names, estimator.memory_.T, covariance.diagonal(axis1=1, axis2=2).T, strict=True)
    return {name: float(rho @ toeplitz(r) @ rho / variance) for name, rho, r in pairs}


def number_facts(numbers: MemoryNumbers, *, found: bool) -> dict[str, Any]:
    """Horizons, decay, ranks, sparsity, sign changes and delay."""
    h50, h95 = numbers.h50, numbers.h95
    return {
        "horizon": {
            "h50": _whole(h50.value) if found else None,
            "h95": _whole(h95.value) if found else None,
            "h50_interval": (h50.lower, h50.upper),
            "h95_interval": (h95.lower, h95.upper),
        },
        "decay_law": numbers.decay,
        "hankel_rank": numbers.hankel_rank,
        "tensor_train_rank": numbers.tensor_train_rank,
        "effective_taps": numbers.effective_taps,
        "sign_changes": numbers.sign_changes,
        "delay": numbers.delay,
    }


def _whole(lags: float) -> int | None:
    return round(lags) if math.isfinite(lags) else None


def recommendation_facts(one: Recommendation) -> dict[str, Any]:
    """One family: its floor, the size that suffices, what that costs, and by which theorem."""
    sizes = [{name: getattr(sized, name) for name in _SIZED} for sized in one.by_size]
    return {name: getattr(one, name) for name in _RECOMMENDATION} | {"by_size": sizes}


def estimation_facts(estimator: MemoryEstimator, names: tuple[str, ...]) -> dict[str, Any]:
    """How the memory function was estimated."""
    return {
        "prior": estimator.prior_,
        "evidence": estimator.evidence_,
        "hyperparameters": estimator.hyperparameters_,
        "delays": dict(zip(names, estimator.delay_, strict=True)),
        "intercept": estimator.intercept_,
        "noise_variance": estimator.noise_variance_,
        "noise_autocorrelation": estimator.noise_autocorrelation_,
    }
