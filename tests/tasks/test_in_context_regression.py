from itertools import combinations

import pytest
import torch

from recollect.core import ConfigError, NotDefinedError
from recollect.tasks import Task
from recollect.tasks.bayes_regression import sparse_average, stationary_filter
from recollect.tasks.in_context_regression import InContextRegression

FUNCTIONS = ["dense", "sparse", "network", "drifting"]


def make(**fields):
    return InContextRegression.parse({"length": 13, "dim": 5} | fields)


def prompts(task, count, seed=0):
    batch = task.batch(seed, "test", 0, count, dtype=torch.float64)
    return batch.inputs[:, 0::2, :-1], batch.inputs[:, 1::2, -1], batch


def targets_of(batch, count):
    return batch.targets[batch.mask].unflatten(0, (count, -1))[..., 0]


def conditioned(x, y, coefficients, noise):
    """Mean and variance of f(x_t) given y before t: dense Gaussian conditioning of the joint.

    `coefficients` is the covariance of all the w_s, `(n, dim, n, dim)`.
    """
    joint = torch.einsum("sd,sdte,te->st", x, coefficients, x)
    means, variances = [], []
    for t in range(len(x)):
        observed = joint[:t, :t] + noise**2 * torch.eye(t, dtype=x.dtype)
        solved = torch.linalg.solve(observed, joint[:t, t])
        means.append(solved @ y[:t])
        variances.append(joint[t, t] - solved @ joint[:t, t])
    return torch.stack(means), torch.stack(variances)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("length", [1, 12, 13])
