"""What the ops that keep every association compute: regressions around each query, solved exactly."""

import pytest
import torch
from torch.nn.functional import normalize
from torch.utils.flop_counter import FlopCounterMode

from recollect.ops import (
    forgetting_attn,
    kernel_attn,
    kernel_ridge,
    local_linear_attn,
    local_polynomial_attn,
    parallax,
    softmax_attn,
)
from recollect.ops.associations import Associations
from recollect.ops.local_fit import solve_positive_definite

B, T, H, K, V = 2, 9, 3, 5, 4
BANDWIDTH = 1.7
KERNELS = {
    "exponential": lambda q, k: torch.exp(k @ q / BANDWIDTH / K**0.5),
    "gaussian": lambda q, k: torch.exp(-((k - q) ** 2).sum(-1) / (2 * BANDWIDTH**2)),
    "laplace": lambda q, k: torch.exp(-((k - q) ** 2).sum(-1).sqrt() / BANDWIDTH),
    "polynomial": lambda q, k: (1 + k @ q / BANDWIDTH / K**0.5) ** 2,
    "compact": lambda q, k: (1 - ((k - q) ** 2).sum(-1) / BANDWIDTH**2).clamp(min=0) ** 3,
}
POSITIVE_DEFINITE = ("exponential", "gaussian", "laplace", "polynomial")
FORMS = ("reference", "recurrent", "parallel", "chunkwise")
MONOMIALS = {
    0: lambda x: x[:, :0],
    1: lambda x: x,
    2: lambda x: torch.cat([x, *(x[:, [a]] * x[:, [b]] for a in range(K) for b in range(a + 1))], dim=-1),
}


@pytest.fixture
def sequences(rng):
    """Queries near the keys, so that each sees some of them through every kernel."""
    k = 0.5 * torch.randn(B, T, H, K, dtype=torch.float64, generator=rng)
    return {
        "q": k.flip(1) + 0.1 * torch.randn(B, T, H, K, dtype=torch.float64, generator=rng),
        "k": k,
        "v": torch.randn(B, T, H, V, dtype=torch.float64, generator=rng),
    }


@pytest.fixture
def weighting(rng):
    """Decays and importances."""
    return {
        "g": -torch.rand(B, T, H, dtype=torch.float64, generator=rng),
        "log_importance": torch.randn(B, T, H, dtype=torch.float64, generator=rng),
    }


def at_every_position(answer, sequences, weighting, window=T):
    """`answer(q_t, keys, values, weights, decay)` of what each position sees, as `(B, T, H, V)`."""
    q, k, v = (x.transpose(1, 2) for x in sequences.values())
    g, importance = (x.transpose(1, 2) for x in weighting.values())
    outputs = torch.empty_like(v)
    for b, h, t in torch.cartesian_prod(torch.arange(B), torch.arange(H), torch.arange(T)).tolist():
        seen = slice(max(t + 1 - window, 0), t + 1)
        total = g[b, h].cumsum(0)
        weights = torch.exp(total[t] - total[seen] + importance[b, h, seen])
        outputs[b, h, t] = answer(q[b, h, t], k[b, h, seen], v[b, h, seen], weights, total[t].exp())
    return outputs.transpose(1, 2)


def least_squares(degree, kernel, ridge):
    """The intercept of a weighted polynomial, by `lstsq` on rows for the associations and for the ridge.

    With weights that do not sum to 1 the ridge is multiplied by their sum.
    """

    def answer(q, k, v, weights, _):
        weights = weights * KERNELS[kernel](q, k)
        x = MONOMIALS[degree](k - q)
        design = torch.cat([torch.ones_like(x[:, :0].sum(-1, keepdim=True)), x], dim=-1)
        size = x.shape[-1]
        prior = torch.eye(size + 1, dtype=x.dtype)[1:] * (ridge * weights.sum()).sqrt()
        root = weights.sqrt()[:, None]
        rows, targets = torch.cat([root * design, prior]), torch.cat([root * v, v.new_zeros(size, V)])
        return torch.linalg.lstsq(rows, targets, driver="gelsd").solution[0]

    return answer


