"""Measured capacity against what theory says about linear memories."""

import json
import math

import pytest
import torch

from recollect.core import ConfigError, NotDefinedError, seeded_initialisation
from recollect.probing.capacity import measure_capacity
from recollect.probing.capacity_theory import capacity_theory, recall_accuracy
from recollect.regression import CATALOG, Exact, RegressionLayer
from recollect.tasks.capacity import CapacityTask

LAWS = ("orthonormal", "sphere", "correlated", "clustered")


def task(law="sphere", **changes):
    sizes = {"key_dim": 8, "value_dim": 8, "loads": [0.5, 1, 2, 4], "num_sequences": 200}
    return CapacityTask.parse({"keys": {"law": law}} | sizes | changes)


def linear(dim=8):
    return RegressionLayer(dim, num_heads=1).double()


def least_squares(dim=8):
    return RegressionLayer(dim, num_heads=1, optimizer=Exact(ridge=1e-9)).double()


def measured(layer, given, seed=0):
    metrics, series = measure_capacity(layer, given, seed, lambda step, value: None)
    return metrics, series["load"], series["theory"]


def named(name, **options):
    with seeded_initialisation(0):
        return CATALOG[name](8, **options).double()


@pytest.mark.parametrize("law", LAWS)
def test_squared_errors_of_linear_attention_are_those_of_the_theory(law):
    _, load, theory = measured(linear(), task(law, num_sequences=2000))
    for found, error, said in zip(
        load["squared_error"], load["squared_error_se"], theory["linear_attention"], strict=True
    ):
        assert abs(found - said) <= 4 * error + 1e-9
    torch.testing.assert_close(
        torch.tensor(load["squared_error_scaled"]),
        torch.tensor(theory["linear_attention_scaled"]),
        rtol=0.05,
        atol=0.01,
    )


@pytest.mark.parametrize("law", LAWS)
def test_squared_errors_of_least_squares_are_those_of_the_theory(law):
    _, load, theory = measured(least_squares(), task(law, num_sequences=1000))
    for found, error, said in zip(
        load["squared_error"], load["squared_error_se"], theory["least_squares"], strict=True
    ):
        assert abs(found - said) <= 4 * error + 1e-4


def test_recall_at_twice_as_many_pairs_as_channels_is_98_percent_and_83_percent():
    given = task(key_dim=32, value_dim=32, loads=[2], num_sequences=256, queries=16)
    for layer, said in ((least_squares(32), 0.98), (linear(32), 0.83)):
        metrics, load, _ = measured(layer, given)
        assert abs(metrics["accuracy_at_2"] - said) < 3 * load["accuracy_se"][0] + 0.005


def test_least_squares_does_not_need_orthonormal_keys_and_linear_attention_does():
    accuracy = {
        (name, law): measured(layer(32), task(law, key_dim=32, value_dim=32, loads=[1], num_sequences=32))[0]
        for name, layer in (("linear", linear), ("squares", least_squares))
        for law in LAWS
    }
    recalled = {key: metrics["accuracy_at_1"] for key, metrics in accuracy.items()}
    assert all(recalled["squares", law] == 1 for law in LAWS)
    assert recalled["linear", "orthonormal"] == 1
    assert recalled["linear", "orthonormal"] > recalled["linear", "sphere"] > recalled["linear", "correlated"]
    assert recalled["linear", "clustered"] < 0.9


@pytest.mark.parametrize(("dim", "within"), [(32, 0.05), (64, 0.03)])
def test_the_approximate_accuracy_is_near_that_of_simulated_memories(dim, within):
    rng = torch.Generator().manual_seed(0)
    for pairs in (dim, 2 * dim, 4 * dim):
        k, v = (torch.randn(60, pairs, dim, dtype=torch.float64, generator=rng) for _ in range(2))
        k, v = k / k.norm(dim=-1, keepdim=True), v / v.norm(dim=-1, keepdim=True)
        share = dim / pairs
        for memory, signal, noise in (
            (k @ k.mT, 1.0, (pairs - 1) / dim),
            (k @ torch.linalg.pinv(k), share, share - share**2),
        ):
            right = (memory @ v @ v.mT).argmax(-1) == torch.arange(pairs)
            assert abs(right.double().mean() - recall_accuracy(signal, noise, pairs, dim)) < within


