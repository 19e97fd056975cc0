"""A stored run's model, trained again."""

import sys

import pytest
import torch

from recollect.core import ConfigError
from recollect.studies import Run, SerialExecutor, Store, Study, execute, run_study, trained_model

STUDY = {
    "name": "tiny",
    "tasks": [{"memory": {"family": "impulse", "alpha": 2}, "length": 8, "channels": 2}],
    "models": [{"mixer": "gru", "dim": 3}],
    "training": {
        "steps": 6,
        "batch_size": 2,
        "evaluate_every": 2,
        "validation_examples": 8,
        "test_examples": 64,
    },
}
USERS = """
from torch import nn

class Layer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.linear, self.dropout = nn.Linear(dim, dim), nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.linear(x))
"""


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'store.db'}"


def stored(url, **fields):
    with Store(url) as store:
        return run_study(Study.parse(STUDY | fields), store, SerialExecutor())


@pytest.mark.parametrize("fields", [
    {},
    {"models": [{"mixer": "attention", "dim": 4, "options": {"num_heads": 2}, "norm": "layer"}]},
    {"training": STUDY["training"] | {"precision": "float64", "loss": "population"},
     "models": [{"mixer": "lru", "dim": 3}]},
    {"training": STUDY["training"] | {"start": "construction"},
     "tasks": [{"memory": {"family": "exponential", "alpha": 0.3}, "length": 8}],
     "models": [{"mixer": "lru", "dim": 3, "bias": False}]},
    {"tasks": [{"kind": "copying", "length": 40}], "models": [{"mixer": "deltanet", "dim": 8}]},
])  # fmt: skip
def test_a_run_trained_again_has_the_validation_error_of_its_record_to_the_digit(url, fields):
    (record, *_) = stored(url, **fields)
    assert record.status == "done", record.error
    seen = []
    model, task = trained_model(record, lambda step, error: seen.append((step, error)))
    assert seen[-1] == (record.metrics["steps"], record.metrics["validation_error"])
    assert task.label == record.task
    assert not model.training


def test_it_is_the_same_model_by_its_test_error(url):
    (record, *_) = stored(url)
    model, _ = trained_model(record)
    again, _ = trained_model(record)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(("changes", "reason"), [
    ({"status": "diverged"}, "diverged: its parameters became NaN or Inf"),
    ({"status": "failed", "error": "Traceback\n  ...\nValueError: no"}, "failed: ValueError: no"),
    ({"id": "0" * 16}, "another version of recollect, or from a file whose content has changed"),
])  # fmt: skip
def test_a_run_without_its_model_is_refused_with_the_reason(url, changes, reason):
    (record, *_) = stored(url)
    with pytest.raises(ConfigError, match=reason):
        trained_model(record.model_copy(update=changes))


def test_an_untrained_run_is_refused():
    task = {"kind": "capacity", "keys": {"law": "sphere"}, "key_dim": 4, "loads": [0.5], "value_dim": 4}
    model = {"mixer": "deltanet", "options": {"num_heads": 1}}
    record = execute(Run.parse({"task": task, "model": model, "seed": 0}))
    assert record.status == "done", record.error
    with pytest.raises(ConfigError, match=r"probe the layer by its name, deltanet"):
        trained_model(record)


def test_a_run_whose_source_has_changed_is_refused(url, tmp_path, monkeypatch):
    (tmp_path / "users_retrained.py").write_text(USERS)
    monkeypatch.syspath_prepend(tmp_path)
    (record, *_) = stored(url, models=[{"mixer": "users_retrained:Layer", "dim": 3}])
    trained_model(record)
    (tmp_path / "users_retrained.py").write_text(USERS + "\n")
    sys.modules.pop("users_retrained")
    with pytest.raises(ConfigError, match=r"source of Layer.* has changed since run"):
        trained_model(record)


def test_another_error_than_the_records_is_said(url):
    (record, *_) = stored(url)
    metrics = record.metrics | {"validation_error": 0.5}
    with pytest.warns(UserWarning, match=r"has a validation error of .* where its record has 0.5"):
        trained_model(record.model_copy(update={"metrics": metrics}))