def ridge_regression(kernel, ridge):
    """Kernel ridge regression in the primal: coefficients of `s(., k_i)`, by `lstsq`; the prior decays."""

    def answer(q, k, v, weights, decay):
        gram = torch.stack([KERNELS[kernel](one, k) for one in k])
        root = weights.sqrt()[:, None]
        prior = (ridge * decay).sqrt() * torch.linalg.cholesky(gram).mT
        rows, targets = torch.cat([root * gram, prior]), torch.cat([root * v, torch.zeros_like(v)])
        return KERNELS[kernel](q, k) @ torch.linalg.lstsq(rows, targets, driver="gelsd").solution

    return answer


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel_attention_is_a_weighted_constant_by_least_squares(kernel, form, sequences, weighting, exact):
    got, _ = kernel_attn(**sequences, **weighting, kernel=kernel, bandwidth=BANDWIDTH, window=4, form=form)
    expected = at_every_position(least_squares(0, kernel, 0.0), sequences, weighting, window=4)
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_local_linear_attention_is_a_weighted_affine_fit(kernel, form, sequences, weighting, exact):
    settings = {"kernel": kernel, "bandwidth": BANDWIDTH, "ridge": 0.3, "form": form}
    got, _ = local_linear_attn(**sequences, **weighting, **settings)
    expected = at_every_position(least_squares(1, kernel, 0.3), sequences, weighting)
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("degree", MONOMIALS)
def test_local_polynomial_attention_is_a_weighted_polynomial_fit(degree, form, sequences, weighting, exact):
    settings = {"degree": degree, "kernel": "gaussian", "bandwidth": BANDWIDTH, "ridge": 0.3, "form": form}
    got, _ = local_polynomial_attn(**sequences, **weighting, **settings)
    expected = at_every_position(least_squares(degree, "gaussian", 0.3), sequences, weighting)
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("form", ["reference", "recurrent", "parallel"])
@pytest.mark.parametrize("kernel", POSITIVE_DEFINITE)
def test_kernel_ridge_is_the_least_squares_problem_of_its_functions(
    kernel, form, sequences, weighting, exact
):
    settings = {"kernel": kernel, "bandwidth": BANDWIDTH, "ridge": 0.3, "form": form}
    got, _ = kernel_ridge(**sequences, **weighting, **settings)
    expected = at_every_position(ridge_regression(kernel, 0.3), sequences, weighting)
    torch.testing.assert_close(got, expected, **exact)


def test_a_polynomial_of_degree_zero_is_softmax_attention(sequences, exact):
    got, _ = local_polynomial_attn(**sequences, degree=0)
    torch.testing.assert_close(got, softmax_attn(**sequences)[0], **exact)


def test_a_polynomial_of_degree_one_is_local_linear(sequences, weighting, exact):
    got, _ = local_polynomial_attn(**sequences, **weighting, degree=1, ridge=0.2)
    torch.testing.assert_close(got, local_linear_attn(**sequences, **weighting, ridge=0.2)[0], **exact)


def test_parallax_with_the_solved_slope_is_local_linear(sequences, exact):
    q, k, v = sequences.values()
    scores = torch.einsum("bthk,bshk->bhts", q, k) / K**0.5
    p = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -torch.inf).softmax(-1)
    mean = torch.einsum("bhts,bshk->bthk", p, k)
    centred = k.unsqueeze(1) - mean.unsqueeze(2)
    covariance = torch.einsum("bhts,btshk,btshl->bthkl", p, centred, centred)
    slope = torch.linalg.solve(covariance + 0.2 * torch.eye(K, dtype=q.dtype), mean - q)
    got, _ = parallax(q, k, v, slope)
    torch.testing.assert_close(got, local_linear_attn(q, k, v, ridge=0.2)[0], **exact)


def test_parallax_without_tilt_is_softmax_attention(sequences, exact):
    got, _ = parallax(**sequences, r=torch.zeros_like(sequences["q"]))
    torch.testing.assert_close(got, softmax_attn(**sequences)[0], **exact)


def test_keys_of_constant_norm_turn_the_exponential_kernel_into_a_gaussian_one(sequences, exact):
    """exp(s q.k) = exp(-s |q - k|^2 / 2) exp(s (|q|^2 + |k|^2) / 2): the bandwidth is s^-1/2."""
    k = normalize(sequences["k"], dim=-1)
    got, _ = softmax_attn(sequences["q"], k, sequences["v"], scale=0.6)
    expected, _ = kernel_attn(sequences["q"], k, sequences["v"], kernel="gaussian", bandwidth=0.6**-0.5)
    torch.testing.assert_close(got, expected, **exact)


def test_local_linear_is_exact_on_affine_functions_also_beyond_the_keys_where_softmax_is_biased(rng):
    k = torch.rand(1, 40, 1, 2, dtype=torch.float64, generator=rng)
    q = torch.full_like(k, 1.5)
    matrix = torch.tensor([[1.0, -2.0, 0.5], [3.0, 1.0, 1.0]], dtype=torch.float64)
    v, expected = k @ matrix + 1.0, q @ matrix + 1.0
    late = slice(5, None)  # from where on the keys span the plane
    fitted, _ = local_linear_attn(q, k, v, ridge=1e-11)
    torch.testing.assert_close(fitted[:, late], expected[:, late], rtol=1e-6, atol=1e-6)
    assert (softmax_attn(q, k, v)[0] - expected)[:, late].abs().max() > 0.5


