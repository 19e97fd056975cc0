"""Keys by law, and the associations that are drawn from them."""

import pytest
import torch

from recollect.core import ConfigError
from recollect.tasks.capacity import LOADS, CapacityTask
from recollect.tasks.key_laws import Clustered, Correlated, Orthonormal, Sphere

DIM, PAIRS, COUNT = 6, 17, 3
LAWS = {
    "orthonormal": Orthonormal(),
    "sphere": Sphere(),
    "correlated": Correlated(exponent=1.5),
    "clustered": Clustered(num_clusters=3, spread=0.4),
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


def drawn(law, count=COUNT, pairs=PAIRS, seed=5):
    return law.draw(seed, torch.arange(count), pairs, DIM)


def task(**changes):
    return CapacityTask.parse({"keys": {"law": "sphere"}, "key_dim": 6, "value_dim": 5} | changes)


@every_law
def test_keys_have_norm_one(law):
    keys = drawn(law)
    assert keys.shape == (COUNT, PAIRS, DIM)
    torch.testing.assert_close(keys.norm(dim=-1), torch.ones(COUNT, PAIRS).double(), rtol=1e-12, atol=1e-12)


@every_law
def test_an_example_depends_on_its_seed_and_index_alone(law):
    whole = drawn(law, count=5)
    assert torch.equal(whole[2:4], law.draw(5, torch.arange(2, 4), PAIRS, DIM))
    assert not torch.equal(whole, drawn(law, count=5, seed=6))
    assert not torch.equal(whole[0], whole[1])


@every_law
def test_fewer_keys_are_the_first_of_more(law):
    torch.testing.assert_close(drawn(law, pairs=8), drawn(law)[:, :8], rtol=1e-12, atol=1e-12)


@every_law
@pytest.mark.parametrize("pairs", [1, 4, DIM, PAIRS])
def test_the_interference_is_the_expected_sum_of_squared_products(law, pairs):
    keys = drawn(law, count=4000, pairs=pairs)
    products = torch.einsum("bik,bjk->bij", keys, keys).square()
    sums = products.sum((1, 2)) / pairs - 1  # without the key itself
    error = sums.std() / len(sums) ** 0.5
    assert abs(sums.mean() - law.interference(pairs, DIM)) <= 4 * error + 1e-9


def test_orthonormal_keys_are_bases_one_after_the_other():
    keys = drawn(Orthonormal())
    for start in (0, DIM):
        basis = keys[:, start : start + DIM]
        torch.testing.assert_close(
            basis @ basis.mT, torch.eye(DIM).double().expand(COUNT, -1, -1), rtol=1e-12, atol=1e-12
        )


def test_correlated_keys_have_the_second_moments_that_are_said():
    law = Correlated(exponent=1.0)
    moments = law.second_moments(DIM)
    assert float(moments.sum()) == pytest.approx(1, abs=1e-10)
    keys = drawn(law, count=2000, pairs=50)
    found = torch.linalg.eigvalsh(torch.einsum("bnk,bnl->bkl", keys, keys) / 50).mean(0).flip(0)
    # Eigenvalues of a sample spread a little more than those of the law.
    torch.testing.assert_close(found, moments, rtol=0.2, atol=0.01)
    uniform = torch.ones(DIM, dtype=torch.float64) / DIM
    torch.testing.assert_close(Correlated(exponent=0).second_moments(DIM), uniform, rtol=1e-10, atol=0)


def test_second_moments_of_two_channels_have_a_closed_form():
    # E a x^2 / (a x^2 + b y^2) of standard normal x, y is sqrt(a) / (sqrt(a) + sqrt(b)).
    first, second = Correlated(exponent=2.0).second_moments(2).tolist()
    assert first == pytest.approx(2 / 3, abs=1e-10)
    assert second == pytest.approx(1 / 3, abs=1e-10)


def test_clustered_keys_are_at_the_angle_of_their_spread():
    law = Clustered(num_clusters=1, spread=0.4)
    keys = drawn(law, count=1, pairs=20_000)[0]
    centre = keys.mean(0) / keys.mean(0).norm()
    assert float((keys @ centre).mean()) == pytest.approx((1 - 0.4**2) ** 0.5, abs=1e-3)


def test_values_have_channels_of_mean_square_one_and_do_not_know_the_keys():
    examples = task().draw(seed=1, start=0, count=400, pairs=9)
    assert examples.values.shape == (400, 9, 5)
    torch.testing.assert_close(examples.values.square().mean(-1), torch.ones(400, 9).double())
    products = torch.einsum("bnk,bnv->kv", examples.keys, examples.values) / 3600
    assert products.abs().max() < 4 / 3600**0.5


def test_examples_do_not_depend_on_the_batch():
    whole = task().draw(seed=1, start=0, count=5, pairs=9)
    part = task().draw(seed=1, start=2, count=2, pairs=9)
    for a, b in zip(whole, part, strict=True):
        assert torch.equal(a[2:4], b)


def test_each_association_is_asked_for_at_most_once():
    few = task(queries=4).draw(seed=1, start=0, count=3, pairs=9).asked
    assert few.shape == (3, 4)
    assert all(len(set(row)) == 4 for row in few.tolist())
    every = task(queries=20).draw(seed=1, start=0, count=3, pairs=9).asked
    assert all(sorted(row) == list(range(9)) for row in every.tolist())


def test_loads_are_pairs_for_each_key_dimension():
    assert task(loads=[0.01, 0.5, 2]).pairs == (1, 3, 12)
    assert CapacityTask.parse({"keys": {"law": "sphere"}}).pairs == tuple(round(32 * load) for load in LOADS)
    assert task(loads=[0.5, 2]).cost == 64 * (3 + 3 + 12 + 12)
    assert task(loads=[0.5, 2]).steps == 2
    for loads in ([], [1, 1], [2, 1]):
        with pytest.raises(ConfigError, match="increasing order"):
            task(loads=loads)


def test_clusters_need_a_direction_beside_their_centre():
    with pytest.raises(ConfigError, match=r"`key_dim`=1: clustered keys need at least 2 channels"):
        task(keys={"law": "clustered"}, key_dim=1)
    for law in LAWS.values():
        keys = law.draw(0, torch.arange(2), 5, law.least_dim)
        assert keys.isfinite().all()
        assert task(keys=law.model_dump(), key_dim=law.least_dim).dim == law.least_dim


def test_a_task_says_what_it_is():
    made = task(keys={"law": "correlated", "exponent": 2.0})
    facts = {"kind": "capacity", "keys": "correlated", "key_dim": 6, "value_dim": 5}
    assert facts.items() <= made.facts().items()
    assert "correlated" in made.label
    assert made.dim == 6
    assert not made.is_trained
