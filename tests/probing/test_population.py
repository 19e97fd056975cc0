"""The exact loss, against the enumeration of a law that has finitely many inputs: all sequences of signs."""

import copy

import pytest
import torch
from torch import nn

from recollect.core import ConfigError
from recollect.models import ModelConfig
from recollect.models.linear_response import LinearResponse
from recollect.probing import audit, check_population, linear_response, population_loss, population_nmse
from recollect.tasks import MQAR, Batch, FunctionalTask
from recollect.training import normalised_error, predict_split

AFFINE = {
    "ssm-real": {"mixer": "ssm", "options": {"num_states": 3}},
    "ssm-complex": {"mixer": "ssm", "options": {"num_states": 3, "states": "complex"}},
    "ssm-convolution": {"mixer": "ssm", "options": {"num_states": 3, "form": "convolution"}},
    "lru": {"mixer": "lru", "options": {"num_states": 3}},
    "s4d": {"mixer": "s4d", "options": {"num_states": 2}},
    "rnn": {"mixer": "rnn", "options": {"activation": "linear"}},
    "tcn": {"mixer": "tcn", "options": {"activation": "linear", "num_levels": 2}},
    "attention": {"mixer": "attention", "options": {"positions": "alibi", "content": False, "num_heads": 2}},
    "regression-decay": {
        "mixer": "regression",
        "options": {"keys": "ones", "num_heads": 2, "weights": {"kind": "constant_decay", "learned": True}},
    },
    "regression-memory": {
        "mixer": "regression",
        "options": {
            "keys": "ones",
            "num_heads": 2,
            "weights": {"kind": "memory", "function": {"family": "polynomial", "alpha": 0.6}},
        },
    },
    "regression-window": {
        "mixer": "regression",
        "options": {"keys": "ones", "num_heads": 2, "weights": {"kind": "window", "size": 3}},
    },
    "regression-uniform": {"mixer": "regression", "options": {"keys": "ones", "num_heads": 2}},
    "no-bias": {"mixer": "lru", "bias": False, "residual": False},
    "bare": {"mixer": "rnn", "options": {"activation": "linear"}, "encoder": False},
    "two-layers": {"mixer": "ssm", "num_layers": 2, "options": {"num_states": 3}},
    "two-layers-attention": {
        "mixer": "attention",
        "num_layers": 2,
        "options": {"positions": "alibi", "content": False, "num_heads": 2},
    },
    "alternating": {
        "mixer": "lru",
        "num_layers": 2,
        "alternate": {"mixer": "tcn", "options": {"activation": "linear", "num_levels": 2}},
    },
}
MEMORY = {"family": "polynomial", "alpha": 0.7}
ONE = {"memory": MEMORY, "length": 6}
MANY = {"memory": MEMORY, "length": 4, "channels": 2, "mixing": [[1.0, -0.5], [0.3, 2.0], [0.0, 0.7]]}


def posed(**fields):
    return FunctionalTask.parse({"memory": MEMORY, "length": 6} | fields)


def built(config, task, seed=0):
    """With every parameter away from special values such as a bias of zero, in float64."""
    model = ModelConfig.parse({"dim": 4} | config).build(task.input_size, task.output_size, seed).double()
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64)
    return model


def all_signs(*shape):
    count = torch.Size(shape).numel()
    bits = torch.arange(2**count)[:, None] >> torch.arange(count) & 1
    return (2.0 * bits.double() - 1).unflatten(1, shape)


def enumerated(task, length=None):
    x = all_signs(length or task.length, task.input_size)
    return Batch(x, task.targets(x), torch.ones(x.shape[:2], dtype=torch.bool))


@pytest.mark.parametrize("fields", [ONE, MANY], ids=["one channel", "mixed channels"])
@pytest.mark.parametrize("name", AFFINE)
def test_the_loss_and_its_gradient_are_those_of_all_sign_sequences_together(name, fields):
    task = FunctionalTask.parse(fields | {"input": {"law": "signs"}})
    config = AFFINE[name] | ({"dim": task.input_size} if name == "bare" else {})
    model, batch = built(config, task), enumerated(task)
    parameters = list(model.parameters())
    losses = population_loss(model, task), task.loss(model(batch.inputs), batch)
    torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in losses]
    for exact, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(exact, expected, rtol=1e-12, atol=1e-12)


def test_noise_is_counted_as_the_sampled_loss_counts_it():
    task = posed(length=3, channels=2, noise=0.3, mixing=[[1.0, -0.5], [0.3, 2.0]])
    model = built(AFFINE["lru"], task)
    both = all_signs(3, 4)
    x, noise = both[..., :2], 0.3 * both[..., 2:]
    targets = task.targets(x) + noise
    batch = Batch(x, targets, torch.ones(x.shape[:2], dtype=torch.bool))
    sampled = task.loss(model(x), batch).detach()
    torch.testing.assert_close(population_loss(model, task).detach(), sampled, rtol=1e-12, atol=1e-12)
    error = float(sampled / targets.square().mean())
    assert population_nmse(model, task) == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize("name", ["lru", "tcn", "attention"])