def test_degree_two_is_exact_on_quadratic_functions_where_degree_one_is_not(rng):
    k = torch.rand(1, 40, 1, 2, dtype=torch.float64, generator=rng)
    q = torch.full_like(k, 0.9)
    v, expected = (torch.stack([x[..., 0] * x[..., 1], x[..., 1] ** 2 - x[..., 0]], -1) for x in (k, q))
    late = slice(12, None)
    fitted, _ = local_polynomial_attn(q, k, v, ridge=1e-11)
    torch.testing.assert_close(fitted[:, late], expected[:, late], rtol=1e-6, atol=1e-6)
    assert (local_linear_attn(q, k, v, ridge=1e-11)[0] - expected)[:, late].abs().max() > 0.05


@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "exponential"])
def test_kernel_ridge_interpolates_as_the_ridge_vanishes(kernel, rng):
    k = 3 * torch.randn(B, T, H, K, dtype=torch.float64, generator=rng)
    v = torch.randn(B, T, H, V, dtype=torch.float64, generator=rng)
    errors = [(kernel_ridge(k, k, v, kernel=kernel, ridge=r)[0] - v).abs().max() for r in (1e-3, 1e-6, 1e-9)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-7


@pytest.mark.parametrize("form", FORMS)
def test_a_window_sees_the_last_associations_only(form, sequences, exact):
    q, k, v = sequences.values()
    got, state = softmax_attn(q, k, v, window=3, form=form, chunk_size=4, output_final_state=True)
    for t in range(T):
        seen = slice(max(t - 2, 0), t + 1)
        alone, _ = softmax_attn(q[:, seen], k[:, seen], v[:, seen])
        torch.testing.assert_close(got[:, t], alone[:, -1], **exact)
    torch.testing.assert_close(state.keys, k[:, -2:], rtol=0, atol=0)


def test_a_window_of_one_returns_the_values(sequences, exact):
    got, state = softmax_attn(**sequences, window=1, output_final_state=True)
    torch.testing.assert_close(got, sequences["v"], **exact)
    assert state.keys.shape == (B, 0, H, K)


def test_a_window_costs_linear_work(rng):
    """Each block reads at most `window - 1` associations that it does not hold."""
    x = torch.randn(1, 4096, 1, 4, generator=rng)
    counted = []
    for length in (1024, 4096):
        cut = x[:, :length]
        with FlopCounterMode(display=False) as flops:
            softmax_attn(cut, cut, cut, window=32)
        counted.append(flops.get_total_flops())
    assert counted[1] < 4.2 * counted[0]


def test_constant_decays_are_alibi(sequences, exact):
    slopes = torch.tensor([0.5, 0.25, 0.125], dtype=torch.float64)
    q, k, v = sequences.values()
    age = torch.arange(T)[:, None] - torch.arange(T)
    scores = torch.einsum("bthk,bshk->bhts", q, k) / K**0.5 - slopes[:, None, None] * age
    p = scores.masked_fill(age < 0, -torch.inf).softmax(-1)
    got, _ = forgetting_attn(q, k, v, (-slopes).expand(B, T, H))
    torch.testing.assert_close(got, torch.einsum("bhts,bshv->bthv", p, v), **exact)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("op", [kernel_attn, local_linear_attn, local_polynomial_attn, parallax])
def test_a_query_without_neighbours_is_answered_by_zero_with_finite_gradients(op, form, sequences):
    leaves = {name: x.clone().requires_grad_() for name, x in sequences.items()}
    far = leaves | {"q": leaves["q"] + 100.0}
    slope = {"r": torch.ones_like(far["q"])} if op is parallax else {}
    output, _ = op(**far, **slope, kernel="compact", bandwidth=1.0, form=form)
    assert torch.equal(output, torch.zeros_like(output))
    gradients = torch.autograd.grad(output.sum(), list(leaves.values()))
    assert all(x.isfinite().all() for x in gradients)


@pytest.mark.parametrize("form", FORMS)
def test_the_laplace_kernel_has_a_finite_gradient_where_query_and_key_coincide(form, sequences):
    leaf = sequences["k"].clone().requires_grad_()
    output, _ = kernel_attn(leaf, leaf, sequences["v"], kernel="laplace", form=form)
    (gradient,) = torch.autograd.grad(output.square().sum(), leaf)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("form", FORMS[1:])
@pytest.mark.parametrize("kernel", ["exponential", "gaussian", "laplace", "polynomial"])
def test_extreme_similarities_do_not_overflow(kernel, form, sequences):
    sequences = {name: x.float() for name, x in sequences.items()}
    leaf = (1e3 * sequences["q"]).requires_grad_()
    output, _ = kernel_attn(leaf, 1e3 * sequences["k"], sequences["v"], kernel=kernel, form=form)
    (gradient,) = torch.autograd.grad(output.sum(), leaf)
    assert output.isfinite().all()
    assert gradient.isfinite().all()


def test_decays_over_a_long_past_keep_their_digits(rng):
    """Sums of decays reach -4096, where single precision tells apart 2^-11; their differences stay exact."""
    x = torch.randn(1, 4096, 1, 4, dtype=torch.float64, generator=rng)
    g = torch.full((1, 4096, 1), -1.0, dtype=torch.float64) - 2**-9 * torch.rand(
        1, 4096, 1, dtype=torch.float64, generator=rng
    )
    expected, _ = forgetting_attn(x, x, x, g, window=64)
    got, _ = forgetting_attn(*(y.float() for y in (x, x, x, g)))
    assert (got - expected)[:, -64:].abs().max() < 3e-6


@pytest.mark.parametrize("form", FORMS)
def test_joined_states_of_different_length_behave_as_separate_ones(form, sequences, weighting, exact):
    def read(batch, positions, state):
        cut = {n: x[batch, positions] for n, x in (sequences | weighting).items()}
        return kernel_attn(**cut, initial_state=state, output_final_state=True, form=form, chunk_size=2)

    short, long = (read(slice(b, b + 1), slice(0, 2 + 2 * b), None)[1] for b in (0, 1))
    joined = Associations.join([short, long])
    assert joined.keys.shape == (2, 4, H, K)
    joined.values[0, :2] = 1.0  # what stands where nothing was read does not matter
    leaves = Associations(*(x.clone().requires_grad_() for x in joined))
    together, final = read(slice(None), slice(4, T), leaves)
    for b, state in enumerate((short, long)):
        alone, alone_final = read(slice(b, b + 1), slice(4, T), state)
        torch.testing.assert_close(together[b : b + 1], alone, **exact)
        count = alone_final.log_weights.shape[1]
        torch.testing.assert_close(final.log_weights[b : b + 1, -count:], alone_final.log_weights, **exact)
    assert final.log_weights[0, :2].eq(-torch.inf).all()
    gradients = torch.autograd.grad(together.sum(), list(leaves))
    assert all(x.isfinite().all() for x in gradients)
    assert gradients[0][0, :2].abs().max() == 0


@pytest.mark.parametrize("form", ["reference", "recurrent", "parallel"])
def test_joined_states_of_kernel_ridge_behave_as_separate_ones(form, sequences, weighting, exact):
    def read(batch, positions, state):
        cut = {n: x[batch, positions] for n, x in (sequences | weighting).items()}
        return kernel_ridge(**cut, initial_state=state, output_final_state=True, form=form)

    states = [read(slice(b, b + 1), slice(0, 2 + 2 * b), None)[1] for b in (0, 1)]
    joined = type(states[0]).join(states)
    joined.associations.values[0, :2] = 1.0  # what stands where nothing was read does not matter
    leaves = [x.clone().requires_grad_() for x in (*joined.associations, joined.log_prior)]
    together, _ = read(slice(None), slice(4, T), type(joined)(Associations(*leaves[:3]), leaves[3]))
    for b, state in enumerate(states):
        alone, _ = read(slice(b, b + 1), slice(4, T), state)
        torch.testing.assert_close(together[b : b + 1], alone, **exact)
    gradients = torch.autograd.grad(together.sum(), leaves)
    assert all(x.isfinite().all() for x in gradients)


def test_the_centred_form_has_less_rounding_error_than_the_normal_equations(rng):
    """Measured with keys of norm 1, K = 16, T = 200, ridge .001: 4 times less."""
    q, k, v = (torch.randn(1, 200, 2, 16, dtype=torch.float64, generator=rng) for _ in range(3))
    sequences = normalize(q, dim=-1), normalize(k, dim=-1), v
    expected, _ = local_linear_attn(*sequences, ridge=1e-3, form="reference")
    single = [x.float() for x in sequences]
    errors = {
        form: (local_linear_attn(*single, ridge=1e-3, form=form)[0] - expected).norm() / expected.norm()
        for form in ("reference", "chunkwise")
    }
    assert errors["chunkwise"] < 0.5 * errors["reference"]
    assert errors["chunkwise"] < 1e-5


def test_positive_definite_systems_are_solved_with_the_gradients_of_an_elimination(rng, exact):
    root = torch.randn(2, 3, 5, 7, dtype=torch.float64, generator=rng)
    right = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=rng).requires_grad_()
    matrix = (root @ root.mT + 0.1 * torch.eye(5, dtype=torch.float64)).requires_grad_()
    results = [solve(matrix, right) for solve in (solve_positive_definite, torch.linalg.solve)]
    torch.testing.assert_close(*results, **exact)
    weights = torch.randn(results[0].shape, dtype=torch.float64, generator=rng)
    for by in (right, matrix):
        first, second = (torch.autograd.grad((weights * x).sum(), by, retain_graph=True)[0] for x in results)
        torch.testing.assert_close(first, second, **exact)


