"""Exact regression at every position: `rls`, `mesa` and the solvers that they share."""

import pytest
import torch

from recollect.ops import OPS, linear_attn, mesa, mesa_residual, rls
from recollect.ops.conjugate_gradient import conjugate_gradient, default_tolerance
from recollect.ops.gram_solve import Growth, factor_for, solve_once
from recollect.ops.least_squares import LeastSquaresState
from recollect.ops.samples import B, H, K, V, normal, unit

FORMS = ("reference", "recurrent", "chunkwise")
FAST = ("recurrent", "chunkwise")


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def samples(name, length, seed=0):
    return OPS[name].sample_inputs(torch.Generator().manual_seed(seed), length)


def by_lstsq(q, k, v, log_weights, importance, penalty):
    """`(B, T, H, V)` from one `lstsq` for each position, on weighted rows with rows of the ridge added.

    `penalty` is a function of the position; `log_weights` are cumulative log-decays.
    """
    outputs = torch.empty(*v.shape, dtype=v.dtype)
    for b in range(q.shape[0]):
        for h in range(q.shape[2]):
            for t in range(q.shape[1]):
                age = log_weights[b, t, h] - log_weights[b, : t + 1, h]
                root = (age.exp() * importance[b, : t + 1, h]).sqrt()[:, None]
                rows = torch.cat([root * k[b, : t + 1, h], torch.diag(penalty(b, t, h).sqrt())])
                targets = torch.cat([root * v[b, : t + 1, h], torch.zeros(k.shape[-1], v.shape[-1])])
                outputs[b, t, h] = torch.linalg.lstsq(rows, targets).solution.T @ q[b, t, h]
    return outputs


@pytest.mark.parametrize("form", FORMS)
def test_rls_is_the_weighted_least_squares_fit_whose_prior_decays(form, exact):
    x = samples("rls", 11)
    total = x["g"].cumsum(1)
    expected = by_lstsq(
        x["q"], x["k"], x["v"], total, x["importance"],
        penalty=lambda b, t, h: total[b, t, h].exp() * x["ridge"][h],
    )  # fmt: skip
    torch.testing.assert_close(rls(**x, form=form)[0], expected, **exact)


@pytest.mark.parametrize("form", FORMS)
def test_mesa_is_the_weighted_least_squares_fit_whose_ridge_stays(form, exact):
    x = samples("mesa", 11)
    expected = by_lstsq(
        x["q"], x["k"], x["v"], x["g"].cumsum(1), x["beta"], penalty=lambda b, t, h: x["ridge"][h]
    )
    torch.testing.assert_close(mesa(**x, form=form, chunk_size=4)[0], expected, **exact)


@pytest.mark.parametrize("form", FORMS)
def test_rls_is_shrunk_linear_attention_for_orthonormal_keys(form, rng, exact):
    k = torch.linalg.qr(normal(rng, B, H, K, K)).Q.transpose(1, 2)
    q, v = normal(rng, B, K, H, K), normal(rng, B, K, H, V)
    got, _ = rls(q, k, v, torch.zeros(B, K, H, dtype=q.dtype), ridge=0.7, form=form)
    torch.testing.assert_close(got[:, -1], linear_attn(q, k, v, scale=1 / 1.7)[0][:, -1], **exact)


def test_a_huge_ridge_gives_linear_attention_up_to_the_inverse_of_the_ridge(rng):
    q, k, v = (normal(rng, B, 9, H, d) for d in (K, K, V))
    g = torch.zeros(B, 9, H, dtype=q.dtype)
    target, _ = linear_attn(q, k, v, scale=1.0)
    errors = [(ridge * rls(q, k, v, g, ridge=ridge)[0] - target).norm() for ridge in (1e4, 1e5, 1e6)]
    assert errors[0] < 1e-2 * target.norm()
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.02)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("form", FORMS)
def test_without_a_ridge_all_independent_associations_are_recalled(form, rng):
    k, v = unit(normal(rng, B, K, H, K)), normal(rng, B, K, H, V)
    g = torch.zeros(B, K, H, dtype=k.dtype)
    errors = []
    for ridge in (1e-5, 1e-6):
        _, state = rls(k, k, v, g, ridge=ridge, form=form, output_final_state=True)
        recalled, _ = rls(k, 0 * k, v, g, initial_state=state, form=form)
        errors.append((recalled - v).norm() / v.norm())
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("form", FORMS)
def test_mesa_without_decay_is_rls(form, exact):
    x = samples("rls", 13)
    x["g"] = torch.zeros_like(x["g"])
    beta = x.pop("importance")
    expected, _ = rls(**x, importance=beta)
    torch.testing.assert_close(mesa(**x, beta=beta, form=form)[0], expected, **exact)
    one = torch.ones_like(beta)
    torch.testing.assert_close(mesa(**x, beta=one, form=form)[0], rls(**x)[0], **exact)


