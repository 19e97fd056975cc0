"""Every op in every form, with and without its settings."""

import inspect

import pytest
import torch
from torch import Tensor

from recollect.ops import OPS

CHUNK = 4


class Case:
    """One form of an op under one of its settings, called with float64 samples."""

    def __init__(self, name, form, settings):
        self.name, self.form, self.spec = name, form, OPS[name]
        has_chunks = "chunk_size" in inspect.signature(self.spec.op).parameters
        self.settings = ({"chunk_size": CHUNK} if has_chunks else {}) | dict(settings)
        words = [name, form, *(f"{key}={value}" for key, value in settings.items())]
        self.id = "-".join(words)

    def inputs(self, length, seed=0):
        """Sample arguments; tensors and settings."""
        return self.spec.sample_inputs(torch.Generator().manual_seed(seed), length)

    def __call__(self, inputs, *, form=None, **arguments):
        return self.spec.op(**inputs, form=form or self.form, **self.settings, **arguments)

    def cut(self, inputs, start, stop):
        """The positions `start .. stop - 1` of all sequences."""
        entries = self.spec.sequences
        return {
            name: x[:, start * entries[name] : stop * entries[name]] if name in entries else x
            for name, x in inputs.items()
        }

    def tensors_in(self, state):
        """All tensors of a state."""
        return [state] if isinstance(state, Tensor) else [x for part in state for x in self.tensors_in(part)]

    def rebuilt(self, state, tensors):
        """A state of the same kind from tensors in the order of `tensors_in`."""
        if isinstance(state, Tensor):
            return tensors.pop(0)
        return type(state)(*(self.rebuilt(part, tensors) for part in state))

    def state(self, length=3):
        """A state that was reached, so that it is a legal one."""
        _, state = self(self.inputs(length, seed=7), form="reference", output_final_state=True)
        return state


CASES = [
    Case(name, form, settings)
    for name, spec in OPS.items()
    for settings in spec.settings
    for form in spec.forms
]


def pytest_generate_tests(metafunc):
    """Tests that take `case` run on all cases; those that take `fast` on all but the references."""
    for argument, cases in (("case", CASES), ("fast", [case for case in CASES if case.form != "reference"])):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, cases, ids=[case.id for case in cases])


@pytest.fixture
def exact():
    """Agreement in float64."""
    return {"rtol": 1e-10, "atol": 1e-10}
