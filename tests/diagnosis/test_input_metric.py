"""The cost of an error under a coloured input, and what it says about filters and filtered noise."""

import pytest
import torch

from recollect.diagnosis.autoregression import FilteredNoise
from recollect.diagnosis.input_metric import InputMetric

LAGS, INPUTS = 7, 2


def moving_average(lags=LAGS, inputs=INPUTS, taps=3, seed=0):
    """Coefficients W_k of x_t = sum_k W_k e_{t-k}, and the autocovariance that follows."""
    rng = torch.Generator().manual_seed(seed)
    matrices = torch.randn(taps, inputs, inputs, generator=rng, dtype=torch.float64)
    r = torch.zeros(lags, inputs, inputs, dtype=torch.float64)
    for lag in range(min(taps, lags)):
        r[lag] = torch.einsum("kia,kja->ij", matrices[lag:], matrices[: taps - lag])
    return matrices, r


def test_the_cost_is_the_variance_of_the_error_that_the_input_makes():
    matrices, r = moving_average()
    error = torch.randn(LAGS, INPUTS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # In terms of the white noise behind the input the error is a convolution of both.
    white = torch.zeros(LAGS + len(matrices) - 1, INPUTS, dtype=torch.float64)
    for k, matrix in enumerate(matrices):
        white[k : k + LAGS] += error @ matrix
    metric = InputMetric.of(r, LAGS)
    assert metric.cost(error) == pytest.approx(float(white.square().sum()), rel=1e-10)
    assert metric.cost(error) == pytest.approx(float(error.flatten() @ metric.covariance @ error.flatten()))


@pytest.mark.parametrize("field", [0, 1, 4, LAGS])
def test_the_best_filter_is_the_dense_projection_and_costs_the_schur_complement(field):
    metric = InputMetric.of(moving_average()[1], LAGS)
    memory = torch.randn(LAGS, INPUTS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    matrix, known = metric.covariance, field * INPUTS
    flat = memory.flatten()
    expected = torch.zeros_like(flat)
    if field:
        expected[:known] = torch.linalg.solve(matrix[:known, :known], matrix[:known] @ flat)
    left = flat - expected
    found = metric.best_filter(memory, field)
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-10, atol=1e-10)
    assert float(metric.costs_beyond(memory)[field]) == pytest.approx(float(left @ matrix @ left), abs=1e-10)


def test_an_error_at_the_first_lags_costs_the_least_over_what_may_follow():
    metric = InputMetric.of(moving_average()[1], LAGS)
    error = torch.randn(3 * INPUTS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    matrix = metric.covariance
    later = -torch.linalg.solve(matrix[6:, 6:], matrix[6:, :6] @ error)
    whole = torch.cat([error, later])
    form = metric.of_first_lags(3)
    assert float(error @ form @ error) == pytest.approx(float(whole @ matrix @ whole), rel=1e-10)


def test_whiteness_is_decided_against_the_sampling_error():
    rng = torch.Generator().manual_seed(4)
    white = torch.randn(3000, INPUTS, generator=rng, dtype=torch.float64)
    white[:, 1] += 0.8 * white[:, 0]
    coloured = white.clone()
    coloured[1:] += 0.2 * white[:-1]

    def estimated(x):
        return torch.stack([x[lag:].mT @ x[: len(x) - lag] / len(x) for lag in range(20)])

    assert InputMetric.of(estimated(white), 20, 3000).is_white
    assert not InputMetric.of(estimated(white), 20).is_white
    assert not InputMetric.of(estimated(coloured), 20, 3000).is_white
    assert not InputMetric.of(estimated(coloured.roll(1, 0) * torch.tensor([1.0, 1e6])), 20, 3000).is_white


def test_inputs_that_are_correlated_at_one_time_only_are_white():
    r = torch.zeros(5, 2, 2, dtype=torch.float64)
    r[0] = torch.tensor([[2.0, 0.6], [0.6, 1.0]])
    metric, dense = InputMetric.of(r, 5), InputMetric(r, is_white=False)
    error = torch.randn(5, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert metric.is_white
    assert metric.cost(error) == pytest.approx(dense.cost(error), rel=1e-12)
    torch.testing.assert_close(metric.costs_beyond(error), dense.costs_beyond(error), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(metric.of_first_lags(3), dense.of_first_lags(3), rtol=1e-12, atol=1e-12)


def test_an_autoregression_is_its_own_filtered_noise():
    """The covariance of an AR(1) over any lags is that of its filter, and what was there before."""
    r = (0.8 ** torch.arange(12, dtype=torch.float64))[:, None, None]
    metric = InputMetric.of(r, 12)
    noise = FilteredNoise.of(metric, 1, 9)
    assert noise.autoregression.tolist() == pytest.approx([1.0, -0.8], abs=1e-9)
    assert noise.least_ratio(metric.of_first_lags(9)) == pytest.approx(1 - 0.8**2, rel=1e-8)
    error = torch.randn(9, 1, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    filtered = noise.whiten(error[..., None]).square().sum() * (1 - 0.8**2)
    form = metric.of_first_lags(9)
    assert float(filtered) == pytest.approx(float(error[:, 0] @ form @ error[:, 0]), rel=1e-8)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_no_error_costs_less_than_the_ratio_says(order):
    metric = InputMetric.of(moving_average(seed=3)[1], LAGS)
    noise = FilteredNoise.of(metric, order, LAGS)
    ratio = noise.least_ratio(metric.covariance)
    rng = torch.Generator().manual_seed(7)
    errors = torch.randn(LAGS, INPUTS, 200, generator=rng, dtype=torch.float64)
    under_noise = noise.whiten(errors).square().sum((0, 1))
    under_input = metric.whiten(errors).square().sum((0, 1))
    assert bool((under_input >= ratio * under_noise).all())
    assert 0 < ratio <= float((under_input / under_noise).min())


@pytest.mark.parametrize(
    ("r", "message"),
    [
        (torch.ones(3, 1, 1).double(), "at least 7 lags"),
        (torch.ones(7, 1, 2).double(), "lags, inputs, inputs"),
        (torch.zeros(7, 1, 1).double(), "variances above 0"),
        (torch.full((7, 1, 1), torch.nan).double(), "finite"),
        (torch.tensor([1.0, -0.9, -0.9, 0.9, 0.9, 0.9, 0.9])[:, None, None].double(), "of a process"),
    ],
)
def test_what_is_no_autocovariance_is_refused(r, message):
    with pytest.raises(ValueError, match=message):
        InputMetric.of(r, LAGS)


def test_an_autocovariance_at_the_edge_is_lifted_a_little():
    r = torch.cos(0.7 * torch.arange(LAGS, dtype=torch.float64))[:, None, None]
    metric = InputMetric.of(r, LAGS)
    error = torch.randn(LAGS, 1, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    exact = float(error[:, 0] @ InputMetric(r, is_white=False).covariance @ error[:, 0])
    assert metric.cost(error) == pytest.approx(exact, rel=1e-6)