def test_without_decay_one_iteration_solves_mesa():
    x = samples("mesa", 13)
    x["g"] = torch.zeros_like(x["g"])
    del x["v"]
    assert mesa_residual(**x, max_iterations=1).max() < 1e-13


@pytest.mark.parametrize("form", FORMS)
def test_importance_two_is_writing_twice(form, exact):
    x = samples("rls", 6)
    twice = {name: x[name].repeat_interleave(2, dim=1) for name in "qkv"}
    none = torch.zeros(B, 12, H, dtype=torch.float64)
    expected, _ = rls(**twice, g=none, ridge=x["ridge"], form=form)
    two = torch.full((B, 6, H), 2.0, dtype=torch.float64)
    once = {name: x[name] for name in "qkv"}
    got, _ = rls(**once, g=none[:, :6], importance=two, ridge=x["ridge"], form=form)
    torch.testing.assert_close(got, expected[:, 1::2], **exact)


@pytest.mark.parametrize(("name", "importance"), [("rls", "importance"), ("mesa", "beta")])
@pytest.mark.parametrize("form", FAST)
def test_an_association_of_no_importance_has_the_right_gradient(name, importance, form, exact):
    gradients = []
    for each in (form, "reference"):
        x = samples(name, 9)
        x[importance][:, ::2] = 0.0
        leaves = [value.requires_grad_() for value in x.values()]
        loss = OPS[name].op(**x, form=each, chunk_size=4)[0].square().sum()
        gradients.append(torch.autograd.grad(loss, leaves))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, **exact)


@pytest.mark.parametrize("name", ["rls", "mesa"])
def test_second_derivatives_are_right(name):
    x = samples(name, 3)
    names = list(x)
    leaves = tuple(value[:1].clone() if value.ndim > 2 else value for value in x.values())

    def outputs(*values):
        return OPS[name].op(**dict(zip(names, values, strict=True)), chunk_size=2)[0]

    leaves = tuple(value.requires_grad_() for value in leaves)
    assert torch.autograd.gradgradcheck(outputs, leaves, fast_mode=True)


def test_the_ridge_of_rls_may_be_a_number_or_a_diagonal(exact):
    x = samples("rls", 7)
    diagonal = torch.full((H, K), 0.3, dtype=torch.float64)
    expected, _ = rls(**x | {"ridge": diagonal})
    torch.testing.assert_close(rls(**x | {"ridge": 0.3})[0], expected, **exact)


def test_the_size_of_a_chunk_changes_nothing(exact):
    for name, op in (("rls", rls), ("mesa", mesa)):
        x = samples(name, 19)
        expected, _ = op(**x, chunk_size=1)
        for size in (2, 3, 8, 64):
            torch.testing.assert_close(op(**x, chunk_size=size, **_more(name))[0], expected, **exact)


def test_the_preconditioner_leaves_a_condition_number_of_the_decay_over_a_chunk(rng):
    C = 6
    k, ridge = normal(rng, 1, 1, 1, C, K) * 3, 0.1 + torch.rand(K, dtype=torch.float64, generator=rng)
    past = normal(rng, 1, 1, 1, 4, K)
    importance = torch.ones(1, 1, 1, C, dtype=torch.float64)
    g = -torch.rand(1, 1, 1, C, dtype=torch.float64, generator=rng) / C
    total = g.cumsum(-1)
    growth = Growth(k, importance, g, past.mT @ past, ridge.expand_as(k))
    factor = factor_for(growth)
    for t in range(C):
        weights = (total[..., t : t + 1] - total[..., : t + 1]).exp().flatten()
        rows = k[0, 0, 0, : t + 1]
        prior = total[..., t].exp() * (past.mT @ past)[0, 0, 0]
        matrix = prior + torch.diag(ridge) + rows.T @ (weights[:, None] * rows)
        columns = matrix.reshape(K, 1, 1, 1, K).expand(K, 1, 1, C, K)
        preconditioned = solve_once(factor, columns)[:, 0, 0, t].T
        eigenvalues = torch.linalg.eigvals(preconditioned).real
        assert eigenvalues.min() > 1 - 1e-9
        assert eigenvalues.max() < total[..., t].neg().exp().item() + 1e-9


@pytest.mark.parametrize("size", [1e-8, 1e-30, 1e30])
def test_queries_of_any_size_are_answered_with_the_same_relative_error(size):
    x = {name: value.float() for name, value in samples("mesa", 21).items()}
    expected = mesa(**x, form="reference")[0]
    got = mesa(**x | {"q": size * x["q"]})[0].double() / size
    assert (got - expected).norm() / expected.norm() < 2e-6
    residual = mesa_residual(size * x["q"], x["k"], x["g"], x["beta"], x["ridge"])
    assert residual.max() < 5e-6


