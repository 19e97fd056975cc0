import math
from itertools import pairwise

import pytest
import torch

from recollect.training import TrainingConfig, adamw, clip_norm, learning_rate_at
from recollect.training.optimizer import initial_optimizer_state


def quadratic_gradient(p, curvature):
    return curvature * p + torch.sin(p)


def test_ten_steps_equal_those_of_torch(rng):
    start = torch.randn(7, generator=rng, dtype=torch.float64)
    curvature = torch.rand(7, generator=rng, dtype=torch.float64)
    theirs = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([theirs], lr=0.05, betas=(0.8, 0.95), weight_decay=0.1, eps=1e-8)
    ours, state = start, initial_optimizer_state(start)
    for _ in range(10):
        theirs.grad = quadratic_gradient(theirs.detach(), curvature)
        optimizer.step()
        gradient = quadratic_gradient(ours, curvature)
        ours, state = adamw(ours, gradient, state, learning_rate=0.05, betas=(0.8, 0.95), decay=0.1)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)


def test_a_stack_of_runs_equals_each_run_alone(rng):
    stacked = torch.randn(3, 5, generator=rng, dtype=torch.float64)
    gradient = torch.randn(3, 5, generator=rng, dtype=torch.float64)
    rates = torch.tensor([[0.1], [0.01], [0.5]], dtype=torch.float64)
    together, _ = adamw(
        stacked,
        clip_norm(gradient, 1.0),
        initial_optimizer_state(stacked),
        learning_rate=rates,
        betas=(0.9, 0.99),
    )
    for row in range(3):
        alone, _ = adamw(
            stacked[row],
            clip_norm(gradient[row], 1.0),
            initial_optimizer_state(stacked[row]),
            learning_rate=float(rates[row]),
            betas=(0.9, 0.99),
        )
        torch.testing.assert_close(together[row], alone, rtol=1e-13, atol=1e-13)


def test_clipping_shortens_long_gradients_only(rng):
    gradient = torch.randn(6, generator=rng, dtype=torch.float64)
    assert torch.equal(clip_norm(gradient, 100.0), gradient)
    clipped = clip_norm(gradient, 0.25)
    torch.testing.assert_close(clipped.norm(), torch.tensor(0.25, dtype=torch.float64))
    torch.testing.assert_close(clipped / clipped.norm(), gradient / gradient.norm())


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero_along_a_cosine():
    config = TrainingConfig(steps=100, learning_rate=0.4, warmup=0.2)
    rates = [learning_rate_at(step, config) for step in range(101)]
    assert rates[19] == pytest.approx(0.4)
    assert rates[:20] == pytest.approx([0.4 * (s + 1) / 20 for s in range(20)])
    assert rates[60] == pytest.approx(0.2)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert all(later < earlier for earlier, later in pairwise(rates[20:]))
    assert math.isclose(max(rates), 0.4)