def test_a_system_that_rounding_made_indefinite_is_solved_and_one_that_is_not_finite_gives_nan(rng):
    """Two directions in five, and a ridge below the rounding of their matrix in single precision."""
    root = 100 * torch.randn(4, 5, 2, dtype=torch.float64, generator=rng)
    matrix = root @ root.mT + 1e-6 * torch.eye(5, dtype=torch.float64)
    right = matrix @ root[..., :1]
    assert torch.linalg.cholesky_ex(matrix.float()).info.any()
    got = solve_positive_definite(matrix.float(), right.float())
    assert ((matrix @ got.double() - right).norm(dim=1) < 1e-4 * right.norm(dim=1)).all()
    matrix[1, 2, 2] = torch.nan
    got = solve_positive_definite(matrix, right)
    assert got.isfinite().all((1, 2)).tolist() == [True, False, True, True]
    assert got[1].isnan().all()


def test_five_hundred_monomials_are_fitted_with_several_threads(rng):
    """Some builds of MKL fail in an elimination of this size with two threads."""
    q, k, v = (torch.randn(1, 3, 1, 32, dtype=torch.float64, generator=rng) for _ in range(3))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        outputs = [local_polynomial_attn(q, k, v, ridge=0.1, form=form)[0] for form in FORMS]
    finally:
        torch.set_num_threads(threads)
    for other in outputs[1:]:
        torch.testing.assert_close(other, outputs[0], rtol=1e-8, atol=1e-8)


