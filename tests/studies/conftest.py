import pytest

from recollect.studies import Study

TINY = {
    "name": "tiny",
    "tasks": [{"memory": {"family": "impulse", "alpha": [1, 2]}, "length": 8}],
    "models": [{"mixer": "gru", "dim": 3}, {"mixer": "s4d", "dim": 4}],
    "training": {
        "steps": 4,
        "batch_size": 2,
        "evaluate_every": 2,
        "validation_examples": 8,
        "test_examples": 64,
    },
}


@pytest.fixture
def study():
    return Study.parse(TINY)


@pytest.fixture
def define():
    """A tiny study with some fields changed."""
    return lambda **fields: Study.parse(TINY | fields)
