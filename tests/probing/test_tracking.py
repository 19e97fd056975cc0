import math

import pytest
import torch

from recollect import regression as R
from recollect.core import ConfigError
from recollect.probing.kalman import weighted_least_squares
from recollect.probing.tracking import measure_tracking, predictions
from recollect.tasks.bayes_regression import kalman_filter
from recollect.tasks.tracking import TrackingTask

LAWS = [
    {"law": "constant"},
    {"law": "switch", "rate": 0.3},
    {"law": "drift", "memory": 5},
    {"law": "walk", "step": 0.4},
]


def make(**fields):
    return TrackingTask.parse({"length": 40, "key_dim": 4, "examples": 96} | fields)


def measure(layer, task, seed=0):
    return measure_tracking(layer.double().eval(), task, seed, lambda step, error: None)


def decaying(decay, optimizer=None, dim=4):
    return R.RegressionLayer(
        dim, num_heads=1, weights=R.ConstantDecay(decay=decay), optimizer=optimizer or R.OneStep()
    )


def exact(decay, ridge=1.0, dim=4):
    return decaying(decay, R.Exact(prior="fixed", ridge=ridge), dim)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law["law"])
def test_the_kalman_filter_is_dense_gaussian_conditioning(law):
    """All coefficients at all positions as one Gaussian vector, conditioned on the values before each."""
    task = make(drift=law, length=7, key_dim=2, noise=0.4, correlation=0.5)
    drawn = task.draw(3, 0, 3)
    filtered = kalman_filter(drawn.k, drawn.v, *drawn.motion, noise=task.noise)
    for b in range(3):
        covariance = _coefficient_covariance(drawn.motion.kept[b], drawn.motion.added[b])
        signals = covariance * (drawn.k[b] @ drawn.k[b].T)
        values = signals + task.noise**2 * torch.eye(7, dtype=torch.float64)
        for t in range(7):
            gain = torch.linalg.solve(values[:t, :t], signals[:t, t])
            torch.testing.assert_close(
                filtered.predictions[b, t], gain @ drawn.v[b, :t], rtol=1e-9, atol=1e-9
            )
            left = signals[t, t] - gain @ signals[:t, t]
            torch.testing.assert_close(filtered.variances[b, t], left, rtol=1e-9, atol=1e-9)


def _coefficient_covariance(kept, added):
    """Of one coefficient at all positions: W = A W shifted + noise, solved for W."""
    chain = torch.eye(len(kept), dtype=torch.float64) - torch.diag(kept[1:], -1)
    inverse = torch.linalg.inv(chain)
    return inverse @ torch.diag(added) @ inverse.T


def test_without_noise_as_many_associations_as_channels_are_enough_for_all_value_channels():
    drawn = make(drift={"law": "constant"}, key_dim=3, length=9).draw(0, 0, 4)
    filtered = kalman_filter(drawn.k, drawn.signal, *drawn.motion, noise=0.0)
    torch.testing.assert_close(filtered.predictions[:, 3:], drawn.signal[:, 3:], rtol=1e-7, atol=1e-7)
    assert filtered.variances[:, 3:].abs().max() < 1e-9
    assert filtered.variances[:, :3].min() > 1e-4


def test_values_of_the_last_keys_may_be_missing():
    task = make(drift={"law": "drift", "memory": 5}, length=9)
    drawn = task.draw(0, 0, 4)
    whole = kalman_filter(drawn.k, drawn.v, *drawn.motion, noise=task.noise)
    part = kalman_filter(drawn.k, drawn.v[:, :6], *drawn.motion, noise=task.noise)
    torch.testing.assert_close(part.predictions[:, :7], whole.predictions[:, :7], rtol=1e-12, atol=1e-12)
    assert (part.variances[:, 7:] > whole.variances[:, 7:]).all()


def test_the_filters_errors_have_the_variance_that_it_states():
    task = make(drift={"law": "walk", "step": 0.2}, examples=3000)
    drawn = task.draw(1, 0, 3000)
    filtered = kalman_filter(drawn.k, drawn.v, *drawn.motion, noise=task.noise)
    squared = (filtered.predictions - drawn.signal).square().mean(-1)
    ratio = (squared / filtered.variances).mean(0)
    assert (ratio - 1).abs().max() < 5 * math.sqrt(2 / (3000 * 4))


