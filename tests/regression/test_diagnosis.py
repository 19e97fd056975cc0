"""What a diagnosis says is what the definitions say."""

import pytest
import torch

from recollect import regression as R
from recollect.core.seeds import seeded_initialisation
from recollect.regression.diagnosis import diagnose

DIM, HEADS = 8, 2


def build(**choices):
    with seeded_initialisation(0):
        return R.RegressionLayer(DIM, num_heads=HEADS, **choices).double()


def draw(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_uniform_weights_count_every_association():
    found = diagnose(build(), draw(2, 7, DIM))
    counts = torch.arange(1.0, 8.0, dtype=torch.float64)[:, None].expand(2, 7, HEADS)
    torch.testing.assert_close(found.effective_sample_size, counts)


def test_a_constant_decay_counts_as_many_as_its_geometric_sums_say():
    gamma, length = 0.8, 9
    found = diagnose(build(weights=R.ConstantDecay(decay=gamma)), draw(1, length, DIM))
    n = torch.arange(1, length + 1, dtype=torch.float64)
    expected = ((1 - gamma**n) / (1 - gamma)) ** 2 / ((1 - gamma ** (2 * n)) / (1 - gamma**2))
    # The decay is kept in single precision.
    torch.testing.assert_close(found.effective_sample_size[0, :, 0], expected, rtol=1e-6, atol=0)


def test_least_squares_is_measured_as_a_solve_of_its_own_would():
    ridge, x = 0.3, draw(2, 9, DIM)
    layer = build(weights=R.GatedDecay(temperature=2.0), optimizer=R.Exact(ridge=ridge))
    found = diagnose(layer, x)
    a, _ = layer.associations(x, layer.initial_state(2))
    total = a.g.cumsum(1)
    for t in (0, 4, 8):
        w = (total[:, t : t + 1] - total[:, : t + 1]).exp()
        prior = ridge * torch.eye(4, dtype=torch.float64) * total[:, t, :, None, None].exp()
        gram = torch.einsum("bth,bthk,bthj->bhkj", w, a.k[:, : t + 1], a.k[:, : t + 1]) + prior
        cross = torch.einsum("bth,bthk,bthv->bhkv", w, a.k[:, : t + 1], a.v[:, : t + 1])
        fit = torch.einsum("bhkv,bhk->bhv", torch.linalg.solve(gram, cross), a.k[:, t])
        leverage = torch.einsum("bhk,bhkj,bhj->bh", a.q[:, t], torch.linalg.inv(gram), a.q[:, t])
        near = {"rtol": 1e-6, "atol": 1e-8}  # the ridge is kept in single precision
        torch.testing.assert_close(found.residual[:, t], (a.v[:, t] - fit).norm(dim=-1), **near)
        torch.testing.assert_close(found.leverage[:, t], leverage, **near)
        torch.testing.assert_close(found.condition_number[:, t], torch.linalg.cond(gram), **near)


def test_as_many_keys_as_dimensions_leave_no_residual_and_one_more_does():
    layer = build(optimizer=R.Exact(ridge=1e-10))
    found = diagnose(layer, draw(1, 9, DIM))
    assert found.residual[:, :4].max() < 1e-6
    assert found.residual[:, 5:].min() > 1e-3
    torch.testing.assert_close(found.leverage[:, :3].isfinite().all(), torch.tensor(True))


def test_moments_are_singular_until_there_are_as_many_keys_as_dimensions():
    found = diagnose(build(), draw(1, 9, DIM))
    assert found.condition_number[:, :3].min() > 1e10
    assert found.condition_number[:, 5:].max() < 1e6


def test_decays_per_channel_shrink_the_keys_that_are_seen():
    layer, x = build(weights=R.GatedDecay(per="channel", temperature=1.0)), draw(1, 6, DIM)
    found = diagnose(layer, x)
    a, _ = layer.associations(x, layer.initial_state(1))
    seen = (a.g.cumsum(1)[:, -1:] - a.g.cumsum(1)).exp() * a.k
    gram = torch.einsum("bthk,bthj->bhkj", seen, seen)
    torch.testing.assert_close(found.condition_number[:, -1], torch.linalg.cond(gram), rtol=1e-8, atol=1e-8)


def test_conjugate_gradients_report_what_is_left():
    layer = build(optimizer=R.Exact(prior="fixed", ridge=0.1), weights=R.GatedDecay())
    found = diagnose(layer, draw(2, 9, DIM))
    assert found.solver_residual.shape == (2, 9, HEADS)
    assert found.solver_residual.max() < 1e-12
    assert diagnose(build(), draw(2, 9, DIM)).solver_residual is None


@pytest.mark.parametrize("function_class", [R.LocalConstant(), R.LocalLinear(), R.LocalPolynomial()])
def test_a_local_constant_has_condition_one_and_higher_degrees_more(function_class):
    layer = build(weights=R.Similarity(), function_class=function_class, optimizer=R.Exact())
    found = diagnose(layer, draw(1, 20, DIM))
    if function_class.kind == "local_constant":
        torch.testing.assert_close(found.condition_number, torch.ones_like(found.condition_number))
        total = found.leverage * 0 + 1 / found.leverage  # of one feature, the total weight
        assert total.min() > 0
    else:
        assert found.condition_number[:, -1].min() > 1
    assert len(str(found).splitlines()) == 4
