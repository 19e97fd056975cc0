import math

import pytest
import torch

from recollect import regression as R
from recollect.core import ConfigError
from recollect.probing.smoothing import estimates, kernel_scale, measure_smoothing, moments
from recollect.tasks.smoothing import SmoothingTask

LAYERS = {
    "constant": R.LocalConstant(),
    "linear": R.LocalLinear(),
    "quadratic": R.LocalPolynomial(degree=2),
}


def gaussian(function_class, ridge=1e-12, value_dim=4, **options):
    return R.RegressionLayer(
        2, num_heads=1, value_dim=value_dim, weights=R.Similarity(kernel="gaussian"),
        function_class=function_class, optimizer=R.Exact(ridge=ridge), **({"qk_norm": False} | options),
    ).double()  # fmt: skip


def softmax(qk_norm):
    name = "softmax_attention_qknorm" if qk_norm else "softmax_attention"
    return R.CATALOG[name](2, num_heads=1, value_dim=4, rotation="none").double()


def make(**fields):
    given = {"keys": "line", "pairs": [40], "bandwidths": [0.2], "draws": 4, "num_queries": 9, "noise": 0.1}
    return SmoothingTask.parse(given | fields)


def measure(layer, task, seed=0):
    return measure_smoothing(layer, task, seed, lambda step, error: None)


def bias(metrics):
    return math.sqrt(metrics["bias_squared"])


@pytest.mark.parametrize(("degree", "function", "is_exact"), [
    ("constant", "linear", False), ("linear", "linear", True), ("quadratic", "linear", True),
    ("constant", "quadratic", False), ("linear", "quadratic", False), ("quadratic", "quadratic", True),
])  # fmt: skip
def test_a_local_polynomial_reproduces_polynomials_of_its_degree(degree, function, is_exact):
    """Without bias, for noise and any design: the ridge alone leaves a trace."""
    metrics, _ = measure(gaussian(LAYERS[degree]), make(function=function, design="random", num_designs=2))
    assert (bias(metrics) < 1e-6) == is_exact
    assert bias(metrics) < 1e-6 or bias(metrics) > 1e-3


