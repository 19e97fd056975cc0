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


@pytest.mark.parametrize("optimizer", [R.Sgd(num_steps=3), R.Sgd(num_steps=3, weight_decay=0.2)])
@pytest.mark.parametrize("weights", [R.Uniform(), R.ConstantDecay(decay=0.8), R.GatedDecay(per="channel")])
def test_all_steps_of_a_position_decay_alike(weights, optimizer):
    layer, x = build(weights=weights, optimizer=optimizer), draw(2, 6, DIM)
    found = diagnose(layer, x)
    a, _ = layer.associations(x, layer.initial_state(2))
    g = torch.zeros(2, 6, HEADS, 1, dtype=torch.float64) if a.g is None else a.g.reshape(2, 6, HEADS, -1)
    keys, per_channel = a.k.unflatten(1, (6, 3)), g.shape[-1] > 1
    for t in (0, 3, 5):
        past = keys[:, : t + 1]
        left = (g[:, : t + 1].flip(1).cumsum(1).flip(1) - g[:, : t + 1]).exp()  # after each position
        left = left[:, :, None].expand(-1, -1, 3, -1, -1)
        # A decay per channel fades both keys of the product, one per head is a weight.
        gram = torch.einsum("bsnhk,bsnhj->bhkj", left * past, left * past if per_channel else past)
        w = torch.ones_like(left[..., 0]) if per_channel else left[..., 0]
        count = w.sum(dim=(1, 2)).square() / w.square().sum(dim=(1, 2))
        torch.testing.assert_close(found.effective_sample_size[:, t], count, rtol=1e-10, atol=0)
        if t > 0:
            torch.testing.assert_close(
                found.condition_number[:, t], torch.linalg.cond(gram), rtol=1e-8, atol=0
            )


@pytest.mark.parametrize(
    "choices",
    [
        {"optimizer": R.Sgd(step=1.0)},
        {"optimizer": R.Sgd(num_steps=2), "weights": R.GatedDecay()},
        {"optimizer": R.Sgd(momentum=0.5)},
        {"optimizer": R.OneStep(), "weights": R.GatedDecay(per="channel")},
        {"optimizer": R.OneStep(), "weights": R.Window(size=3)},
        {"optimizer": R.OneStep(), "function_class": R.KernelRidge()},
    ],
    ids=str,
)
def test_the_residual_is_of_the_association_that_was_learned_whenever_queries_are_read(choices):
    x, after = draw(2, 7, DIM), build(**choices)
    early = choices["optimizer"].model_copy(update={"retrieve": "before"})
    before = build(**(choices | {"optimizer": early}))
    torch.testing.assert_close(
        diagnose(before, x).residual, diagnose(after, x).residual, rtol=1e-10, atol=1e-10
    )


def test_a_whole_step_leaves_no_residual_although_it_is_read_before():
    layer = build(optimizer=R.Sgd(step=1.0, retrieve="before"))
    # The norm of a key is 1 up to the small number that keeps its gradient finite.
    assert diagnose(layer, 100 * draw(1, 7, DIM)).residual.max() < 1e-6 * 100


def test_the_residual_of_a_layer_with_a_bonus_is_of_what_its_state_learned():
    weights, x = R.GatedDecay(per="channel"), draw(2, 7, DIM)
    before = build(weights=weights, optimizer=R.OneStep(retrieve="before", bonus=True))
    after = build(weights=weights)
    after.load_state_dict({n: p for n, p in before.state_dict().items() if n != "constants.bonus"})
    torch.testing.assert_close(
        diagnose(before, x).residual, diagnose(after, x).residual, rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("optimizer", [R.Sgd(retrieve="before"), R.OneStep(retrieve="before")])
def test_nothing_counts_for_the_first_query_that_is_read_before(optimizer):
    found = diagnose(build(optimizer=optimizer), draw(1, 6, DIM))
    counts = torch.arange(6, dtype=torch.float64)[:, None].expand(1, 6, HEADS)
    torch.testing.assert_close(found.effective_sample_size, counts)
    assert found.condition_number[:, 0].isposinf().all()
    assert not any(values.isnan().any() for values in vars(found).values() if values is not None)


@pytest.mark.parametrize("function_class", [R.LocalConstant(), R.LocalLinear(), R.Linear()])
def test_a_query_without_neighbours_has_no_associations(function_class):
    weights = R.Similarity(kernel="compact", bandwidth=1e-3)
    found = diagnose(
        build(weights=weights, function_class=function_class, optimizer=R.Exact()), draw(1, 5, DIM)
    )
    assert found.effective_sample_size.abs().max() == 0
    assert not found.condition_number.isnan().any()


def test_weights_that_are_all_tiny_count_by_their_ratios():
    """Distances of thousands of bandwidths: every weight is 0 in floating point, and one association wins."""
    weights = R.Similarity(kernel="gaussian", bandwidth=1e-2)
    found = diagnose(
        build(weights=weights, function_class=R.LocalConstant(), optimizer=R.Exact()), draw(1, 5, DIM)
    )
    assert (found.effective_sample_size >= 1 - 1e-12).all()


@pytest.mark.parametrize("prior", ["decaying", "fixed"])
def test_the_prior_under_a_decay_per_channel_is_that_of_the_answers(prior):
    weights, x = R.GatedDecay(per="channel", temperature=1.0), draw(2, 9, DIM)
    layer = build(weights=weights, optimizer=R.Exact(ridge=0.4, prior=prior))
    a, state = layer.associations(x, layer.initial_state(2))
    constants, total = layer.constants(x), a.g.cumsum(1)
    found, (answers, _) = diagnose(layer, x), layer.solver.read(a, constants, state.regression, None)
    for t in (0, 4, 8):
        keys = (total[:, t : t + 1] - total[:, : t + 1]).exp() * a.k[:, : t + 1]
        faded = (2 * total[:, t]).exp() if prior == "decaying" else torch.ones_like(total[:, t])
        gram = torch.einsum("bthk,bthj->bhkj", keys, keys) + torch.diag_embed(constants.ridge * faded)
        direction = torch.linalg.solve(gram, a.q[:, t])
        answer = torch.einsum("bhk,bthk,bthv->bhv", direction, keys, a.v[:, : t + 1])
        torch.testing.assert_close(answers[:, t], answer, rtol=1e-10, atol=1e-10)
        leverage = (a.q[:, t] * direction).sum(-1)
        torch.testing.assert_close(found.leverage[:, t], leverage, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(found.condition_number[:, t], torch.linalg.cond(gram), rtol=1e-8, atol=0)
