import pytest
import torch

from recollect.core import ConfigError, causal_convolution, normal, signs
from recollect.probing import Projector, audit

COUNT, T = 600, 9


@pytest.fixture
def white():
    return normal(0, torch.arange(COUNT), T)[..., None]


def filtered(taps, x):
    return causal_convolution(x, torch.as_tensor(taps, dtype=torch.float64)[:, None])


def decaying(rate, length=T):
    return rate ** torch.arange(length, dtype=torch.float64)


@pytest.mark.parametrize("draw", [normal, signs])
def test_a_linear_signal_is_projected_exactly_at_every_position(draw):
    x = draw(1, torch.arange(COUNT), T)[..., None]
    found = Projector(x).project(filtered(decaying(0.7), x)[..., 0])
    for t in range(T):
        torch.testing.assert_close(
            found.coefficients[t, : t + 1, 0], decaying(0.7)[: t + 1], rtol=0, atol=1e-12
        )
        assert not found.coefficients[t, t + 1 :].any()
    assert found.remainder.max() < 1e-13  # rounding of a difference of two powers


def test_every_leading_block_gives_that_positions_own_least_squares(white):
    signal = normal(2, torch.arange(COUNT), T)
    found = Projector(white).project(signal)
    for t in (0, 4, T - 1):
        design = torch.cat([torch.ones(COUNT, 1, dtype=torch.float64), white[:, : t + 1, 0].flip(1)], dim=1)
        solution = torch.linalg.lstsq(design, signal[:, t]).solution
        torch.testing.assert_close(found.coefficients[t, : t + 1, 0], solution[1:], rtol=0, atol=1e-12)
        residual = signal[:, t] - design @ solution
        variance = residual.square().sum() / (COUNT - t - 2)
        torch.testing.assert_close(found.remainder[t], variance)
        covariance = torch.linalg.inv(design.T @ design) * variance
        torch.testing.assert_close(found.standard_errors[t, : t + 1, 0], covariance.diagonal()[1:].sqrt())


def test_shares_add_up_to_the_error_and_land_where_they_belong(white):
    taps, learned = decaying(0.8), decaying(0.6)
    targets = filtered(taps, white)
    signal = filtered(learned, white)
    outputs = signal + 0.3 * (signal.square() - signal.square().mean(0)) + 0.2
    found = audit(white, outputs, targets)
    power = targets.square().mean(0).sum()
    error = (outputs - targets).square().mean(0).sum() / power
    total = found.linear_error + found.nonlinear_remainder + found.bias
    assert total == pytest.approx(float(error), rel=0.03)
    window = torch.arange(T, 0, -1, dtype=torch.float64)
    assert found.linear_error == pytest.approx(float((window * (taps - learned) ** 2).sum() / power), rel=0.1)
    assert found.bias == pytest.approx(float(T * 0.2**2 / power), rel=0.15)


def test_the_learned_memory_function_is_recovered_within_its_error(white):
    taps, learned = decaying(0.8), decaying(0.6)
    noise = 0.1 * normal(3, torch.arange(COUNT), T)[..., None]
    found = audit(white, filtered(learned, white) + noise, filtered(taps, white))
    torch.testing.assert_close(found.true[:, 0, 0], taps, rtol=0, atol=1e-12)
    assert ((found.learned[:, 0, 0] - learned).abs() < 4 * found.learned_se[:, 0, 0]).all()


def test_missed_shares_are_unbiased_where_nothing_is_missed(white):
    """Over many data sets the mean share at each lag is the true one, not inflated by sampling noise."""
    shares = []
    for seed in range(60):
        x = normal(seed, torch.arange(60), T)[..., None]
        noise = normal(1000 + seed, torch.arange(60), T)[..., None]
        shares.append(audit(x, filtered(decaying(0.5), x) + noise, filtered(decaying(0.5), x)).missed)
    stacked = torch.stack(shares)
    z = stacked.mean(0) / (stacked.std(0) / len(shares) ** 0.5)
    assert z.abs().max() < 4


def test_channels_are_told_apart():
    x = normal(4, torch.arange(COUNT), 2 * T).unflatten(1, (T, 2))
    signal = 2 * x[..., 0] - torch.nn.functional.pad(x[..., 1], (3, 0))[:, :T]
    coefficients = Projector(x).project(signal).coefficients
    expected = torch.zeros(T, 2, dtype=torch.float64)
    expected[0, 0], expected[3, 1] = 2, -1
    torch.testing.assert_close(coefficients[-1], expected, rtol=0, atol=1e-12)


def test_too_few_examples_are_refused():
    with pytest.raises(ConfigError, match="needs more than 10 examples, got 10"):
        Projector(normal(0, torch.arange(10), T)[..., None])


def test_inputs_that_repeat_themselves_are_refused():
    time = torch.arange(60, dtype=torch.float64)[:, None] + torch.arange(T)
    with pytest.raises(ConfigError, match="linearly dependent"):
        Projector(torch.ones_like(time)[..., None] * (time[:, :1, None] % 7))
