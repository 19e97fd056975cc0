"""Training on the expected loss: the same steps as on samples, without their noise."""

import pytest
import torch
from torch.func import functional_call

from recollect.core import ConfigError
from recollect.models import ModelConfig
from recollect.probing import population_loss, population_nmse
from recollect.tasks import FunctionalTask
from recollect.training import (
    ParameterLayout,
    TrainingConfig,
    assess,
    check_objective,
    loss_function,
    population_objective,
    train,
)

TASK = FunctionalTask.parse({"memory": {"family": "exponential", "alpha": 0.4}, "length": 9, "noise": 0.1})
EXACT = TrainingConfig(
    loss="population", steps=60, evaluate_every=20, learning_rate=0.02, precision="float64", long_factor=None
)
MODELS = {
    "lru": ModelConfig(mixer="lru", dim=4, options={"num_states": 3}),
    "ssm": ModelConfig(mixer="ssm", dim=4, options={"num_states": 3, "states": "complex"}),
    "s4d": ModelConfig(mixer="s4d", dim=4, options={"num_states": 2}),
    "rnn": ModelConfig(mixer="rnn", dim=4, options={"activation": "linear"}),
    "tcn": ModelConfig(mixer="tcn", dim=4, options={"activation": "linear", "num_levels": 2}),
    "attention": ModelConfig(
        mixer="attention", dim=4, options={"positions": "alibi", "content": False, "num_heads": 2}
    ),
}
LRU = MODELS["lru"]


def changed(**fields):
    return EXACT.model_copy(update=fields)


@pytest.mark.parametrize("name", MODELS)
def test_an_affine_model_learns_and_ends_with_its_best_checkpoint(name):
    model = MODELS[name].build(1, 1, seed=0)
    trained = train(model, TASK, EXACT, seed=1)
    assert trained.status == "done"
    assert trained.curve.step == [0, 20, 40, 60]
    errors = trained.curve.validation_error
    assert trained.validation_error == min(errors) < 0.9 * errors[0]
    assert population_nmse(model, TASK) == trained.validation_error


def test_nothing_is_drawn():
    """Not from the task, whose seed then does not matter; and train loss and error are one number."""
    first, second = (
        train(LRU.build(1, 1, 0), TASK, changed(steps=12, evaluate_every=1), seed=s) for s in (1, 2)
    )
    assert first.curve.validation_error == second.curve.validation_error
    # The loss of step n is taken before it: the error found after step n - 1.
    assert first.curve.train_loss[1:] == pytest.approx(first.curve.validation_error[:-1], rel=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_the_mean_of_sampled_ones(name):
    model = MODELS[name].build(1, 1, seed=0).double()
    layout = ParameterLayout.of(model)
    flat = layout.flatten(model, torch.float64).requires_grad_()
    sampled = loss_function(model, layout, TASK)
    gradients = torch.stack([
        torch.autograd.grad(sampled(flat, TASK.batch(0, "train", 64 * i, 64, dtype=torch.float64)), flat)[0]
        for i in range(100)
    ])  # fmt: skip
    (exact,) = torch.autograd.grad(population_objective(model, layout, TASK).loss(flat, None), flat)
    errors = gradients.std(0) / len(gradients) ** 0.5
    assert ((gradients.mean(0) - exact).abs() <= 4.5 * errors + 1e-14).all()


def test_the_objective_is_the_loss_of_the_model_with_those_parameters():
    model = LRU.build(1, 1, seed=0).double()
    layout = ParameterLayout.of(model)
    other = 0.9 * layout.flatten(model, torch.float64)
    found = population_objective(model, layout, TASK).loss(other, None)
    layout.load(other, model)
    assert torch.equal(found, population_loss(model, TASK).detach())


def test_larger_batches_come_to_what_the_exact_loss_gives():
    long = changed(steps=200, evaluate_every=200)
    exact = train(LRU.build(1, 1, 0), TASK, long, seed=1).validation_error
    gaps = []
    for batch_size in (4, 512):
        model, fields = LRU.build(1, 1, 0), {"loss": "sampled", "batch_size": batch_size}
        train(model, TASK, long.model_copy(update=fields), seed=1)
        gaps.append(abs(population_nmse(model, TASK) - exact) / exact)
    assert gaps[1] < 0.005 < gaps[0]


def test_single_precision_finds_the_same():
    errors = [
        train(LRU.build(1, 1, 0), TASK, changed(precision=precision), seed=1).validation_error
        for precision in ("float32", "float64")
    ]
    assert errors[0] == pytest.approx(errors[1], rel=1e-3)


def test_clipping_decay_and_early_stops_are_as_ever():
    assert train(LRU.build(1, 1, 0), TASK, changed(solved_below=10.0), seed=0).steps == 0
    assert train(LRU.build(1, 1, 0), TASK, changed(learning_rate=1e-12, patience=1), seed=0).steps == 20
    decayed = train(LRU.build(1, 1, 0), TASK, changed(weight_decay=5.0), seed=0)
    clipped = train(LRU.build(1, 1, 0), TASK, changed(clip=1e-3), seed=0)
    plain = train(LRU.build(1, 1, 0), TASK, EXACT, seed=0)
    assert len({run.validation_error for run in (plain, decayed, clipped)}) == 3


@pytest.mark.parametrize("fields", [{"examples": 100}, {"epochs": 3}, {"examples": 100, "epochs": 3}])
def test_a_fixed_set_of_examples_contradicts_the_expected_loss(fields):
    with pytest.raises(ConfigError, match="draws no examples: leave out `examples` and `epochs`"):
        TrainingConfig.parse({"loss": "population"} | fields)


def test_low_precision_is_refused():
    with pytest.raises(ConfigError, match="no use for bfloat16"):
        TrainingConfig.parse({"loss": "population", "precision": "bfloat16"})


def test_what_has_no_exact_loss_is_refused_before_any_step():
    gru = ModelConfig(mixer="gru", dim=4).build(1, 1, seed=0)
    for ask in (lambda: check_objective(gru, TASK, EXACT), lambda: train(gru, TASK, EXACT, seed=0)):
        with pytest.raises(ConfigError, match=r"the mixer \(GRU\).*train with loss: sampled"):
            ask()
    check_objective(gru, TASK, changed(loss="sampled"))
    check_objective(LRU.build(1, 1, 0), TASK, EXACT)


def test_an_assessment_of_an_affine_model_says_its_exact_error():
    model = LRU.build(1, 1, seed=0).double()
    metrics, _ = assess(model, TASK, EXACT, seed=0)
    assert metrics["nmse_exact"] == population_nmse(model, TASK)
    assert abs(metrics["nmse"] - metrics["nmse_exact"]) < 4 * metrics["nmse_se"]


def test_where_the_exact_error_is_not_known_it_is_absent():
    gru = ModelConfig(mixer="gru", dim=4).build(1, 1, seed=0)
    metrics, _ = assess(gru, TASK, TrainingConfig(test_examples=64, long_factor=None), seed=0)
    assert metrics["nmse_exact"] is None


def test_the_model_lends_its_structure_and_keeps_its_parameters():
    model = LRU.build(1, 1, seed=0).double()
    layout = ParameterLayout.of(model)
    before = layout.flatten(model, torch.float64)
    objective = population_objective(model, layout, TASK)
    objective.loss(torch.zeros_like(before) + 0.1, next(objective.batches))
    assert torch.equal(layout.flatten(model, torch.float64), before)
    x = TASK.batch(0, "train", 0, 2, dtype=torch.float64).inputs
    assert torch.equal(functional_call(model, layout.unflatten(before), (x,)), model(x))