def test_the_prompt_interleaves_inputs_and_values(function, length):
    task = make(function=function)
    batch = task.batch(0, "train", 0, 4, length=length, dtype=torch.float64)
    points = (length + 1) // 2
    assert isinstance(task, Task)
    assert batch.inputs.shape == (4, length, 6)
    assert batch.mask[0].tolist() == [t % 2 == 0 for t in range(length)]
    assert batch.groups[batch.mask].tolist() == list(range(points)) * 4
    assert not batch.inputs[:, 0::2, -1].any()
    assert not batch.inputs[:, 1::2, :-1].any()
    # The value shown after an input is what was asked at it, and nothing is asked there.
    shown = length // 2
    assert torch.equal(batch.inputs[:, 1::2, -1], batch.targets[:, 0::2, 0][:, :shown])
    assert not batch.targets[:, 1::2].any()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_example_depends_on_seed_split_and_index_alone(function):
    task = make(function=function)
    whole, part = task.batch(5, "train", 0, 20), task.batch(5, "train", 13, 4)
    assert torch.equal(whole.inputs[13:17, :, :-1], part.inputs[..., :-1])
    torch.testing.assert_close(whole.targets[13:17], part.targets, rtol=1e-6, atol=1e-6)
    for seed, split in [(6, "train"), (5, "validation")]:
        assert not torch.equal(task.batch(seed, split, 13, 4).inputs, part.inputs)
    longer = task.batch(5, "train", 13, 4, length=25)
    torch.testing.assert_close(longer.targets[:, :13], part.targets, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("spectrum", [0.0, 1.5])
def test_values_have_unit_power_whatever_the_function_and_the_spectrum(function, spectrum):
    task = make(function=function, spectrum=spectrum, noise=0.0, length=3, hidden=6)
    values = targets_of(task.batch(0, "train", 0, 60_000, dtype=torch.float64), 60_000)
    assert (values.mean(0).abs() < 0.03).all()
    assert ((values.square().mean(0) - task.guess).abs() < 0.06).all()


def test_the_covariance_of_the_inputs_has_the_stated_spectrum():
    task = make(spectrum=2.0, length=1)
    x, _, _ = prompts(task, 40_000)
    covariance = x[:, 0].T @ x[:, 0] / 40_000
    expected = 5 * torch.tensor([1, 1 / 4, 1 / 9, 1 / 16, 1 / 25], dtype=torch.float64)
    expected = expected / (1 + 1 / 4 + 1 / 9 + 1 / 16 + 1 / 25)
    torch.testing.assert_close(task.eigenvalues(), expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(covariance, torch.diag(expected), rtol=0, atol=0.1)


def test_noise_has_its_standard_deviation_and_leaves_the_inputs():
    (x, clean, _), (same, noisy, _) = prompts(make(noise=0.0), 4000), prompts(make(noise=0.3), 4000)
    assert torch.equal(x, same)
    assert float((noisy - clean).std()) == pytest.approx(0.3, rel=0.02)


def test_a_sparse_function_reads_the_stated_number_of_coordinates():
    task = make(function="sparse", nonzeros=2, noise=0.0, length=19)
    x, y, _ = prompts(task, 30)
    w = torch.linalg.lstsq(x[:, :9], y[..., None]).solution[..., 0]
    assert (w.abs() > 1e-9).sum(1).eq(2).all()


def test_a_network_is_the_sum_of_its_rectified_units():
    task = make(function="network", hidden=1, noise=0.0)
    x, y, _ = prompts(task, 50)
    for inputs, values in zip(x, y, strict=True):
        on = values != 0
        if on.sum() > 5:
            w = torch.linalg.lstsq(inputs[:-1][on], values[on, None]).solution[:, 0]
            torch.testing.assert_close(inputs[:-1] @ w * on, values, rtol=1e-8, atol=1e-8)
            assert len({bool(sign) for sign in (inputs[:-1] @ w > 0)[on]}) == 1


def test_dense_prediction_is_ridge_regression_for_every_prompt_length():
    task = make(noise=0.4, spectrum=1.0)
    x, y, batch = prompts(task, 30)
    predictions = task.bayes(batch).unflatten(0, (30, 7))[..., 0]
    for t in range(7):
        seen, values = x[:, :t], y[:, :t]
        gram = torch.einsum("bni,bnj->bij", seen, seen) + 0.16 * 5 * torch.eye(5, dtype=x.dtype)
        moments = torch.einsum("bni,bn->bi", seen, values)
        w = torch.linalg.solve(gram, moments)
        torch.testing.assert_close(predictions[:, t], (w * x[:, t]).sum(-1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("persistence", [0.0, 0.7, 0.98, 1.0])
def test_the_kalman_filter_is_conditioning_of_the_joint_gaussian(persistence):
    task = make(function="drifting", persistence=0.7, noise=0.3)
    x, y, _ = prompts(task, 6)
    predictions = stationary_filter(x, y, prior_variance=0.2, noise_variance=0.09, persistence=persistence)
    lags = (torch.arange(7)[:, None] - torch.arange(7)).abs()
    memory = torch.tensor(persistence, dtype=x.dtype) ** lags
    coefficients = torch.einsum("st,de->sdte", memory, torch.eye(5, dtype=x.dtype) / 5)
    for b in range(6):
        mean, variance = conditioned(x[b], torch.cat([y[b], y.new_zeros(1)]), coefficients, 0.3)
        torch.testing.assert_close(predictions.mean[b], mean, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(predictions.variance[b], variance, rtol=1e-9, atol=1e-9)
    if persistence == 0.7:
        assert torch.equal(task.predict(x, y).mean, predictions.mean)


def test_sparse_prediction_is_the_average_over_supports_by_bayes_rule():
    task = make(function="sparse", nonzeros=2, noise=0.4)
    x, y, _ = prompts(task, 4)
    got = task.predict(x, y)
    for b in range(4):
        for t in range(7):
            logs, means, seconds = [], [], []
            for support in combinations(range(5), 2):
                part = x[b, : t + 1, support].T
                joint = part.T @ part / 2
                observed = joint[:t, :t] + 0.16 * torch.eye(t, dtype=x.dtype)
                solved = torch.linalg.solve(observed, joint[:t, t])
                normal = torch.distributions.MultivariateNormal
                logs.append(normal(torch.zeros_like(y[b, :t]), observed).log_prob(y[b, :t]) if t else 0.0)
                means.append(solved @ y[b, :t])
                seconds.append(joint[t, t] - solved @ joint[:t, t] + means[-1] ** 2)
            shares = torch.as_tensor(logs, dtype=x.dtype).softmax(0)
            mean = (shares * torch.stack(means)).sum()
            variance = (shares * torch.stack(seconds)).sum() - mean**2
            torch.testing.assert_close(got.mean[b, t], mean, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(got.variance[b, t], variance, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("function", ["dense", "sparse", "drifting"])
def test_the_stated_variance_is_the_squared_error_that_is_measured(function):
    task = make(function=function, noise=0.5, persistence=0.9)
    x, y, batch = prompts(task, 20_000)
    predictions = task.predict(x, y)
    errors = (targets_of(batch, 20_000) - predictions.mean).square() - predictions.variance - 0.25
    assert (errors.mean(0).abs() < 4.5 * errors.std(0) / 20_000**0.5).all()


@pytest.mark.parametrize("function", ["dense", "drifting"])
@pytest.mark.parametrize("noise_factor", [0.4, 0.6, 1.7, 2.5])
def test_no_other_ridge_has_a_smaller_risk(function, noise_factor):
    task = make(function=function, noise=0.5, persistence=0.9)
    x, y, batch = prompts(task, 20_000)
    targets = targets_of(batch, 20_000)
    best = (targets - task.predict(x, y).mean).square()
    persistence = 0.9 if function == "drifting" else 1.0
    other = stationary_filter(
        x, y, prior_variance=0.2, noise_variance=0.25 * noise_factor, persistence=persistence
    )
    worse = (targets - other.mean).square() - best
    late = worse[:, 3:].mean(1)
    assert late.mean() > 3 * late.std() / 20_000**0.5
    static = (targets - stationary_filter(x, y, prior_variance=0.2, noise_variance=0.25).mean).square()
    assert function == "dense" or (static - best)[:, 3:].mean() > 0


def test_no_linear_predictor_has_a_smaller_risk():
    # The optimum is stationary: any linear function of the values before t, added to it, is uncorrelated
    # with its error, so that each one can only add to the risk.
    task = make(noise=0.5, spectrum=1.0)
    x, y, batch = prompts(task, 40_000)
    error = targets_of(batch, 40_000) - task.predict(x, y).mean
    for t in range(1, 7):
        similar = torch.einsum("bd,bnd->bn", x[:, t], x[:, :t])
        directions = torch.cat([similar * y[:, :t], similar**3 * y[:, :t]], dim=1)
        products = error[:, t, None] * directions
        assert (products.mean(0).abs() < 5 * products.std(0) / 40_000**0.5).all()


def test_knowing_the_support_helps_and_the_average_learns_it():
    task = make(function="sparse", nonzeros=1, noise=0.3)
    x, y, batch = prompts(task, 4000)
    targets = targets_of(batch, 4000)
    average = (targets - task.predict(x, y).mean).square()
    ridge = (targets - stationary_filter(x, y, prior_variance=0.2, noise_variance=0.09).mean).square()
    assert average[:, 2:].mean() < 0.8 * ridge[:, 2:].mean()


@pytest.mark.parametrize("dim", [1, 5])
def test_without_noise_as_many_examples_as_dimensions_are_enough(dim):
    task = make(noise=0.0, length=19, dim=dim)
    x, y, batch = prompts(task, 200)
    predictions = task.predict(x, y)
    error = targets_of(batch, 200) - predictions.mean
    assert error[:, dim:].abs().max() < 1e-6
    assert error[:, dim - 1].square().mean() > 0.05
    assert predictions.variance[:, dim:].abs().max() < 1e-9
    assert predictions.mean.isfinite().all()


def test_the_loss_is_the_mean_squared_error_at_the_asked_positions():
    task = make()
    batch = task.batch(0, "train", 0, 3)
    outputs = batch.targets[batch.mask] + 2.0
    assert float(task.loss(outputs, batch)) == pytest.approx(4.0)
    assert (task.input_size, task.output_size, task.criterion) == (6, 1, "nmse")
    assert task.label == "in_context_regression(length=13, dim=5)"
    assert task.facts()["function"] == "dense"


@pytest.mark.parametrize("function", ["dense", "sparse", "drifting"])
@pytest.mark.parametrize("length", [1, 12])
def test_the_reference_is_the_best_prediction_for_a_batch_as_it_comes(function, length):
    task = make(function=function, noise=0.3)
    batch = task.batch(3, "test", 5, 4, length=length)  # single precision
    reference = task.reference(batch)
    assert reference.shape == batch.targets[batch.mask].shape
    exact = task.bayes(task.batch(3, "test", 5, 4, length=length, dtype=torch.float64))
    torch.testing.assert_close(reference, exact, rtol=1e-4, atol=1e-5)


def test_there_is_no_reference_where_there_is_no_closed_form():
    for fields in ({"function": "network"}, {"function": "sparse", "noise": 0.0}):
        task = make(**fields)
        assert task.reference(task.batch(0, "test", 0, 2)) is None


def test_blocks_of_examples_change_no_prediction(monkeypatch):
    task = make(function="sparse", noise=0.3)
    x, y, _ = prompts(task, 5)
    whole = task.predict(x, y)
    monkeypatch.setattr("recollect.tasks.bayes_regression._BLOCK_NUMBERS", 2 * 10 * 7 * 2)
    for got, want in zip(task.predict(x, y), whole, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_what_has_no_closed_form_is_refused_by_name():
    network = make(function="network")
    batch = network.batch(0, "test", 0, 2)
    with pytest.raises(NotDefinedError, match="network"):
        network.bayes(batch)
    x, y = torch.zeros(1, 3, 30).double(), torch.zeros(1, 3).double()
    with pytest.raises(NotDefinedError, match="142506 choices of 5 in 30"):
        sparse_average(x, y, nonzeros=5, prior_variance=1.0, noise_variance=0.1)
    with pytest.raises(NotDefinedError, match="noise_variance=0"):
        sparse_average(x, y, nonzeros=1, prior_variance=1.0, noise_variance=0.0)
    with pytest.raises(ConfigError, match="must not exceed `dim`=5"):
        make(function="sparse", nonzeros=6)
