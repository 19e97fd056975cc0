import math

import pytest
import torch
from torch import nn
from torch.func import grad, vmap

from recollect.core import ConfigError, NotDefinedError, NumericalError
from recollect.models import ModelConfig
from recollect.tasks import FunctionalTask
from recollect.training import (
    ParameterLayout,
    TrainingConfig,
    assess,
    initial_training_state,
    loss_function,
    normalised_error,
    predict_split,
    train,
    training_step,
)

TASK = FunctionalTask.parse({"memory": {"family": "exponential", "alpha": 0.7}, "length": 9})
CONFIG = TrainingConfig(
    steps=60, batch_size=8, evaluate_every=20, learning_rate=0.02, validation_examples=32, test_examples=256
)
GRU = ModelConfig(mixer="gru", dim=5)


class BreaksAfter(nn.Module):
    """A linear read-out of the present input that returns NaN once it was trained for some steps."""

    def __init__(self, steps):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.calls, self.steps = 0, steps

    def forward(self, x):
        self.calls += self.training
        return x * self.weight * (math.nan if self.calls > self.steps else 1.0)


def changed(**fields):
    return CONFIG.model_copy(update=fields)


def test_training_lowers_the_error_and_ends_with_its_best_checkpoint():
    model = GRU.build(1, 1, seed=0)
    trained = train(model, TASK, CONFIG, seed=1)
    assert trained.status == "done"
    assert trained.curve.step == [0, 20, 40, 60]
    assert (
        trained.validation_error
        == min(trained.curve.validation_error)
        < 0.5 * trained.curve.validation_error[0]
    )
    again = predict_split(model, TASK, 1, "validation", 32, dtype=torch.float32, device="cpu")
    assert normalised_error(again).value == pytest.approx(trained.validation_error, rel=1e-6)


def test_same_config_and_seed_give_the_same_numbers():
    curves = []
    for _ in range(2):
        torch.rand(3)  # The global random state must not matter.
        curves.append(train(GRU.build(1, 1, seed=0), TASK, CONFIG, seed=1).curve.validation_error)
    assert curves[0] == curves[1]
    assert train(GRU.build(1, 1, seed=0), TASK, CONFIG, seed=2).curve.validation_error != curves[0]


def test_nan_ends_the_run_as_diverged_with_the_last_good_checkpoint():
    model = BreaksAfter(steps=30)
    trained = train(model, TASK, CONFIG, seed=0)
    assert trained.status == "diverged"
    assert trained.steps == 40
    assert math.isfinite(trained.validation_error)
    assert model.weight.isfinite().all()


def test_a_model_that_is_nan_from_the_start_has_no_error():
    trained = train(BreaksAfter(steps=-1), TASK, CONFIG, seed=0)
    assert (trained.status, trained.steps, trained.validation_error) == ("diverged", 0, None)


def test_early_stops():
    assert train(GRU.build(1, 1, seed=0), TASK, changed(solved_below=10.0), seed=0).steps == 0
    frozen = changed(learning_rate=1e-12, patience=1)
    assert train(GRU.build(1, 1, seed=0), TASK, frozen, seed=0).steps == 20


def test_progress_is_reported_at_every_evaluation():
    seen = []
    trained = train(GRU.build(1, 1, seed=0), TASK, CONFIG, 0, lambda step, error: seen.append((step, error)))
    assert [step for step, _ in seen] == [0, 20, 40, 60]
    assert seen[-1][1] == trained.validation_error


def test_the_error_is_a_ratio_of_means_whose_standard_error_covers_the_truth():
    """Predicting zero with gain 1/2 on the target has NMSE 1/4; 95 % intervals must hold it nearly always."""

    class Half(nn.Module):
        def forward(self, x):
            return 0.5 * x

    task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 0}, "length": 9, "noise": 0.4})
    truth = (0.25 + 0.4**2) / (1 + 0.4**2)
    covered = 0
    for seed in range(100):
        predictions = predict_split(Half(), task, seed, "test", 150, dtype=torch.float64, device="cpu")
        error = normalised_error(predictions)
        covered += abs(error.value - truth) < 1.96 * error.standard_error
    assert 88 <= covered <= 100


def test_a_position_without_target_power_has_no_relative_error():
    task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 3}, "length": 9})
    metrics, series = assess(GRU.build(1, 1, seed=0), task, CONFIG, seed=0)
    assert series["position"]["nmse"][:3] == [None] * 3
    assert None not in series["position"]["nmse"][3:]
    assert metrics["nmse"] > 0


