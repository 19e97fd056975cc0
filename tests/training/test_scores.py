"""Scores against loops over examples."""

import math

import pytest
import torch
from torch import nn

from recollect.models import ModelConfig
from recollect.tasks import MQAR, ContinuousRecall, InContextRegression, Mixture, Text
from recollect.training import TrainingConfig, assess, score_split, train
from recollect.training.trainer import seed_of_setting

TASK = MQAR(length=16, num_pairs=3, vocabulary=20)
QUICK = {
    "steps": 20,
    "batch_size": 8,
    "evaluate_every": 10,
    "validation_examples": 16,
    "test_examples": 32,
}


def model_of(task, seed=0):
    config = ModelConfig(mixer="gru", dim=8)
    return config.build(task.input_size, task.output_size, seed, is_tokens=task.is_tokens).double()


def score(model, task, count):
    return score_split(model, task, 1, "test", count, dtype=torch.float64, device="cpu")


def test_accuracy_is_the_share_of_asked_positions_that_are_right():
    model = model_of(TASK)
    right, gaps = [], {}
    for index in range(40):
        batch = TASK.batch(1, "test", index, 1, dtype=torch.float64)
        answers = model(batch.inputs).argmax(-1)
        for position in batch.mask[0].nonzero().flatten().tolist():
            hit = int(answers[0, position] == batch.targets[0, position])
            right.append(hit)
            gaps.setdefault(int(batch.groups[0, position]), []).append(hit)
    found = score(model, TASK, 40)
    assert found.overall.value == pytest.approx(sum(right) / len(right), abs=1e-12)
    assert found.overall.count == len(right) == 120
    assert {g: (s.value, s.count) for g, s in found.by_group.items()} == {
        gap: (pytest.approx(sum(hits) / len(hits)), len(hits)) for gap, hits in gaps.items()
    }


def test_the_standard_error_is_that_of_a_mean_over_sequences():
    model = model_of(TASK)
    shares = []
    for index in range(40):
        batch = TASK.batch(1, "test", index, 1, dtype=torch.float64)
        hits = model(batch.inputs, batch.mask).argmax(-1) == batch.targets[batch.mask]
        shares.append(float(hits.double().mean()))
    expected = float(torch.tensor(shares, dtype=torch.float64).std()) / math.sqrt(40)
    assert score(model, TASK, 40).overall.standard_error == pytest.approx(expected, rel=1e-9)


def test_chunks_leave_no_trace_in_a_score(monkeypatch):
    model = model_of(TASK)
    whole = score(model, TASK, 40)
    monkeypatch.setattr("recollect.training.evaluation._CHUNK_VALUES", 7 * TASK.length)
    cut = score(model, TASK, 40)
    assert cut.overall.value == pytest.approx(whole.overall.value, abs=1e-12)
    assert cut.by_group.keys() == whole.by_group.keys()


def test_an_oracle_scores_one_and_noughts_score_an_nmse_of_one():
    class Oracle(nn.Module):
        def forward(self, inputs, mask):
            batch = TASK.batch(1, "test", 0, len(inputs))
            return nn.functional.one_hot(batch.targets[mask], TASK.vocabulary_size).double()

    assert score(Oracle(), TASK, 24).overall.value == 1

    class Zero(nn.Module):
        def forward(self, inputs, mask):
            return torch.zeros(int(mask.sum()), recall.output_size, dtype=torch.float64)

    recall = ContinuousRecall(length=12, num_pairs=3)
    assert score(Zero(), recall, 24).overall.value == pytest.approx(1, abs=1e-12)


def test_nan_is_no_wrong_answer():
    class Broken(nn.Module):
        def forward(self, inputs, mask):
            return torch.full((int(mask.sum()), TASK.vocabulary_size), math.nan)

    assert math.isnan(score(Broken(), TASK, 8).overall.value)


@pytest.mark.parametrize("task", [TASK, ContinuousRecall(length=12, num_pairs=3), Text(length=24)])
def test_every_criterion_trains_and_is_assessed(task):
    model = model_of(task)
    config = TrainingConfig.parse(QUICK)
    trained = train(model, task, config, seed=0)
    assert len(trained.curve.step) == len(trained.curve.seconds) == 3
    metrics, series = assess(model, task, config, seed=0)
    assert math.isfinite(metrics[task.criterion])
    assert metrics[f"{task.criterion}_se"] > 0
    assert series["setting"]["label"] == [task.label]


def test_a_mixture_is_tested_on_each_of_its_tests():
    tests = tuple(MQAR(length=length, num_pairs=2, vocabulary=20) for length in (8, 16, 32))
    task = Mixture(parts=(TASK,), examples=(1,), tests=tests)
    model = model_of(task)
    train(model, task, TrainingConfig.parse(QUICK), seed=0)
    metrics, series = assess(model, task, TrainingConfig.parse(QUICK), seed=0)
    assert series["setting"]["length"] == [8, 16, 32]
    assert metrics["accuracy"] == pytest.approx(sum(series["setting"]["score"]) / 3, abs=1e-5)


def test_the_best_predictions_are_scored_on_the_same_examples():
    task = InContextRegression(length=9, dim=2, noise=0.3)
    metrics, series = assess(model_of(task).float(), task, TrainingConfig.parse(QUICK), seed=0)
    batch = task.batch(0, "test", 0, 32, dtype=torch.float64)
    answers, targets = task.bayes(batch), batch.targets[batch.mask]
    expected = float((answers - targets).square().sum() / targets.square().sum())
    assert metrics["nmse_reference"] == pytest.approx(expected, rel=1e-6)
    assert metrics["nmse_reference"] < metrics["nmse"]
    references = series["group"]["reference"]
    assert references[0] == pytest.approx(1)
    assert references[-1] < 0.6


def test_the_first_evaluation_below_a_limit_is_when_it_was_reached():
    curve = train(model_of(TASK), TASK, TrainingConfig.parse(QUICK), seed=0).curve
    curve.validation_error[:] = [0.9, 0.005, 0.001]
    assert curve.reached(0.01) == (10, curve.seconds[1])
    assert curve.reached(1e-4) is None


def test_settings_share_no_draws_so_that_their_errors_add_up():
    tests = tuple(MQAR(length=length, num_pairs=2, vocabulary=20) for length in (8, 16))
    task = Mixture(parts=(TASK,), examples=(1,), tests=tests)
    first, second = (
        test.batch(seed_of_setting(0, task, test), "test", 0, 50).inputs[:, :4] for test in tests
    )
    assert (first != second).any(1).float().mean() > 0.9
    assert seed_of_setting(0, TASK, TASK) == 0


def test_parts_of_different_precision_score_the_same():
    model = model_of(TASK)
    whole = score(model, TASK, 40).overall.value
    single = score_split(model.float(), TASK, 1, "test", 40, dtype=torch.float32, device="cpu").overall
    assert single.value == pytest.approx(whole, abs=1 / 120)
