"""Records as a study leaves them, made without training: errors follow simple laws of each model."""

import hashlib
import math
import os
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest

from recollect.studies.record import Record

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
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
REACH |= {"rls": 16.0, "deltanet": 12.0, "attention": 40.0}
"""Lags up to which a fake model responds, or pairs that it recalls."""


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
    """A functional one, as the first version stored it; `changes` replace metrics."""
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


def make_scored_record(
    kind="mqar", model="rls", setting=4, seed=0, rate=1e-2, status="done", **changes
) -> Record:
    """A record of a recall study: `mqar`, trained on `setting` pairs; `text`, trained; `capacity`, untrained.

    `changes` replace metrics.
    """
    task, facts, metrics, series = {
        "mqar": _mqar, "mad_recall": _mad_recall, "text": _text, "capacity": _capacity
    }[kind](REACH.get(model, 10.0), setting, seed)  # fmt: skip
    training = None if kind == "capacity" else {"steps": 500, "learning_rate": rate}
    failed = status == "failed"
    return Record(
        id=hashlib.sha256(f"{model}/{task}/{seed}/{rate}".encode()).hexdigest(),
        model=model,
        task=task,
        seed=seed,
        status=status,
        facts={"kind": kind, **facts},
        config={"task": {"kind": kind}, "model": {"mixer": model}, "training": training, "seed": seed},
        metrics={} if failed else metrics | changes,
        series={} if failed else series,
        environment={"recollect": "0.1.0"},
        error="ValueError: no" if failed else None,
        wall_seconds=2.5,
        peak_memory_bytes=200_000_000,
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


def _mqar(reach, pairs, seed):
    accuracy = 1 / (1 + (pairs / reach) ** 4) - 0.001 * seed
    facts = {"criterion": "accuracy", "length": 64, "num_pairs": pairs, "vocabulary": 256, "guess": 1 / pairs}
    metrics = {
        "accuracy": accuracy, "accuracy_se": 0.002, "validation_error": 1 - accuracy, "steps": 500,
        "train_seconds": 3.0, "steps_to_solve": 200 + seed if accuracy > 0.99 else None,
        "seconds_to_solve": 1.5 + seed if accuracy > 0.99 else None, "still_improving": False,
        "num_parameters": 9000, "state_size": 256, "state_bytes": 1024,
    }  # fmt: skip
    series = {
        "curve": {
            "step": [0, 250, 500],
            "seconds": [0.0, 1.5, 3.0],
            "train_loss": [None, 2.0, 0.1],
            "validation_error": [1.0, 0.5, 0.0],
        },
        "group": {
            "by": ["gap"] * 3, "group": [2, 4, 8], "score": [accuracy] * 3, "score_se": [0.01] * 3,
            "count": [100, 90, 80],
        },
    }  # fmt: skip
    return f"mqar(length=64, num_pairs={pairs})", facts, metrics, series


def _mad_recall(reach, vocabulary, seed):
    _, facts, metrics, series = _mqar(reach, vocabulary / 8, seed)
    facts = {
        "criterion": "accuracy",
        "length": 128,
        "benchmark": "mad",
        "factor": "vocabulary",
        "guess": None,
    }
    return f"mad_recall(vocabulary={vocabulary})", facts, metrics, series


def _text(reach, _, seed):
    facts = {"criterion": "cross_entropy", "length": 128, "guess": None}
    error = 3 + 1 / reach + 0.01 * seed
    metrics = {
        "cross_entropy": error,
        "cross_entropy_se": 0.02,
        "validation_error": error,
        "state_bytes": 512,
    }
    return "text", facts, metrics, {}


def _capacity(reach, _, seed):
    facts = {"criterion": "capacity", "keys": "sphere", "key_dim": 16, "value_dim": 16}
    return "capacity(keys=sphere)", facts, {"capacity": reach / 8 + 0.01 * seed, "state_size": 256}, {}


@pytest.fixture(name="make_scored_record", scope="session")
def make_scored_record_fixture():
    return make_scored_record


@pytest.fixture(scope="session")
def recall_records() -> list[Record]:
    """Two trained tasks and an untrained one, each with a criterion of its own; three models and seeds."""
    return [
        make_scored_record(kind, model, setting, seed)
        for kind, settings in (("mqar", (4, 16)), ("text", (0,)), ("capacity", (0,)))
        for setting in settings
        for model in ("rls", "deltanet", "attention")
        for seed in range(3)
    ]


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


NO_FLOOR = {"LSTM": "its gates are not linear", "GRU": "its gates are not linear"}
NO_FLOOR |= {"Transformer": "it reads the content"}


def make_bounded_record(model="S4D", family="impulse", alpha=9.0, seed=0, **changes) -> Record:
    """A run of a task whose floor is known: that of S4D rises with the lag, TCN's is that of its tail.

    `changes` replace metrics; `excess` follows from the error and the floor.
    """
    record = make_record(model, family, alpha, seed)
    binds = model not in NO_FLOOR
    levels = {"S4D": 0.02 * alpha if family == "impulse" else 1e-11, "TCN": 0.6 if alpha > 16 else 0.0}
    floor = levels.get(model, 0.0)
    metrics = {
        "nmse": 1.05 * floor + 0.01, "nmse_se": 0.001,
        "floor": floor, "floor_attained": 1.2 * floor if binds else None,
        "floor_binds": binds, "floor_how": NO_FLOOR.get(model, "weighted Hankel"), "floor_size": 64,
        "nmse_exact": None, "below_floor": False, "steps_to_half": 250,
    } | changes  # fmt: skip
    metrics = {"linear_error": metrics["nmse"] - 0.003, "nonlinear_remainder": 0.002, "bias": 0.001} | metrics
    error = metrics["nmse"] if metrics["nmse_exact"] is None else metrics["nmse_exact"]
    metrics = {"excess": error - metrics["floor"] if metrics["floor_binds"] else None} | metrics
    return record.model_copy(update={"metrics": record.metrics | metrics})


@pytest.fixture(name="make_bounded_record", scope="session")
def make_bounded_record_fixture():
    return make_bounded_record


@pytest.fixture(scope="session")
def bounded_records() -> list[Record]:
    """Five models on four families, of which two have a floor; two seeds."""
    return [
        make_bounded_record(model, family, alpha, seed)
        for family, alphas in ALPHAS.items()
        for alpha in alphas
        for model in MIXERS
        for seed in range(2)
    ]


def skip_or_fail(reason):
    """A machine without a browser may skip; one that promised to run these tests may not."""
    if os.environ.get("RECOLLECT_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="package")
def browser():
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        skip_or_fail("no Chromium found; install it with: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_or_fail("Playwright's Python package is missing; install it with: pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()
