import math

import pytest
import torch

from recollect.core import integers, normal, random_words, signs, uniform
from recollect.core.draws import philox

# Known answers of Random123's philox4x32-10 (Salmon et al. 2011): counter, key, result.
KNOWN_ANSWERS = [
    ([0, 0, 0, 0], (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_published_known_answers(counter, key, expected):
    words = philox([torch.tensor([word]) for word in counter], key)
    assert [int(word) for word in words] == expected


@pytest.mark.parametrize("draw", [normal, uniform, signs, random_words])
def test_an_example_depends_on_seed_and_index_alone(draw):
    whole = draw(11, torch.arange(100), 37)
    assert torch.equal(whole[41:48], draw(11, torch.arange(41, 48), 37))
    assert torch.equal(whole[[5, 3]], draw(11, torch.tensor([5, 3]), 37))
    assert not torch.equal(whole, draw(12, torch.arange(100), 37))


@pytest.mark.parametrize("draw", [normal, uniform, signs, random_words])
def test_a_longer_example_begins_with_the_shorter_one(draw):
    assert torch.equal(draw(3, torch.arange(7), 64)[:, :13], draw(3, torch.arange(7), 13))


def test_examples_and_seeds_beyond_32_bits_are_distinct():
    large = torch.tensor([5, 5 + 2**32])
    words = random_words(1, large, 8)
    assert not torch.equal(words[0], words[1])
    assert not torch.equal(words, random_words(1 + 2**32, large, 8))


def test_normal_draws_have_the_moments_and_tails_of_a_gaussian():
    x = normal(5, torch.arange(1000), 1000).flatten()
    error = 1 / math.sqrt(len(x))
    assert abs(x.mean()) < 4 * error
    assert abs(x.square().mean() - 1) < 4 * math.sqrt(2) * error
    assert abs(x.pow(4).mean() - 3) < 4 * math.sqrt(96) * error
    for bound in (1.0, 2.0, 3.0):
        share = math.erfc(bound / math.sqrt(2))
        assert abs((x.abs() > bound).double().mean() - share) < 4 * math.sqrt(share) * error


def test_normal_draws_are_uncorrelated_over_positions_and_examples():
    x = normal(9, torch.arange(4000), 6)
    correlation = torch.corrcoef(x.T) - torch.eye(6, dtype=torch.float64)
    assert correlation.abs().max() < 5 / math.sqrt(4000)
    assert abs(torch.corrcoef(torch.stack([x[:-1, 0], x[1:, 0]]))[0, 1]) < 5 / math.sqrt(4000)


def test_box_muller_agrees_with_library_functions_to_rounding():
    u, v = uniform(2, torch.arange(500), 8).unflatten(1, (4, 2)).unbind(-1)
    radius = (-2 * u.log()).sqrt()
    expected = torch.stack([radius * (2 * torch.pi * v).cos(), radius * (2 * torch.pi * v).sin()], -1)
    torch.testing.assert_close(normal(2, torch.arange(500), 8), expected.flatten(1), rtol=1e-13, atol=1e-13)


def test_integers_cover_their_range_evenly():
    counts = integers(4, torch.arange(5000), 14, 7).flatten().bincount(minlength=7)
    assert len(counts) == 7
    assert (counts - 10_000).abs().max() < 5 * math.sqrt(10_000)