def test_the_reported_residual_is_the_true_one(exact):
    x = samples("mesa", 9)
    for iterations in (1, 2):
        settings = {"max_iterations": iterations, "chunk_size": 4}
        reported = mesa_residual(x["q"], x["k"], x["g"], x["beta"], x["ridge"], **settings)
        torch.testing.assert_close(reported, _true_residual(x, settings), **exact)
        assert reported.max() > 1e-6, "an unfinished solve has something to report"


def test_a_residual_from_a_state_is_that_of_the_rest_of_the_sequence(exact):
    x = samples("mesa", 12)
    _, state = mesa(**{n: y[:, :8] if n != "ridge" else y for n, y in x.items()}, output_final_state=True)
    arguments = [x[name] for name in ("q", "k", "g", "beta")]
    settings = {"max_iterations": 1, "chunk_size": 4}
    whole = mesa_residual(*arguments, x["ridge"], **settings)
    rest = mesa_residual(*(y[:, 8:] for y in arguments), x["ridge"], initial_state=state, **settings)
    torch.testing.assert_close(rest, whole[:, 8:], **exact)


def test_conjugate_gradients_freeze_what_is_solved(rng):
    rows = normal(rng, 7, 40, 30)
    matrix = rows.mT @ rows
    target = normal(rng, 7, 30)
    target[3] = 0.0

    def product(x):
        return (matrix @ x.unsqueeze(-1)).squeeze(-1)

    solved, residual = conjugate_gradient(product, target, lambda r: r, tolerance=1e-4, max_iterations=30)
    longer, _ = conjugate_gradient(product, target, lambda r: r, tolerance=1e-4, max_iterations=60)
    assert torch.equal(solved, longer)
    assert 1e-6 < residual.max() < 1e-4
    assert (solved[3] == 0).all()
    rest = (target - product(solved)).norm(dim=-1)
    torch.testing.assert_close(residual * target.norm(dim=-1), rest, rtol=1e-9, atol=1e-15)