def test_softmax_with_one_key_norm_is_the_gaussian_mean():
    """On the unit circle `q.k = 1 - |q - k|^2 / 2`: a Nadaraya-Watson mean."""
    task = make(keys="arc", norm_spread=0.3)
    design = task.draw(0, 40)
    unit = design._replace(keys=design.keys / design.keys.norm(dim=-1, keepdim=True))
    want = estimates(gaussian(R.LocalConstant()), task, unit, 0.2)
    # QK norm takes whatever norms there are away; without it, only keys of norm 1 do.
    torch.testing.assert_close(estimates(softmax(True), task, design, 0.2), want, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(estimates(softmax(False), task, unit, 0.2), want, rtol=1e-6, atol=1e-6)
    assert (estimates(softmax(False), task, design, 0.2) - want).abs().max() > 0.3


def test_estimates_are_the_weighted_mean_itself():
    task = make(keys="arc", norm_spread=0.2, draws=6)
    design = task.draw(1, 40)
    q = task.directions(task.queries())
    weights = torch.softmax(torch.einsum("mk,bnk->bmn", q, design.keys) / 0.3**2, dim=-1)
    want = torch.einsum("bmn,brn->brm", weights, design.signal[:, None] + design.noise)
    got = estimates(softmax(False), task, design, 0.3)
    # A layer keeps the logarithm of its bandwidth in single precision unless built otherwise.
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kernel", ["exponential", "gaussian", "laplace", "compact"])
def test_bandwidths_mean_the_same_whatever_the_layers_own(kernel):
    task, results = make(keys="arc"), []
    for own in (0.5, 2.0):
        weights = R.Similarity(kernel=kernel, bandwidth=own)
        layer = R.RegressionLayer(
            2,
            num_heads=1,
            value_dim=4,
            weights=weights,
            function_class=R.LocalConstant(),
            optimizer=R.Exact(),
        )
        results.append(estimates(layer.double(), task, task.draw(0, 40), 0.3))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_the_scale_of_kernel_ridge_regression_is_its_bandwidth():
    assert kernel_scale(R.CATALOG["kernel_intention"](2, num_heads=1, bandwidth=0.7)) == 0.7
    assert kernel_scale(R.RegressionLayer(2, num_heads=1)) == 1.0


def test_squared_bias_and_variance_sum_to_the_mean_squared_error():
    generator = torch.Generator().manual_seed(0)
    answers = torch.randn(3, 8, 5, generator=generator, dtype=torch.float64)
    truth = torch.randn(5, generator=generator, dtype=torch.float64)
    found = moments(answers, truth)
    torch.testing.assert_close(found.mse, (answers - truth).square().mean((0, 1)), rtol=1e-12, atol=1e-12)
    _, series = measure(softmax(True), make(keys="arc", norm_spread=0.3, bandwidths=[0.1, 0.4]))
    columns = [series["bandwidth"][name] for name in ("mse", "bias_squared", "variance")]
    for mse, squared, variance in zip(*columns, strict=True):
        assert mse == pytest.approx(squared + variance, rel=1e-4)


def test_bias_has_no_noise_and_variance_is_that_of_the_weights():
    """Noise in pairs of opposite sign cancels from the mean of a linear smoother."""
    task = make(draws=2000, noise=0.5)
    design, layer = task.draw(0, 40), gaussian(R.LocalConstant())
    answers = estimates(layer, task, design, 0.2)
    x = task.queries()
    weights = torch.softmax(-(x[:, None] - design.x).square() / (2 * 0.2**2), dim=-1)
    found = moments(answers, task.truth(x))
    noiseless = weights @ design.signal[0] - task.truth(x)
    torch.testing.assert_close(found.bias_squared, noiseless**2, rtol=1e-6, atol=1e-10)
    ratio = found.variance / (0.25 * weights.square().sum(-1))
    assert (ratio - 1).abs().max() < 5 * math.sqrt(2 / 1000)


@pytest.mark.parametrize(("degree", "row"), [(0, "constant"), (1, "linear")])
def test_measured_bias_and_variance_are_those_of_the_theory(degree, row):
    task = make(pairs=[800], bandwidths=[0.03], draws=400, noise=0.3)
    _, series = measure(gaussian(LAYERS[row], ridge=1e-6, value_dim=100), task)
    for region in ("boundary", "interior"):
        theory = task.local_theory(degree, 800, 0.03, region)
        place = series["bandwidth"]["region"].index(region)
        for name in ("bias_squared", "variance"):
            assert series["bandwidth"][name][place] == pytest.approx(theory[name], rel=0.25)


def test_at_a_boundary_a_constant_is_off_by_h_and_a_line_by_h_squared():
    task = make(pairs=[1000], bandwidths=[0.02, 0.03, 0.04], noise=0.0, draws=2)
    constant, linear = (measure(gaussian(LAYERS[row], ridge=1e-9), task)[0] for row in ("constant", "linear"))
    assert constant["boundary_bias_order"] == pytest.approx(1, abs=0.15)
    assert constant["interior_bias_order"] == pytest.approx(2, abs=0.15)
    assert linear["boundary_bias_order"] == pytest.approx(2, abs=0.2)
    assert linear["interior_bias_order"] == pytest.approx(2, abs=0.15)


def test_without_qk_norm_long_keys_count_for_every_query():
    """As the bandwidth shrinks, softmax turns to the one longest key in the direction, not to the nearest."""
    task = make(keys="arc", norm_spread=0.3, bandwidths=[0.05, 0.1, 0.2, 0.4], pairs=[100])
    plain, normed = (measure(softmax(qk_norm), task)[0] for qk_norm in (False, True))
    assert plain["smoothing_error"] > 10 * normed["smoothing_error"]


def test_rows_are_reported_at_their_best_bandwidth_for_the_most_pairs():
    task = make(pairs=[10, 30], bandwidths=[0.1, 0.3, 1.0])
    metrics, series = measure(gaussian(R.LocalConstant()), task)
    rows = zip(*(series["bandwidth"][name] for name in ("pairs", "bandwidth", "region", "mse")), strict=True)
    candidates = {h: mse for pairs, h, region, mse in rows if pairs == 30 and region == "all"}
    assert metrics["smoothing_error"] == pytest.approx(min(candidates.values()), rel=1e-5)
    assert candidates[metrics["bandwidth"]] == min(candidates.values())
    assert len(series["bandwidth"]["mse"]) == 2 * 3 * 3
    assert series["curve_at"]["x"][0] == -1
    assert set(series["theory"]["degree"]) == {0, 1}


def test_value_channels_only_share_the_work():
    task = make(draws=6, num_designs=2)
    design = task.draw(0, 40)
    few, many = (R.CATALOG["skyformer"](2, num_heads=1, value_dim=size).double() for size in (1, 5))
    one, other = (estimates(layer, task, design, 0.2) for layer in (few, many))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_progress_counts_settings_and_other_sizes_are_refused():
    seen, task = [], make(pairs=[10, 20], bandwidths=[0.2, 0.4])
    measure_smoothing(softmax(True), task, 0, lambda step, error: seen.append(step))
    assert seen == list(range(1, task.steps + 1))
    with pytest.raises(ConfigError, match="one head of 2 key channels"):
        measure(R.RegressionLayer(4, num_heads=2).double(), task)
