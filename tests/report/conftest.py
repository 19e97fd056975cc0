"""Records as a study leaves them, made without training: errors follow simple laws of each model."""

import hashlib
import math
from datetime import UTC, datetime

import numpy as np
import pytest

from recollect.studies.record import Record

HOSTILE = "<script>alert(1)</script>"
LENGTH = 32
ALPHAS = {
    "exponential": (0.5, 0.1, 0.05),
    "polynomial": (1.5, 1.1, 0.6),
    "impulse": (3.0, 9.0, 21.0),
    "airy": (4.0, 10.0, 18.0),
}
MIXERS = {"LSTM": "lstm", "GRU": "gru", "TCN": "tcn", "S4D": "s4d", "Transformer": "attention"}
REACH = {"LSTM": 8.0, "GRU": 6.0, "TCN": 15.0, "S4D": 25.0, "Transformer": 40.0, HOSTILE: 3.0}
"""Lags up to which a fake model responds."""


def true_memory(family: str, alpha: float) -> np.ndarray:
    s = np.arange(LENGTH)
    values = {
        "exponential": lambda: np.exp(-alpha * s),
        "polynomial": lambda: (1.0 + s) ** -alpha,
        "impulse": lambda: (s == alpha).astype(float),
        "airy": lambda: np.sin(0.9 * (s - alpha)) * np.exp(-(((s - alpha) / 5) ** 2)) + 1e-3,
    }[family]()
    return values / np.linalg.norm(values)


def make_record(
    model="LSTM", family="impulse", alpha=9.0, seed=0, rate=1e-2, status="done", **changes
) -> Record:
    """One record; `changes` replace metrics."""
    label = f"{family}(alpha={alpha:g})"
    name = f"{model}/{label}/{seed}/{rate}"
    rng = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    lag, true = np.arange(LENGTH), true_memory(family, alpha)
    learned = true / (1 + np.exp((lag - REACH.get(model, 10.0)) / 1.5)) * (1 - 0.1 * rng.random())
    missed = (true - learned) ** 2 * (1 - lag / LENGTH) / np.sum(true**2 * (1 - lag / LENGTH))
    linear = float(missed.sum())
    nmse = linear + 0.002 * (1 + rng.random())
    energy = np.cumsum(true**2)
    metrics = {
        "nmse": nmse, "nmse_se": 0.03 * nmse, "nmse_long": None if model == "Transformer" else 1.2 * nmse,
        "nmse_long_se": None if model == "Transformer" else 0.02 * nmse, "long_length": 4 * LENGTH,
        "validation_nmse": nmse * (1 + 5 * abs(math.log10(rate / 1e-2))), "linear_error": linear,
        "nonlinear_remainder": nmse - linear, "bias": 0.0, "steps": 1500, "train_seconds": 4.25,
        "still_improving": model == "Transformer" and family == "impulse",
        "num_parameters": 9000 + len(model), "state_size": 64,
        "receptive_field": 16 if model == "TCN" else None,
    }  # fmt: skip
    step = np.arange(100, 1501, 100)
    validation = nmse + (1 - nmse) * np.exp(-step / 300)
    series = {
        "curve": {
            "step": step.tolist(),
            "train_nmse": (validation * (1 + 0.1 * rng.standard_normal(len(step)))).clip(1e-5).tolist(),
            "validation_nmse": validation.tolist(),
        },
        "position": {
            "position": lag.tolist(),
            "nmse": (nmse * (0.5 + lag / LENGTH)).tolist(),
            "nmse_se": [0.02 * nmse] * LENGTH,
        },
        "lag": {
            "lag": lag.tolist(),
            "true": true.tolist(),
            "learned": learned.tolist(),
            "learned_se": [0.01] * LENGTH,
            "missed": missed.tolist(),
        },
    }
    failed = status == "failed"
    return Record(
        id=hashlib.sha256(name.encode()).hexdigest(),
        model=model,
        task=label,
        seed=seed,
        status=status,
        facts={
            "family": family,
            "alpha": alpha,
            "length": LENGTH,
            "h50": int(np.searchsorted(energy, 0.5)),
            "h95": int(np.searchsorted(energy, 0.95)),
            "effective_taps": float(1 / np.sum(true**4)),
        },
        config={
            "task": {"kind": "functional", "memory": {"family": family, "alpha": alpha}, "length": LENGTH},
            "model": {"mixer": MIXERS.get(model, f"mine.layers:{model}"), "dim": 32, "num_layers": 2},
            "training": {"steps": 1500, "learning_rate": rate, "batch_size": 32},
            "seed": seed,
        },
        metrics={} if failed else metrics | changes,
        series={} if failed else series,
        environment={"recollect": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "cpu": "2 cores <b>&"},
        error=f"Traceback (most recent call last):\n  ...\nValueError: {HOSTILE}" if failed else None,
        wall_seconds=5.5,
        peak_memory_bytes=300_000_000,
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


@pytest.fixture(name="make_record", scope="session")
def make_record_fixture():
    return make_record


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """Five models on twelve tasks, three seeds at two rates, and the odd ones every report must survive."""
    regular = [
        make_record(model, family, alpha, seed, rate)
        for family, alphas in ALPHAS.items()
        for alpha in alphas
        for model in MIXERS
        for seed in range(3)
        for rate in (1e-2, 3e-3)
        if not (model == "LSTM" and family == "airy" and seed == 2)
    ]
    odd = [
        make_record("LSTM", "airy", alpha, 2, rate, "diverged")
        for alpha in ALPHAS["airy"]
        for rate in (1e-2, 3e-3)
    ]
    odd += [make_record(HOSTILE, "impulse", 9.0), make_record(HOSTILE, "impulse", 21.0, status="failed")]
    odd += [make_record(HOSTILE, "impulse", 3.0, status="diverged", nmse=None, nmse_se=None)]
    return regular + odd
