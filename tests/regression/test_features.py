"""Feature maps: what each states of itself is measured, over the registry and against closed forms."""

import inspect
import math
import os
import subprocess
import sys

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from recollect.core import ConfigError, NotDefinedError, seeded_initialisation
from recollect.regression.features import FEATURES, FeatureMap, build_features
from recollect.regression.features.dct import cosine_transform
from recollect.regression.features.favor import orthogonal_gaussian

B, T, H, K = 2, 7, 3, 5
SIZES = {
    "none": K,
    "elu": K,
    "relu": K,
    "softmax": K,
    "favor": 2 * K,
    "random_fourier": 2 * K,
    "cosine": 2 * K,
    "dct": K,
    "taylor": 1 + K + K * (K + 1) // 2,
    "squared": K * (K + 1) // 2,
    "hedgehog": 2 * K,
}
OPTIONS = [
    ("favor", {"num_features": 7, "rescale_queries": True}),
    ("random_fourier", {"num_features": 4, "bandwidth": 2.0, "learn_bandwidth": True}),
    ("squared", {"layer_norm": True}),
]
CASES = [(name, {}) for name in FEATURES] + OPTIONS
over_cases = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=lambda x: x if isinstance(x, str) else None
)
over_roles = pytest.mark.parametrize("role", ["query", "key"])
DRAWS = 10_000


def build(name, options=None, key_dim=K, num_heads=H, seed=1):
    """A map in float64, with its parameters moved off their start."""
    with seeded_initialisation(seed):
        features = build_features(name, key_dim, num_heads, options).double()
        for parameter in features.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return features


def draw(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def similarity(features, q, k, positions):
    """`phi(q_t).phi(k_s)` for all pairs of positions, (B, H, T, T)."""
    return torch.einsum("bthf,bshf->bhts", features(q, positions, "query"), features(k, positions, "key"))


def dot(q, k):
    return torch.einsum("bthk,bshk->bhts", q, k)


@pytest.fixture
def positions():
    return torch.arange(T)


@pytest.fixture
def pair(rng):
    return draw(rng, B, T, H, K), draw(rng, B, T, H, K)


def test_every_map_states_its_size_and_follows_the_protocol():
    assert set(SIZES) == set(FEATURES)
    for name, size in SIZES.items():
        features = FEATURES[name](K, H)
        assert isinstance(features, FeatureMap)
        assert isinstance(features, torch.nn.Module)
        assert features.size == size
        assert features.kernel
        assert list(inspect.signature(FEATURES[name]).parameters)[:2] == ["key_dim", "num_heads"]


@over_roles
@over_cases
def test_features_have_the_stated_size_and_sign(name, options, role, pair, positions):
    features = build(name, options)
    phi = features(pair[0], positions, role)
    assert phi.shape == (B, T, H, features.size)
    assert phi.dtype == torch.float64
    assert bool((phi >= 0).all()) == features.nonnegative
    assert features.learned == any(True for _ in features.parameters())


@over_cases
def test_the_sign_of_the_similarity_is_as_stated(name, options, rng, positions):
    features = build(name, options)
    q, k = 3 * draw(rng, 40, T, H, K), 3 * draw(rng, 40, T, H, K)
    scores = similarity(features, q, torch.cat([k[:20], -q[20:]]), positions)
    assert bool((scores >= 0).all()) == features.nonnegative_similarity


@over_roles
@over_cases
def test_one_position_at_a_time_equals_the_whole_sequence(name, options, role, pair, positions):
    features = build(name, options)
    steps = [features(pair[0][:, t : t + 1], positions[t : t + 1], role) for t in range(T)]
    whole = features(pair[0], positions, role)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-12, atol=1e-12)


@over_roles
@over_cases
def test_gradients_agree_with_finite_differences(name, options, role, rng):
    features = build(name, options, key_dim=3, num_heads=2)
    names, parameters = list(features.state_dict()), list(features.state_dict().values())
    x = draw(rng, 1, 4, 2, 3).requires_grad_()
    leaves = [value.detach().clone().requires_grad_() for value in parameters]

    def function(x, *values):
        state = dict(zip(names, values, strict=True))
        return functional_call(features, state, (x, torch.arange(4), role))

    assert torch.autograd.gradcheck(function, (x, *leaves))


@over_roles
@over_cases
def test_features_of_a_head_depend_on_that_head_alone(name, options, role, pair, positions, rng):
    features = build(name, options)
    x = pair[0]
    changed = x.clone()
    changed[:, :, 1] = draw(rng, B, T, K)
    before, after = features(x, positions, role), features(changed, positions, role)
    assert torch.equal(before[:, :, [0, 2]], after[:, :, [0, 2]])
    assert not torch.allclose(before[:, :, 1], after[:, :, 1])