def test_an_offset_of_all_keys_costs_few_digits(rng):
    q, k, v = (torch.randn(1, 100, 2, 8, dtype=torch.float64, generator=rng) for _ in range(3))
    settings = {"ridge": 0.1, "kernel": "gaussian", "bandwidth": 3.0}
    expected, _ = local_linear_attn(q + 30.0, k + 30.0, v, **settings)
    got, _ = local_linear_attn((q + 30.0).float(), (k + 30.0).float(), v.float(), **settings)
    assert (got - expected).norm() / expected.norm() < 1e-4


def test_a_sum_is_the_mean_times_the_sum_of_the_weights(sequences, weighting, exact):
    ones = sequences | {"v": torch.ones_like(sequences["v"])}
    total, _ = kernel_attn(**ones, **weighting, normalise=False)
    got, _ = kernel_attn(**sequences, **weighting, normalise=False)
    torch.testing.assert_close(got, total * kernel_attn(**sequences, **weighting)[0], **exact)


@pytest.mark.parametrize(
    ("op", "argument", "message"),
    [
        (softmax_attn, {"window": 0}, "window=0: expected at least 1"),
        (kernel_attn, {"kernel": "box"}, "kernel='box': expected one of exponential"),
        (kernel_attn, {"bandwidth": 0.0}, "bandwidth=0.0: expected a positive number"),
        (kernel_attn, {"power": 3}, "power=3: expected a positive even number"),
        (local_linear_attn, {"ridge": 0.0}, "ridge=0.0: expected a positive number"),
        (local_polynomial_attn, {"degree": 3}, "degree=3: expected 0, 1 or 2"),
        (kernel_ridge, {"kernel": "compact"}, "expected one that is positive definite, gaussian"),
    ],
)
def test_arguments_out_of_range_are_refused(op, argument, message, sequences):
    with pytest.raises(ValueError, match=message):
        op(**sequences, **argument)


def test_a_ridge_that_decayed_away_is_refused_with_the_reason():
    x = torch.ones(1, 60, 1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"singular in torch\.float64: keys that are alike"):
        kernel_ridge(x, x, x, g=-torch.ones(1, 60, 1, dtype=torch.float64))