def test_the_error_at_another_length_is_that_of_longer_sequences(name):
    task = posed(length=3)
    model, batch = built(AFFINE[name], task), enumerated(task, length=9)
    error = (model(batch.inputs).detach() - batch.targets).square().mean() / batch.targets.square().mean()
    assert population_nmse(model, task, length=9) == pytest.approx(float(error), rel=1e-12)


@pytest.mark.parametrize("law", ["gaussian", "uniform", "signs"])
@pytest.mark.parametrize("name", ["s4d", "attention"])
def test_a_sampled_error_is_within_its_error_of_the_exact_one(name, law):
    task = posed(length=12, channels=2, noise=0.2, input={"law": law})
    model = built(AFFINE[name], task)
    predictions = predict_split(model, task, 3, "test", 3000, dtype=torch.float64, device="cpu")
    sampled = normalised_error(predictions)
    assert abs(sampled.value - population_nmse(model, task)) < 4 * sampled.standard_error


@pytest.mark.parametrize("name", ["ssm-complex", "attention"])
def test_the_audit_of_examples_finds_the_same_kernel_and_error(name):
    task = posed(length=5, channels=2)
    model = built(AFFINE[name], task)
    batch = task.batch(0, "test", 0, 4000, dtype=torch.float64)
    with torch.no_grad():
        found = audit(batch.inputs, model(batch.inputs), batch.targets)
        kernel = linear_response(model, 5).kernel
    if kernel.ndim == 4:  # the audit averages over the positions that have a lag
        kernel = kernel.sum(0) / torch.arange(5, 0, -1)[:, None, None]
    torch.testing.assert_close(found.learned, kernel, rtol=1e-10, atol=1e-10)
    assert found.nonlinear_remainder < 1e-13
    assert found.linear_error + found.bias == pytest.approx(population_nmse(model, task), rel=0.05)


def test_a_separable_kernel_costs_what_its_table_costs():
    task = posed(length=11, channels=2)
    response = linear_response(built(AFFINE["attention"], task), 11)
    target = torch.randn(11, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    table = LinearResponse(response.kernel, response.bias)
    torch.testing.assert_close(
        response.mean_square(target), table.mean_square(target), rtol=1e-12, atol=1e-14
    )


def test_a_single_precision_model_is_measured_in_double_and_left_as_it_is():
    task = posed()
    model = built(AFFINE["lru"], task).float()
    before = copy.deepcopy(model.state_dict())
    error = population_nmse(model, task)
    assert error == population_nmse(copy.deepcopy(model).double(), task)
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])


def test_the_best_predictor_has_no_error_but_the_noise():
    task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 0}, "length": 7, "noise": 0.5})
    config = AFFINE["bare"] | {"decoder": False}
    model = ModelConfig.parse(config | {"dim": 1}).build(1, 1, seed=0).double()
    with torch.no_grad():
        model.mixers[0].input_matrix.zero_()  # what is left is the residual connection
    assert population_nmse(model, task) == pytest.approx(0.25 / 1.25, rel=1e-14)


@pytest.mark.parametrize(("fields", "reason"), [
    ({"input": {"law": "ar1", "coefficient": 0.5}}, r"white input .* got ar1\(0.5\)"),
    ({"output": "tanh"}, "output='tanh'"),
])  # fmt: skip
def test_tasks_whose_expected_loss_is_not_known_are_refused(fields, reason):
    task = posed(**fields)
    for ask in (population_loss, population_nmse, check_population):
        with pytest.raises(ConfigError, match=reason):
            ask(built(AFFINE["lru"], task), task)


def test_a_task_of_tokens_is_refused():
    with pytest.raises(ConfigError, match="needs a functional task"):
        check_population(built(AFFINE["lru"], posed()), MQAR.parse({"length": 16, "num_pairs": 2}))


@pytest.mark.parametrize(("model", "reason"), [
    (ModelConfig(mixer="gru", dim=4).build(1, 1, 0), r"the mixer \(GRU\)"),
    (ModelConfig(mixer="attention", dim=8).build(1, 1, 0), r"the mixer \(Attention\)"),
    (ModelConfig(mixer="lru", dim=4, norm="layer").build(1, 1, 0), r"the norm \(LayerNorm\)"),
    (ModelConfig(mixer="lru", dim=4, channel_mixer="mlp").build(1, 1, 0), r"the channel mixer \(MLP\)"),
    (nn.Linear(1, 1), "needs the linear response of a SequenceModel, got Linear"),
])  # fmt: skip
def test_models_that_are_not_affine_are_refused_by_the_part_that_is_not(model, reason):
    for ask in (check_population, population_loss, population_nmse):
        with pytest.raises(ConfigError, match=reason):
            ask(model, posed())
    with pytest.raises(ConfigError, match=reason):
        linear_response(model, 5)