def test_the_audit_of_an_assessment_adds_up_to_its_error():
    model = GRU.build(1, 1, seed=0)
    train(model, TASK, CONFIG, seed=0)
    metrics, series = assess(model, TASK, changed(test_examples=2000), seed=0)
    total = metrics["linear_error"] + metrics["nonlinear_remainder"] + metrics["bias"]
    assert total == pytest.approx(metrics["nmse"], rel=0.05)
    assert sum(series["lag"]["missed"]) == pytest.approx(metrics["linear_error"], rel=0.1)


def test_a_longer_test_is_not_defined_for_learned_positions():
    model = ModelConfig(mixer="attention", dim=8, options={"positions": "learned", "max_length": 9}).build(
        1, 1, 0
    )
    with pytest.raises(NotDefinedError):
        model(torch.zeros(1, 36, 1))
    metrics, _ = assess(model, TASK, CONFIG, seed=0)
    assert metrics["nmse_long"] is None
    assert metrics["long_note"]


def test_a_step_is_pure_and_a_stack_of_steps_equals_each_alone():
    model = ModelConfig(mixer="gru", dim=4, options={"form": "loop"}).build(1, 1, seed=0).double()
    layout = ParameterLayout.of(model)
    loss = loss_function(model, layout, TASK)
    batch = TASK.batch(0, "train", 0, 6, dtype=torch.float64)
    states = [initial_training_state(model, layout, torch.float64)]
    before = states[0].parameters.clone()
    decayed = layout.matrices()
    for _ in range(2):
        states.append(
            training_step(loss, states[-1], batch, learning_rate=0.1, config=CONFIG, decayed=decayed)[0]
        )
    assert torch.equal(states[0].parameters, before)
    stacked = torch.stack([state.parameters for state in states])
    together = vmap(grad(loss), in_dims=(0, None))(stacked, batch)
    for row, state in zip(together, states, strict=True):
        torch.testing.assert_close(row, grad(loss)(state.parameters, batch), rtol=1e-10, atol=1e-12)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("fields", [{"device": "cuda"}, {"precision": "bfloat16"}])
def test_a_missing_gpu_is_named(fields):
    with pytest.raises(ConfigError, match=r"GPU"):
        train(GRU.build(1, 1, seed=0), TASK, changed(**fields), seed=0)


def test_a_mixer_that_ends_at_the_trained_length_keeps_its_metrics():
    class Short(nn.Linear):
        def forward(self, x):
            if x.shape[1] > 9:
                raise IndexError("only nine positions")
            return super().forward(x)

    metrics, _ = assess(Short(1, 1), TASK, CONFIG, seed=0)
    assert metrics["nmse"] > 0
    assert metrics["nmse_long"] is None
    assert "only nine positions" in metrics["long_note"]


def test_the_best_checkpoint_brings_its_buffers_back():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(1)

        def forward(self, x):
            return self.norm(x.mT).mT

    model = Normed()
    trained = train(model, TASK, changed(learning_rate=0.5, clip=100.0), seed=1)
    again = predict_split(model, TASK, 1, "validation", 32, dtype=torch.float32, device="cpu")
    assert normalised_error(again).value == pytest.approx(trained.validation_error, rel=1e-5)


def test_the_best_checkpoint_is_kept_when_later_ones_are_worse():
    model = GRU.build(1, 1, seed=0)
    trained = train(model, TASK, changed(learning_rate=2.0, warmup=1.0, evaluate_every=5), seed=1)
    errors = trained.curve.validation_error
    assert errors[-1] > min(errors) == trained.validation_error
    again = predict_split(model, TASK, 1, "validation", 32, dtype=torch.float32, device="cpu")
    assert normalised_error(again).value == pytest.approx(min(errors), rel=1e-6)


def test_a_regression_that_cannot_be_solved_any_more_ends_the_run_as_diverged():
    class Winding(nn.Module):
        """Fails after some steps, as recursive least squares does when its prior is forgotten."""

        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 1)
            self.steps = 0

        def forward(self, x):
            self.steps += self.training
            if self.steps > 5:
                raise NumericalError("wound up")
            return self.linear(x)

    model = Winding()
    trained = train(model, TASK, changed(evaluate_every=2), seed=0)
    assert trained.status == "diverged"
    assert trained.curve.step == [0, 2, 4]
    assert trained.validation_error == min(trained.curve.validation_error)