@pytest.mark.parametrize("decay", [0.6, 0.95, 1.0])
def test_weighted_least_squares_is_the_explicit_solution(decay):
    drawn = make(length=9, key_dim=3).draw(0, 0, 2)
    got = weighted_least_squares(drawn.k, drawn.v, decay=decay, ridge=0.2)
    for t in range(9):
        weights = decay ** torch.arange(t - 1, -1, -1, dtype=torch.float64)
        for b in range(2):
            k, v = drawn.k[b, :t], drawn.v[b, :t]
            rows = torch.cat(
                [weights.sqrt()[:, None] * k, math.sqrt(0.2) * torch.eye(3, dtype=torch.float64)]
            )
            right = torch.cat([weights.sqrt()[:, None] * v, torch.zeros(3, 3, dtype=torch.float64)])
            fit = torch.linalg.lstsq(rows, right).solution
            torch.testing.assert_close(got[b, t], drawn.k[b, t] @ fit, rtol=1e-10, atol=1e-10)


def test_constant_coefficients_make_the_filter_ridge_regression():
    task = make(drift={"law": "constant"}, correlation=0.8)
    drawn = task.draw(0, 0, 5)
    ridge = weighted_least_squares(drawn.k, drawn.v, decay=1.0, ridge=task.noise**2)
    filtered = kalman_filter(drawn.k, drawn.v, *drawn.motion, noise=task.noise)
    torch.testing.assert_close(filtered.predictions, ridge, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: kalman_filter(x, x, x[..., 0], x[..., 0], noise=-0.1), "noise=-0.1"),
    (lambda x: weighted_least_squares(x, x, decay=1.5, ridge=1.0), "decay=1.5"),
    (lambda x: weighted_least_squares(x, x, decay=1.0, ridge=0.0), "ridge=0.0"),
])  # fmt: skip
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(1, 2, 1, dtype=torch.float64))


@pytest.mark.parametrize("prior", ["decaying", "fixed"])
def test_least_squares_layers_without_decay_are_exact_least_squares(prior):
    drawn = make(correlation=0.7).draw(0, 0, 6)
    layer = R.RegressionLayer(4, num_heads=1, optimizer=R.Exact(prior=prior, ridge=1.0)).double()
    want = weighted_least_squares(drawn.k, drawn.v, decay=1.0, ridge=1.0)[:, 1:]
    torch.testing.assert_close(predictions(layer, drawn.k, drawn.v), want, rtol=1e-8, atol=1e-8)


def test_least_squares_layers_with_a_decay_are_weighted_least_squares():
    drawn = make().draw(0, 0, 6)
    want = weighted_least_squares(drawn.k, drawn.v, decay=0.875, ridge=1.0)[:, 1:]
    got = predictions(exact(0.875).double(), drawn.k, drawn.v)
    # A layer keeps the logarithm of its decay as a parameter's dtype says, single here.
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)


def test_predictions_know_nothing_of_the_value_they_predict():
    drawn = make().draw(0, 0, 2)
    changed = drawn.v.clone()
    changed[:, 20] += 100.0
    for layer in (exact(0.9), R.CATALOG["rwkv6"](4, num_heads=1), R.CATALOG["deltanet"](4, num_heads=1)):
        before, after = (predictions(layer.double(), drawn.k, v) for v in (drawn.v, changed))
        # Prediction number i is of position i + 1.
        torch.testing.assert_close(before[:, :20], after[:, :20], rtol=0, atol=1e-9)
        assert (before[:, 20] - after[:, 20]).abs().max() > 0.1


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law["law"])
@pytest.mark.parametrize("layer", [
    lambda: exact(0.9, ridge=0.09), lambda: exact(1.0, ridge=0.09), lambda: decaying(0.8),
    lambda: decaying(0.95, R.Sgd(step=0.5)), lambda: R.CATALOG["longhorn"](4, num_heads=1),
    lambda: R.CATALOG["softmax_attention_qknorm"](4, num_heads=1, rotation="none"),
    lambda: R.CATALOG["linear_attention"](4, num_heads=1),
    lambda: R.RegressionLayer(4, num_heads=1, optimizer=R.Sgd(step=0.2, momentum=0.5)),
])  # fmt: skip
def test_no_layer_is_better_than_the_kalman_filter(layer, law):
    metrics, _ = measure(layer(), make(drift=law, correlation=0.5))
    for scaled in ("", "_scaled"):
        ratio, error = metrics[f"tracking_error{scaled}"], metrics[f"tracking_error{scaled}_se"]
        assert ratio > 1 - 3 * error - 1e-9


