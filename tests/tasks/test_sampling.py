"""Draws without replacement against their exact laws, and against the sequential definition."""

from itertools import permutations

import pytest
import torch
from scipy.stats import chisquare

from recollect.core import integers
from recollect.tasks.sampling import distinct, power_law, weighted

EXAMPLES = 60_000


def frequencies(draws, high):
    """How often each ordered choice came, in lexicographic order."""
    count = draws.shape[1]
    codes = (draws * high ** torch.arange(count - 1, -1, -1)).sum(dim=1)
    outcomes = torch.tensor(list(permutations(range(high), count)))
    found = torch.bincount(codes, minlength=high**count)
    places = (outcomes * high ** torch.arange(count - 1, -1, -1)).sum(dim=1)
    assert found[places].sum() == len(draws), "a number was drawn twice"
    return found[places].numpy(), outcomes


def agrees(found, expected):
    p = chisquare(found, expected).pvalue
    return 1e-3 < p < 1 - 1e-3


@pytest.mark.parametrize(("count", "high"), [(3, 7), (4, 7), (2, 20), (5, 5), (1, 3)])
def test_every_ordered_choice_of_distinct_numbers_is_equally_probable(count, high):
    found, outcomes = frequencies(distinct(11, torch.arange(EXAMPLES), count, high), high)
    if len(outcomes) > 1:
        assert agrees(found, [EXAMPLES / len(outcomes)] * len(outcomes))


def test_drawing_again_until_a_number_is_new_is_what_happens():
    indices = torch.arange(20_000)
    endless = integers(3, indices, 60, 7).tolist()
    expected = [list(dict.fromkeys(row))[:3] for row in endless]
    assert distinct(3, indices, 3, 7).tolist() == expected
    assert any(len(set(row[:8])) < 3 for row in endless), "no row needed more than the first look"


@pytest.mark.parametrize(("count", "high"), [(256, 4095), (2047, 4096), (2049, 4096), (4095, 4095)])
def test_many_numbers_are_distinct_and_in_range(count, high):
    draws = distinct(5, torch.arange(40), count, high)
    assert draws.min() >= 0
    assert draws.max() < high
    assert (draws.sort(dim=1).values.diff(dim=1) > 0).all()


def test_each_of_many_numbers_is_drawn_equally_often_at_each_place():
    draws = distinct(6, torch.arange(4000), 256, 4095)
    for place in (0, 100, 255):
        found = torch.bincount(draws[:, place] * 16 // 4095, minlength=16)
        edges = torch.tensor(
            [sum(16 * number // 4095 == cell for number in range(4095)) for cell in range(16)]
        )
        assert agrees(found.numpy(), (edges * 4000 / 4095).numpy())


@pytest.mark.parametrize("power", [0.01, 1.0, 2.5])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_slots_follow_the_exact_law_of_sequential_draws(power, count):
    found, outcomes = frequencies(power_law(7, torch.arange(EXAMPLES), count, 4, power), 4)
    weights = torch.arange(1, 5).double() ** (power - 1)
    expected = []
    for outcome in outcomes.tolist():
        probability, left = 1.0, weights.sum()
        for slot in outcome:
            probability, left = probability * weights[slot] / left, left - weights[slot]
        expected.append(probability * EXAMPLES)
    assert agrees(found, torch.stack(expected).numpy())


@pytest.mark.parametrize(
    "draw",
    [
        lambda indices: distinct(1, indices, 3, 7),
        lambda indices: distinct(1, indices, 6, 7),
        lambda indices: power_law(1, indices, 5, 30, 0.01),
    ],
)
def test_draws_of_an_example_do_not_depend_on_its_batch(draw):
    whole = draw(torch.arange(5000))
    assert torch.equal(whole[1234:1300], draw(torch.arange(1234, 1300)))
    assert torch.equal(whole[77:78], draw(torch.tensor([77])))
    assert draw(torch.arange(0)).shape == (0, whole.shape[1])


def test_draws_of_different_seeds_differ():
    indices = torch.arange(50)
    assert not torch.equal(distinct(1, indices, 4, 4095), distinct(2, indices, 4, 4095))
    assert not torch.equal(power_law(1, indices, 4, 28, 0.01), power_law(2, indices, 4, 28, 0.01))


def test_more_draws_than_there_are_numbers_are_refused():
    with pytest.raises(ValueError, match=r"count=5, high=4: draw fewer"):
        distinct(0, torch.arange(2), 5, 4)
    with pytest.raises(ValueError, match=r"<= 3 weights, got count=4"):
        weighted(0, torch.arange(2), 4, torch.ones(3, dtype=torch.float64))
