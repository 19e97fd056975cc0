import torch

from recollect.core import derive_seed, seeded_initialisation


def test_derived_seeds_differ_by_seed_and_by_every_label():
    seeds = {derive_seed(s, *labels) for s in range(50) for labels in [("a",), ("b",), ("a", 1), ("a1",), ()]}
    assert len(seeds) == 250


def test_initialisation_depends_on_the_seed_alone_and_leaves_the_global_state():
    before = torch.random.get_rng_state()
    with seeded_initialisation(2**64 - 1):
        first = torch.nn.Linear(3, 4).weight
    torch.rand(5)
    with seeded_initialisation(2**64 - 1):
        second = torch.nn.Linear(3, 4).weight
    assert torch.equal(first, second)
    torch.random.set_rng_state(before)
    with seeded_initialisation(0):
        torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)