def test_the_bayes_optimal_layer_attains_the_filter():
    """Constant coefficients of variance 1: ridge regression with the variance of the noise."""
    metrics, series = measure(exact(1.0, ridge=0.09), make(drift={"law": "constant"}, decays=(0.5, 1.0)))
    assert metrics["tracking_error"] == pytest.approx(1, abs=1e-5)
    assert metrics["error_least_squares"] == pytest.approx(metrics["error_kalman"], rel=1e-9)
    assert metrics["best_decay"] == 1
    assert series["position"]["error"] == pytest.approx(series["position"]["kalman"], rel=1e-4)


def test_a_decay_too_short_or_too_long_costs_and_the_theory_says_how_much():
    task = make(
        drift={"law": "walk", "step": 0.1}, length=200, burn_in=100, decays=(0.8, 0.9, 0.97, 1.0), examples=64
    )
    errors = [measure(exact(decay, ridge=0.09), task)[0]["error"] for decay in task.decays]
    assert errors[1] == min(errors)
    assert errors[0] > 1.1 * errors[1]
    assert errors[3] > 2 * errors[1]
    _, series = measure(exact(0.9), task)
    assert series["decay"]["error"] == pytest.approx(errors, rel=1e-4)
    assert series["decay"]["theory"][0] is not None
    assert series["decay"]["theory"] == pytest.approx(errors, rel=0.2)


def test_the_gain_is_what_a_sum_lacks():
    """A sum of decaying outer products is the coefficients times the squared norms in its memory, over K."""
    task = make(drift={"law": "constant"}, length=120, burn_in=60, key_dim=2)
    layer, drawn = decaying(0.9, dim=2).double(), task.draw(0, 0, task.examples)
    answers, truth = predictions(layer, drawn.k, drawn.v)[:, 60:], drawn.signal[:, 61:]
    metrics, series = measure(layer, task)
    scaled = (metrics["gain"] * answers - truth).square()
    assert metrics["error_scaled"] == pytest.approx(float(scaled.mean()), rel=1e-9)
    assert series["position"]["error_scaled"][60:] == pytest.approx(scaled.mean((0, 2)).tolist(), rel=1e-4)
    assert metrics["gain"] == pytest.approx(2 * (1 - 0.9), rel=0.15)
    assert metrics["tracking_error_scaled"] < metrics["tracking_error"] / 10
    assert metrics["decay"] == pytest.approx(0.9)


def test_progress_counts_the_steps_of_the_task_and_chunks_change_nothing():
    seen = []
    task = make(examples=130)
    measure_tracking(exact(0.9).double(), task, 0, lambda step, error: seen.append(step))
    assert seen == list(range(1, task.steps + 1)) == [1, 2, 3]
    whole = task.draw(0, 0, 130)
    errors = (predictions(exact(0.9).double(), whole.k, whole.v) - whole.signal[:, 1:]).square()
    metrics, series = measure(exact(0.9), task)
    assert metrics["error"] == pytest.approx(float(errors.mean()), rel=1e-9)
    assert series["position"]["position"] == list(range(1, 40))
    assert {len(column) for column in series["position"].values()} == {39}


def test_a_layer_that_diverges_has_no_number_but_no_crash_either():
    layer = R.RegressionLayer(4, num_heads=1, optimizer=R.Sgd(step=900.0))
    metrics, _ = measure(layer, make(length=200, examples=4))
    assert metrics["error"] is None
    assert metrics["error_kalman"] > 0


def test_other_sizes_are_refused_and_heads_share_the_keys():
    with pytest.raises(ConfigError, match="num_heads"):
        measure(R.RegressionLayer(8, num_heads=4), make())
    split = R.RegressionLayer(4, num_heads=2, key_dim=4, optimizer=R.Exact())
    whole = R.RegressionLayer(4, num_heads=1, optimizer=R.Exact())
    assert measure(split, make())[0]["error"] == pytest.approx(measure(whole, make())[0]["error"], rel=1e-9)