@over_cases
def test_models_stacked_under_vmap_equal_a_loop(name, options, rng, positions):
    models = [build(name, options, seed=seed) for seed in range(4)]
    x = draw(rng, 4, B, T, H, K)
    state = stack_module_state(models) if models[0].state_dict() else ({}, {})

    def call(parameters, buffers, x):
        return functional_call(models[0], (parameters, buffers), (x, positions, "query"))

    together = vmap(call)(*state, x)
    alone = torch.stack([model(row, positions, "query") for model, row in zip(models, x, strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FEATURES)
def test_construction_depends_on_the_seed_alone(name):
    one, again = build(name).state_dict(), build(name).state_dict()
    assert all(torch.equal(one[key], again[key]) for key in one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@over_cases
def test_lower_precision_stays_near_float64(name, options, dtype, pair, positions):
    exact = build(name, options)
    low = build(name, options).to(dtype)
    # The same rounded numbers go into both: what is measured is the arithmetic of the map.
    exact.load_state_dict({key: value.double() for key, value in low.state_dict().items()})
    x = (0.5 * pair[0]).to(dtype)
    got = low(x, positions, "key")
    assert got.dtype == dtype
    tolerance = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        got.double(), exact(x.double(), positions, "key"), rtol=tolerance, atol=tolerance
    )


def test_taylor_is_the_exponential_to_second_order(pair, positions):
    s = dot(*pair) / math.sqrt(K)
    torch.testing.assert_close(
        similarity(build("taylor"), *pair, positions), 1 + s + s**2 / 2, rtol=1e-10, atol=1e-10
    )
    s = 0.7 * dot(*pair)
    torch.testing.assert_close(
        similarity(build("taylor", {"scale": 0.7}), *pair, positions),
        1 + s + s**2 / 2,
        rtol=1e-10,
        atol=1e-10,
    )


@pytest.mark.parametrize("layer_norm", [False, True])
def test_squared_is_the_square_of_a_product_after_an_affine_map(layer_norm, pair, positions):
    features = build("squared", {"layer_norm": layer_norm})
    mapped = []
    for x in pair:
        if layer_norm:
            centred = x - x.mean(dim=-1, keepdim=True)
            x = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
        mapped.append(features.gain * x + features.bias)
    torch.testing.assert_close(
        similarity(features, *pair, positions), dot(*mapped) ** 2, rtol=1e-10, atol=1e-10
    )


def test_squared_starts_as_the_square_of_the_scaled_product(pair, positions):
    start = FEATURES["squared"](K, H).double()
    torch.testing.assert_close(similarity(start, *pair, positions), dot(*pair) ** 2 / K, rtol=1e-6, atol=1e-6)


def test_cosine_is_relu_times_the_cosine_of_the_distance(pair):
    positions = torch.tensor([0, 1, 2, 5, 8, 9, 10])
    q, k = pair
    distance = (positions[:, None] - positions).double()
    expected = dot(q.relu(), k.relu()) * torch.cos(math.pi * distance / 22)
    got = similarity(build("cosine", {"max_length": 11}), q, k, positions)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_cosine_refuses_what_is_beyond_its_length(pair):
    features = build("cosine", {"max_length": T})
    beyond = features(pair[0][:, :2], torch.tensor([T - 1, T]), "key")
    assert beyond[:, 0].isfinite().all()
    assert beyond[:, 1].isnan().all()
    with pytest.raises(NotDefinedError, match=rf"positions 0\.\.{T - 2}, got {T}"):
        build("cosine", {"max_length": T - 1})(pair[0], torch.arange(T), "key")


def test_simple_maps_are_their_formulas(pair, positions):
    x = pair[0]
    expected = {
        "none": x,
        "elu": torch.nn.functional.elu(x) + 1,
        "relu": torch.where(x > 0, x, 0),
        "softmax": x.exp() / x.exp().sum(dim=-1, keepdim=True),
    }
    for name, value in expected.items():
        torch.testing.assert_close(build(name)(x, positions, "key"), value, rtol=1e-12, atol=1e-12)


def test_elu_stays_positive_for_very_negative_channels(positions):
    assert (FEATURES["elu"](K, H)(torch.full((B, T, H, K), -60.0), positions, "key") > 0).all()


def test_hedgehog_normalises_exponentials_of_both_signs_of_a_learned_map(pair, positions):
    features = build("hedgehog")
    mapped = torch.stack(
        [pair[0][:, :, h] @ features.weight[h].T + features.bias[h] for h in range(H)], dim=2
    )
    exponentials = torch.cat([mapped.exp(), (-mapped).exp()], dim=-1)
    expected = exponentials / exponentials.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(features(pair[0], positions, "key"), expected, rtol=1e-12, atol=1e-12)


def test_hedgehog_starts_at_the_identity():
    features = FEATURES["hedgehog"](K, H)
    assert torch.equal(features.weight, torch.eye(K).expand(H, K, K))
    assert not features.bias.any()


def many_draws(name, num_features, q, k, draws=DRAWS):
    """`phi(q).phi(k)` of one pair under independent draws: every head is one."""
    features = build(name, {"num_features": num_features}, num_heads=draws)
    q, k = (x.expand(1, 1, draws, K) for x in (q, k))
    return similarity(features, q, k, torch.zeros(1, dtype=torch.int64)).flatten()


@pytest.fixture
def near_pair(rng):
    """A query and a key of unit norm, for which estimates have light tails."""
    q = torch.nn.functional.normalize(draw(rng, K), dim=0)
    return q, torch.nn.functional.normalize(q + draw(rng, K), dim=0)


def kernels(q, k):
    return {
        "favor": (q @ k / math.sqrt(K)).exp(),
        "random_fourier": (-(q - k).square().sum() / 2).exp(),
    }


@pytest.mark.parametrize("name", ["favor", "random_fourier"])
@pytest.mark.parametrize("num_features", [2, 16])
def test_random_features_are_unbiased(name, num_features, near_pair):
    estimates = many_draws(name, num_features, *near_pair)
    error = estimates.mean() - kernels(*near_pair)[name]
    assert error.abs() < 4 * estimates.std() / math.sqrt(DRAWS)
    assert estimates.std() / math.sqrt(DRAWS) < 0.03 * kernels(*near_pair)[name]


@pytest.mark.parametrize("name", ["favor", "random_fourier"])
def test_error_of_random_features_falls_like_one_over_the_root_of_their_number(name, near_pair):
    truth = kernels(*near_pair)[name]
    counts = [2 * K, 8 * K, 32 * K]
    errors = [(many_draws(name, n, *near_pair) - truth).square().mean().sqrt() for n in counts]
    scaled = torch.stack([e * math.sqrt(n) for e, n in zip(errors, counts, strict=True)])
    torch.testing.assert_close(scaled, scaled.mean().expand(3), rtol=0.08, atol=0)


def test_variance_of_random_fourier_features_is_as_stated(near_pair):
    kernel = kernels(*near_pair)["random_fourier"]
    estimates = many_draws("random_fourier", 8, *near_pair)
    torch.testing.assert_close(estimates.var(), (1 - kernel**2) ** 2 / 8, rtol=0.1, atol=0)


def test_orthogonal_directions_have_less_variance_than_independent_ones(near_pair):
    q, k = (x / K**0.25 for x in near_pair)
    # Variance with independent Gaussian directions, in closed form.
    independent = (2 * (q @ k)).exp() * (((q + k) @ (q + k)).exp() - 1) / K
    squares = (many_draws("favor", K, *near_pair, draws=40_000) - (q @ k).exp()).square()
    assert squares.mean() + 4 * squares.std() / math.sqrt(len(squares)) < independent


def test_directions_are_orthogonal_in_blocks_and_gaussian_each(rng):
    with seeded_initialisation(3):
        rows = orthogonal_gaussian(DRAWS, 2 * K + 2, K)
    assert rows.shape == (DRAWS, 2 * K + 2, K)
    for block in rows.split(K, dim=1):
        products = block @ block.mT
        torch.testing.assert_close(
            products, torch.diag_embed(products.diagonal(dim1=1, dim2=2)), rtol=0, atol=1e-12
        )
    standard_error = 1 / math.sqrt(DRAWS)
    for row in (0, K - 1, 2 * K + 1):
        w = rows[:, row]
        assert (w.mean(dim=0).abs() < 4 * standard_error).all()
        assert ((w.mT @ w / DRAWS - torch.eye(K)).abs() < 4 * math.sqrt(2) * standard_error).all()
        # Fourth moments: 3 for a Gaussian, with variance 105 - 9.
        assert ((w**4).mean(dim=0) - 3).abs().max() < 4 * math.sqrt(96) * standard_error


def test_favor_is_bounded_by_its_directions_and_reaches_the_bound(positions):
    features = build("favor")
    x = (features.directions * K**0.25)[:, :T].transpose(0, 1)[None]
    bound = (features.directions.square().sum(dim=-1) / 2).exp() / math.sqrt(features.size)
    phi = features(x, positions, "key")
    assert (phi <= bound * (1 + 1e-12)).all()
    reached = phi[0].diagonal(dim1=0, dim2=2)
    torch.testing.assert_close(reached, bound[:, :T], rtol=1e-10, atol=0)


def test_rescaled_favor_keeps_ratios_and_survives_long_queries(pair, positions):
    q, k = pair
    plain, rescaled = build("favor"), build("favor", {"rescale_queries": True})
    assert torch.equal(plain(k, positions, "key"), rescaled(k, positions, "key"))
    normalised = [
        s / s.sum(dim=-1, keepdim=True) for s in (similarity(f, q, k, positions) for f in (plain, rescaled))
    ]
    torch.testing.assert_close(*normalised, rtol=1e-10, atol=1e-12)
    long = (60 * q).float()
    assert not plain.float()(long, positions, "query").any(dim=-1).all()
    torch.testing.assert_close(rescaled.float()(long, positions, "query").amax(dim=-1), torch.ones(B, T, H))


def test_dct_has_orthogonal_directions_of_the_cosine_basis():
    basis = cosine_transform(K)
    torch.testing.assert_close(basis @ basis.T, torch.eye(K, dtype=torch.float64), rtol=0, atol=1e-12)
    assert torch.equal((basis.sign().diff(dim=1) != 0).sum(dim=1), torch.arange(K))
    directions = build("dct").directions
    aligned = torch.einsum("hfk,fk->hf", directions, basis).abs()
    torch.testing.assert_close(aligned, directions.norm(dim=-1), rtol=1e-6, atol=0)


def test_dct_directions_have_gaussian_lengths_and_either_sign():
    directions = build("dct", num_heads=DRAWS).directions
    squared_lengths = directions.square().sum(dim=-1)
    # The square of a Gaussian vector's length has mean K and variance 2 K.
    assert ((squared_lengths.mean(dim=0) - K).abs() < 4 * math.sqrt(2 * K / DRAWS)).all()
    first = directions[..., 0].sign().mean(dim=0)
    assert (first.abs() < 4 / math.sqrt(DRAWS)).all()


def test_dct_features_are_weighted_positive_exponentials(pair, positions):
    features = build("dct")
    x = pair[0] / K**0.25
    projected = torch.stack([x[:, :, h] @ features.directions[h].T for h in range(H)], dim=2)
    exponentials = (projected - x.square().sum(dim=-1, keepdim=True) / 2).exp()
    expected = features.log_weights.exp() * exponentials / math.sqrt(K)
    torch.testing.assert_close(features(pair[0], positions, "key"), expected, rtol=1e-10, atol=0)


def test_learned_bandwidths_are_those_of_a_gaussian_kernel_per_channel(near_pair):
    q, k = near_pair
    features = build(
        "random_fourier", {"num_features": 4096, "bandwidth": 2.0, "learn_bandwidth": True}, num_heads=1
    )
    distance = ((q - k) * features.log_gain[0].exp() / 2).square().sum()
    got = similarity(features, q.expand(1, 1, 1, K), k.expand(1, 1, 1, K), torch.arange(1))
    assert (got.squeeze() - (-distance / 2).exp()).abs() < 4 / math.sqrt(4096)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("elu+1", {}, "unknown feature map 'elu\\+1'; did you mean 'elu'"),
        ("favor", {"num_feature": 8}, "favor: unknown field 'num_feature'; did you mean 'num_features'"),
        ("relu", {"scale": 1.0}, "relu: this feature map has no options, got scale"),
        ("favor", {"num_features": 0}, "num_features must be an integer of at least 1, got 0"),
        ("favor", {"num_features": 8.5}, "favor.num_features: Input should be a valid integer"),
        ("random_fourier", {"num_features": 5}, "must be even, got 5; use 4 or 6"),
        ("random_fourier", {"bandwidth": 0.0}, "bandwidth must be a finite number above 0, got 0.0"),
        ("cosine", {"max_length": -1}, "max_length must be an integer of at least 1, got -1"),
        ("taylor", {"scale": math.inf}, "taylor.scale: Input should be a finite number"),
        ("dct", {"scale": -1}, "scale must be a finite number above 0, got -1"),
    ],
)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        build_features(name, K, H, options)


@pytest.mark.parametrize("name", FEATURES)
def test_empty_heads_are_refused(name):
    with pytest.raises(ConfigError, match="key_dim must be an integer of at least 1, got 0"):
        FEATURES[name](0, H)
    with pytest.raises(ConfigError, match="num_heads must be an integer of at least 1, got 0"):
        FEATURES[name](K, 0)


def test_every_map_compiles_to_one_graph():
    """In a process of its own: the checks of shapes that tests switch on break graphs."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_GRAPH],
        env=os.environ | {"JAXTYPING_DISABLE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(done.stdout.split()) == set(FEATURES)


ONE_GRAPH = """
import torch
from recollect.regression.features import FEATURES

for name, make in FEATURES.items():
    features, x = make(5, 3).double(), torch.randn(2, 7, 3, 5, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(features, backend="aot_eager", fullgraph=True)
    got, expected = (f(x, torch.arange(7), "query") for f in (compiled, features))
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    one, other = (torch.autograd.grad(y.square().sum(), x)[0] for y in (got, expected))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    print(name, flush=True)
"""