def test_the_default_tolerance_is_near_the_precision():
    assert default_tolerance(torch.float32) == pytest.approx(1e-6, rel=0.1)
    assert default_tolerance(torch.float64) < 2e-15


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("norm", [1.0, 2.0])
@pytest.mark.parametrize("rank", [1, 2, 8])
@pytest.mark.parametrize("decay", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_strong_decay_and_few_directions_are_answered_or_refused(form, norm, rank, decay, rng):
    q, k, v, g = _of_rank(rng, 400, 8, rank, norm, decay)
    with torch.no_grad():
        expected = _or_refused(q, k, v, g, form="chunkwise")
        got = _or_refused(*(x.float() for x in (q, k, v, g)), form=form)
    if expected is None:
        assert got is None, "what double precision cannot answer, single precision does not answer either"
    elif got is not None:
        assert got.isfinite().all()
        assert (got - expected).norm() < 0.2 * expected.norm()
    if rank < 8 and decay < 0.95:
        assert got is None


@pytest.mark.parametrize("form", FAST)
def test_a_regression_that_is_wound_up_is_refused_with_the_way_out(form, rng):
    q, k, v, g = (x.float() for x in _of_rank(rng, 400, 8, 2, 1.0, 0.8))
    with pytest.raises(ValueError, match=r"rls: expected a Gram matrix.*rank-deficient keys.*Use mesa"):
        rls(q, k, v, g, form=form)


def test_a_chunk_in_which_the_prior_decays_away_is_refined(rng):
    q, k, v, g = _of_rank(rng, 1024, 16, 16, 1.0, 0.7)
    expected, _ = rls(q, k, v, g, form="recurrent")
    got, _ = rls(*(x.float() for x in (q, k, v, g)))
    assert (got - expected).norm() < 4e-5 * expected.norm()


@pytest.mark.parametrize(
    ("length", "decay", "ridge"),
    [(6, 1e-2, 1.0), (64, 1.0, 1e-6)],
    ids=["a prior decayed within the first chunk", "a ridge rounded away"],
)
def test_an_answer_that_would_be_rounding_is_refused(length, decay, ridge, rng):
    q, k, v, g = _of_rank(rng, length, 16, 8, 1.0, decay)
    assert rls(q, k, v, g, ridge=ridge)[0].isfinite().all()
    with pytest.raises(ValueError, match=r"float32.*or float64"):
        rls(*(x.float() for x in (q, k, v, g)), ridge=ridge)


def test_mesa_is_finite_where_the_ridge_is_below_the_rounding_of_the_gram_matrix(rng):
    q, k, v, g = (x.float() for x in _of_rank(rng, 400, 8, 2, 100.0, 1.0))
    beta, ridge = torch.ones_like(g), torch.full((2, 8), 1e-4)
    assert mesa(q, k, v, g, beta, ridge)[0].isfinite().all()
    assert mesa_residual(q, k, g, beta, ridge).isfinite().all()


@pytest.mark.parametrize("form", FAST)
def test_what_is_not_finite_is_refused(form):
    x = samples("rls", 9)
    x["k"][:, 0] = torch.nan
    with pytest.raises(ValueError, match="rls: expected a Gram matrix"):
        rls(**x, form=form)


def test_a_negative_ridge_is_refused_by_mesa():
    x = samples("mesa", 9)
    with pytest.raises(ValueError, match="mesa: expected a Gram matrix plus ridge that is positive definite"):
        mesa(**x | {"ridge": -x["ridge"]})


@pytest.mark.parametrize("rank", [2, 8])
@pytest.mark.parametrize("decay", [0.01, 0.5, 0.9, 1.0])
def test_a_fixed_ridge_answers_what_rls_refuses(rank, decay, rng):
    q, k, v, g = _of_rank(rng, 400, 8, rank, 2.0, decay)
    beta, ridge = torch.ones_like(g), torch.full((2, 8), 0.5, dtype=torch.float64)
    expected, _ = mesa(q, k, v, g, beta, ridge, form="recurrent")
    got, _ = mesa(*(x.float() for x in (q, k, v, g, beta, ridge)))
    assert (got - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("decay", [0.9, 0.99, 1.0])
def test_single_precision_holds_over_sixteen_thousand_correlated_keys(form, decay, rng):
    length = 16384 if form == "chunkwise" else 4096
    q, k, v = (normal(rng, 1, length, 1, d) for d in (16, 16, 3))
    k = unit(k + 3 * normal(rng, 1, 1, 1, 16))
    g = torch.full((1, length, 1), decay, dtype=torch.float64).log()
    with torch.no_grad():
        expected, _ = rls(unit(q), k, v, g)
        got, _ = rls(*(x.float() for x in (unit(q), k, v, g)), form=form)
    assert (got - expected).norm() < 2e-5 * expected.norm()


def _more(name):
    """Enough iterations for chunks of any size in double precision."""
    return {"max_iterations": 40} if name == "mesa" else {}


def _of_rank(rng, length, dim, rank, norm, decay):
    """Queries everywhere, keys in `rank` directions, values, and a constant decay; two heads."""
    k = normal(rng, 1, length, 2, rank) @ torch.linalg.qr(normal(rng, dim, dim)).Q[:rank]
    g = torch.full((1, length, 2), decay, dtype=torch.float64).log()
    return unit(normal(rng, 1, length, 2, dim)), norm * unit(k), normal(rng, 1, length, 2, 3), g


def _or_refused(*arguments, form):
    try:
        return rls(*arguments, form=form)[0]
    except ValueError:
        return None


def _true_residual(x, settings):
    """`|q - M x| / |q|` with every `M` built; `x` is read through cross sums of `I`, unwritten."""
    total, past = x["g"].cumsum(1), torch.ones(9, 9, dtype=torch.bool).tril()[None, :, :, None]
    age = (total[:, :, None] - total[:, None]).masked_fill(~past, -torch.inf)
    weights = age.exp() * x["beta"][:, None]
    gram = torch.einsum("btsh,bshk,bshj->bthkj", weights, x["k"], x["k"]) + torch.diag_embed(x["ridge"])
    identity = torch.eye(K, dtype=torch.float64).expand(B, H, K, K)
    start = LeastSquaresState(torch.zeros_like(identity), identity)
    read, _ = mesa(**x | {"v": torch.zeros_like(x["k"])}, initial_state=start, **settings)
    solution = read * total.neg().exp()[..., None]
    residual = x["q"] - torch.einsum("bthkj,bthj->bthk", gram, solution)
    return residual.norm(dim=-1) / x["q"].norm(dim=-1)


@pytest.mark.parametrize("key_dim", [5, 24])
@pytest.mark.parametrize("ridge", [0.01, 1.0])
@pytest.mark.parametrize("size", [1.0, 4.0])
def test_mesa_is_solved_under_strong_decays_and_a_small_ridge_too(key_dim, ridge, size):
    """More key channels than the iterations that a preconditioner would leave to be made."""
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 40, 2, key_dim, generator=rng, dtype=torch.float64) for _ in range(3))
    k = size * k / k.norm(dim=-1, keepdim=True)
    g = -3 * torch.rand(1, 40, 2, generator=rng, dtype=torch.float64)
    x = (q, k, v, g, torch.ones_like(g), torch.full((2, key_dim), ridge, dtype=torch.float64))
    expected, _ = mesa(*x, form="reference")
    torch.testing.assert_close(mesa(*x)[0], expected, rtol=1e-10, atol=1e-10)
    assert mesa_residual(*x[:2], *x[3:]).max() < 1e-12