def test_theory_says_nothing_about_accuracy_of_keys_with_directions():
    theory = capacity_theory(task("clustered"))
    assert theory["linear_attention_accuracy"] == [None] * 4
    assert all(0 <= x <= 1 for x in capacity_theory(task("orthonormal"))["least_squares_accuracy"])


def test_capacity_is_where_accuracy_falls_below_nine_tenths():
    metrics, load, _ = measured(linear(), task())
    below = next(i for i, accuracy in enumerate(load["accuracy"]) if accuracy < 0.9)
    low, high = (math.log(x) for x in load["load"][below - 1 : below + 1])
    first, second = load["accuracy"][below - 1 : below + 1]
    share = (math.log(metrics["capacity"]) - low) / (high - low)
    assert first + share * (second - first) == pytest.approx(0.9, abs=1e-4)
    assert not metrics["capacity_censored"]


def test_capacity_that_was_not_reached_is_the_largest_load():
    metrics, _, _ = measured(least_squares(), task(loads=[0.5, 1]))
    assert (metrics["capacity"], metrics["capacity_censored"]) == (1, True)
    assert metrics["accuracy_at_2"] is None


def test_one_pair_is_always_recalled_so_a_capacity_is_at_least_that():
    metrics, _, _ = measured(named("ttt_mlp", num_heads=1), task(loads=[4]))
    assert 1 / 8 < metrics["capacity"] < 4


@pytest.mark.parametrize("name", ["gla", "mamba2", "rwkv6"])
def test_sums_of_products_recall_alike_without_their_gates(name):
    options = {"gla": {"key_dim": 8}, "mamba2": {"expand": 1}, "rwkv6": {}}[name]
    assert measured(named(name, num_heads=1, **options), task())[1] == measured(linear(), task())[1]


def test_heads_of_one_value_channel_share_the_key():
    mamba = named("mamba", key_dim=8, expand=1)
    assert measured(mamba, task())[1] == measured(linear(), task())[1]


def test_a_gain_of_all_answers_changes_the_error_but_not_the_best_error():
    _, load, _ = measured(linear(), task())
    doubled = named("linear_attention", num_heads=1, normalise=False)
    _, other, _ = measured(doubled, task())
    assert load["squared_error"] != other["squared_error"]
    assert all(0 <= x <= 1 for x in other["squared_error_scaled"])


def test_the_same_seed_gives_the_same_numbers_and_progress_is_told_at_every_load():
    told = []
    first = measure_capacity(linear(), task(), 3, lambda step, value: told.append((step, value)))
    assert first == measure_capacity(linear(), task(), 3, lambda step, value: None)
    assert first != measure_capacity(linear(), task(), 4, lambda step, value: None)
    assert [step for step, _ in told] == [1, 2, 3, 4]
    json.dumps(first)


def test_the_state_is_that_of_the_regression_at_the_largest_load():
    assert measured(linear(), task())[0]["state_size"] == 64
    assert measured(named("alibi_attention", num_heads=1), task())[0]["state_size"] == 32 * 17


def test_answers_that_are_not_finite_are_wrong():
    layer = named("cosformer", num_heads=1, max_length=8)
    layer.features.max_length = 16  # positions beyond give NaN
    layer.features.forward = lambda x, positions, role: torch.where(
        positions[:, None, None] < 8, torch.cat([x, x], -1), math.nan
    )
    _, load, _ = measured(layer, task(loads=[1, 2]))
    assert load["accuracy"][1] == 0
    assert load["squared_error"][1] is None


@pytest.mark.parametrize("loads", [[1 / 8, 1], [1, 2]])
def test_a_layer_without_finite_answers_at_the_smallest_load_has_no_capacity(loads):
    layer = named("cosformer", num_heads=1)
    layer.features.forward = lambda x, positions, role: torch.full_like(torch.cat([x, x], -1), math.nan)
    metrics, load, _ = measured(layer, task(loads=loads))
    assert load["accuracy"] == [0, 0]
    assert (metrics["capacity"], metrics["capacity_censored"]) == (None, False)


def test_layers_that_do_not_fit_say_what_to_set():
    with pytest.raises(ConfigError, match="expected heads with 8 key channels and 8 value channels"):
        measured(named("retnet", num_heads=1), task())
    with pytest.raises(NotDefinedError, match="cannot be given associations"):
        measured(named("hgrn"), task())
