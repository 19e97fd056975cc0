"""Which class a model is put into: a wrong one has a floor that is too high, or lower than it need be."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from recollect.floors import AlibiHeads, FiniteMemory, LinearDilated, LinearRecurrence, NoPositions, Problem
from recollect.floors.alibi import recurrences_at_each_position
from recollect.floors.of_model import floor_of, memberships
from recollect.models import ModelConfig
from recollect.probing import population_loss
from recollect.tasks import FunctionalTask

TASK = FunctionalTask.parse({"memory": {"family": "airy", "alpha": 6}, "length": 13})
LINEAR, STATIC = LinearRecurrence(feed_through=True), LinearRecurrence(feed_through=True, readout="static")
SSM = {"mixer": "ssm", "options": {"num_states": 3}}
HEADS = {"mixer": "attention", "options": {"positions": "alibi", "content": False, "num_heads": 2}}


def tcn(**options):
    return {"mixer": "tcn", "options": {"activation": "linear", "num_levels": 2} | options}


def built(fields, seed=0):
    return ModelConfig.parse({"dim": 6} | fields).build(1, 1, seed).double()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (SSM, [(LINEAR, 3)]),
        (SSM | {"num_layers": 2}, [(LINEAR, 6)]),
        (SSM | {"channel_mixer": "mlp"}, [(STATIC, 3)]),
        (SSM | {"norm": "layer"}, []),
        ({"mixer": "gru"}, []),
        (tcn(), [(FiniteMemory(), 4), (LinearDilated(num_levels=2, skip=True), 6)]),
        (tcn() | {"residual": False}, [(FiniteMemory(), 4), (LinearDilated(num_levels=2, skip=False), 6)]),
        (tcn(residual=False), [(FiniteMemory(), 4), (LinearDilated(num_levels=2, skip=True), 6)]),
        (tcn(kernel_size=3), [(FiniteMemory(), 7)]),  # taps of different levels fall together
        (tcn() | {"num_layers": 2}, [(FiniteMemory(), 7)]),
        (tcn(activation="relu"), [(FiniteMemory(), 4)]),
        (HEADS, [(AlibiHeads(slopes="learned", feed_through=True, num_layers=1), 2)]),
        (HEADS | {"num_layers": 2}, [(AlibiHeads(slopes="learned", feed_through=True, num_layers=2), 4)]),
        ({"mixer": "attention", "options": {"positions": "none", "num_heads": 3}}, [(NoPositions(), 3)]),
        ({"mixer": "attention", "options": {"positions": "rope", "num_heads": 3}}, []),
    ],
)
def test_a_model_is_in_these_classes_and_no_others(fields, expected):
    found = [(member.model_class, member.size) for member in memberships(TASK, built(fields))]
    assert found == expected


TRAINED = {
    "ssm": SSM | {"options": {"num_states": 2}},
    "lru": {"mixer": "lru", "options": {"num_states": 1}},
    "s4d of two channels": {"mixer": "s4d", "options": {"num_states": 1}, "dim": 2},
    "linear rnn": {"mixer": "rnn", "options": {"activation": "linear"}, "dim": 2},
    "narrow tcn": tcn(num_levels=4) | {"dim": 1},
    "heads": HEADS,
    "heads in two layers": HEADS | {"num_layers": 2},
    "memory weights": {
        "mixer": "regression",
        "dim": 2,
        "options": {
            "keys": "ones",
            "num_heads": 1,
            "weights": {"kind": "memory", "function": {"family": "exponential", "alpha": 0.2}},
        },
    },
}


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("family", ["airy", "impulse", "polynomial"])
def test_models_trained_on_the_exact_loss_never_get_below_their_floor(name, family):
    memory = {"family": family, "alpha": {"airy": 6, "impulse": 5, "polynomial": 0.6}[family]}
    task = FunctionalTask.parse({"memory": memory, "length": 13})
    model = built(TRAINED[name])
    floor = floor_of(task, model)
    power = Problem(task.taps(), "window").energy
    assert descended(model, task) / power >= floor.lower * (1 - 1e-12)


def descended(model, task):
    """The lowest exact loss on a descent from two starts."""
    parameters = list(model.parameters())
    sizes = [parameter.numel() for parameter in parameters]
    lowest = []

    def loss(flat):
        with torch.no_grad():
            for parameter, part in zip(parameters, torch.from_numpy(flat).split(sizes), strict=True):
                parameter.copy_(part.view_as(parameter))
        value = population_loss(model, task)
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        zeros = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
        lowest.append(float(value.detach()))
        return lowest[-1], np.concatenate([g.flatten().numpy() for g in zeros])

    start = torch.cat([parameter.detach().flatten() for parameter in parameters]).numpy()
    for scale in (1.0, 0.3):
        minimize(loss, scale * start, jac=True, method="L-BFGS-B", options={"maxiter": 60, "maxfun": 90})
    return min(value for value in lowest if np.isfinite(value))


def test_the_ranks_of_heads_bound_each_position_once():
    # Of three positions only the last asks more than one exponential can give.
    rho = torch.tensor([1.0, -0.2, 0.9], dtype=torch.float64)
    problem = Problem(rho, "window")
    one, two = recurrences_at_each_position(problem, [1, 2], feed_through=False)
    rates = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    shapes = rates[:, None] ** torch.arange(3)
    gains = shapes @ rho / shapes.square().sum(1)
    least = float((rho - gains[:, None] * shapes).square().sum(1).min()) / (3 * problem.energy)
    assert 0.5 * least < one <= least
    assert two == 0
