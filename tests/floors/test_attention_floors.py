import pytest
import torch

from recollect.core import ConfigError
from recollect.floors import Problem
from recollect.floors.alibi import AlibiHeads, HeadsFit, recurrences_at_each_position
from recollect.floors.content_free import (
    normalisation_bound,
    project,
    projected_error,
    sign_bound,
    softmax_heads,
)
from recollect.floors.no_positions import NoPositions
from recollect.floors.relative_bias import RelativeBias
from recollect.models.positions import alibi_slopes

WEIGHTINGS = ("uniform", "window")


def noise(*shape, rng):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def power_law(length):
    return (1 + torch.arange(length, dtype=torch.float64)) ** -0.6


def attention_matrix(scores, *, sink=False):
    """Weights of the key at position u for the query at t, scores given by lag; a sink's column dropped."""
    length = len(scores)
    positions = torch.arange(length)
    lags = positions[:, None] - positions
    rows = torch.where(lags >= 0, scores[lags.clamp(min=0)], -torch.inf)
    if sink:
        rows = torch.cat([rows, torch.zeros(length, 1, dtype=torch.float64)], dim=1)
    return torch.softmax(rows, dim=1)[:, :length]


def by_lag(matrix):
    """Response at position t to lag s of a causal matrix that maps inputs to outputs."""
    length = len(matrix)
    lags = torch.arange(length)[:, None] - torch.arange(length)
    return matrix.gather(1, lags.clamp(min=0)) * (lags >= 0)


def least_squares(problem, matrices):
    """The best combination of causal maps, and its NMSE, from all pairs (t, s) at once."""
    length = problem.length
    counted = torch.ones(length, length, dtype=torch.bool).tril()
    if problem.weighting == "uniform":
        counted[:-1] = False
    design = torch.stack([by_lag(matrix)[counted] for matrix in matrices], dim=1)
    target = problem.rho.expand(length, length)[counted]
    gains = torch.linalg.lstsq(design, target).solution
    return gains, float((target - design @ gains).square().sum() / target.square().sum())


@pytest.mark.parametrize("feed_through", [False, True])
@pytest.mark.parametrize("sink", [False, True])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_fixed_slopes_reach_the_least_squares_over_all_lags_and_positions(weighting, sink, feed_through, rng):
    length, size = 45, 3
    problem = Problem(noise(length, rng=rng), weighting)
    ages = torch.arange(length, dtype=torch.float64)
    matrices = [attention_matrix(-slope * ages, sink=sink) for slope in alibi_slopes(size).double()]
    if feed_through:
        matrices.append(torch.eye(length, dtype=torch.float64))
    gains, expected = least_squares(problem, matrices)
    (floor,) = AlibiHeads(sink=sink, feed_through=feed_through).floors(problem, [size])
    assert floor.lower == pytest.approx(expected, rel=1e-9)
    assert floor.attained == pytest.approx(expected, rel=1e-10)
    assert floor.lower <= floor.attained
    torch.testing.assert_close(floor.fit.gains, gains[:size], rtol=1e-8, atol=1e-8)
    assert problem.nmse_of_responses(floor.fit.responses(length)) == pytest.approx(expected, rel=1e-10)
    mixed = sum(gain * matrix for gain, matrix in zip(gains, matrices, strict=True))
    torch.testing.assert_close(floor.fit.responses(length), by_lag(mixed), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(
        floor.fit.taps(length), floor.fit.responses(length)[-1], rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_error_that_is_descended_is_that_of_the_projection(weighting, rng):
    problem = Problem(noise(70, rng=rng), weighting)
    heads = softmax_heads(noise(3, 70, rng=rng).exp(), sink=True, feed_through=True)
    found = project(problem, heads)
    assert float(projected_error(problem, heads)) == pytest.approx(found.attained, abs=1e-9)
    assert problem.nmse_of_responses(heads.responses(found.gains)) == pytest.approx(found.attained, rel=1e-10)


def test_a_redundant_head_leaves_no_bound_but_a_fit(rng):
    """Two equal heads: the condition is infinite, and all of it is taken off."""
    problem = Problem(noise(20, rng=rng))
    shape = noise(1, 20, rng=rng).exp()
    one = project(problem, softmax_heads(shape, sink=False, feed_through=False))
    two = project(problem, softmax_heads(shape.repeat(2, 1), sink=False, feed_through=False))
    assert two.attained == pytest.approx(one.attained, rel=1e-10)
    assert two.lower <= one.lower


@pytest.mark.parametrize("kind", ["power law", "noise", "delay"])
def test_no_stack_of_content_free_layers_beats_the_normalisation(kind, rng):
    """Two layers of several heads on several channels, with linear residuals; the best linear readout."""
    length, width, num_heads = 24, 3, 2
    rho = {
        "power law": power_law(length),
        "noise": noise(length, rng=rng),
        "delay": torch.eye(length, dtype=torch.float64)[9],
    }[kind]
    problem = Problem(rho, "window")
    bound = normalisation_bound(problem)
    assert bound > 1e-3
    for _ in range(60):
        # Responses of each channel to the one input: (channel, t, u).
        channels = noise(width, 1, 1, rng=rng) * torch.eye(length, dtype=torch.float64)
        for _ in range(2):
            mixed = channels
            for _ in range(num_heads):
                attention = attention_matrix(3 * noise(length, rng=rng))
                values = noise(width, width, rng=rng)
                mixed = mixed + torch.einsum("tu,vk,kus->vts", attention, values, channels)
            channels = mixed
        assert least_squares(problem, list(channels))[1] >= bound


def test_the_normalisation_bound_is_the_best_row_sum_by_brute_force(rng):
    """Rows of any content at all, their sums equal: a linearly constrained least squares over (t, s)."""
    length = 6
    problem = Problem(noise(length, rng=rng), "window")
    rows, free = [], torch.eye(length, dtype=torch.float64)
    for t in range(length):
        # Differences of neighbouring lags keep the sum; the first lag carries v, the last unknown.
        rows += [(t, s) for s in range(t + 1)]
    num_unknowns = sum(range(length)) + 1
    design = torch.zeros(len(rows), num_unknowns, dtype=torch.float64)
    for t in range(length):
        start, first = rows.index((t, 0)), sum(range(t))
        design[start, -1] = 1
        for s in range(t):
            design[start + s, first + s] = 1
            design[start + s + 1, first + s] = -1
    target = torch.stack([problem.rho @ free[s] for _, s in rows])
    missed = target - design @ torch.linalg.lstsq(design, target).solution
    expected = float(missed.square().sum() / target.square().sum())
    assert normalisation_bound(problem) == pytest.approx(expected, rel=1e-10)


def test_one_head_alone_cannot_hold_both_signs(rng):
    problem = Problem(noise(31, rng=rng), "window")
    bounds = {feed: sign_bound(problem, feed_through=feed) for feed in (False, True)}
    assert bounds[True] <= bounds[False]
    for _ in range(100):
        heads = [attention_matrix(4 * noise(31, rng=rng), sink=True)]
        assert least_squares(problem, heads)[1] >= bounds[False]
        assert least_squares(problem, [*heads, torch.eye(31, dtype=torch.float64)])[1] >= bounds[True]
    parts = torch.stack([problem.rho.clamp(min=0), (-problem.rho).clamp(min=0)])
    energies = (problem.weights * parts.square()).sum(1) / problem.energy
    assert bounds[False] == pytest.approx(float(energies.min()), rel=1e-10)


@pytest.mark.parametrize("sink", [False, True])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_no_layer_of_exponential_heads_beats_the_bound_by_recurrences(weighting, sink, rng):
    length = 33
    ages = torch.arange(length, dtype=torch.float64)
    for rho in (power_law(length), torch.eye(length, dtype=torch.float64)[7]):
        problem = Problem(rho, weighting)
        bounds = recurrences_at_each_position(problem, [1, 3], feed_through=True)
        assert bounds[0] > 1e-3
        for _ in range(60):
            slopes = (2 * noise(3, rng=rng) - 2).exp()
            matrices = [attention_matrix(-slope * ages, sink=sink) for slope in slopes]
            present = torch.eye(length, dtype=torch.float64)
            assert least_squares(problem, [matrices[0], present])[1] >= bounds[0]
            assert least_squares(problem, [*matrices, present])[1] >= bounds[1]


CLASSES = [
    AlibiHeads("fixed"),
    AlibiHeads("fixed", sink=True, feed_through=True),
    AlibiHeads("learned"),
    AlibiHeads("learned", sink=True),
    AlibiHeads("learned", feed_through=True),
    RelativeBias(),
    RelativeBias(sink=True),
    RelativeBias(feed_through=True),
    NoPositions(),
    NoPositions(feed_through=False),
]


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("heads", CLASSES, ids=str)
def test_bounds_enclose_what_the_fit_measures(heads, weighting, rng):
    problem = Problem(power_law(14) + 0.2 * noise(14, rng=rng), weighting)
    floors = heads.floors(problem, [2, 1])
    assert [floor.size for floor in floors] == [2, 1]
    for floor in floors:
        assert 0 <= floor.lower <= floor.attained <= 1 + 1e-12
        measured = problem.nmse_of_responses(floor.fit.responses(14))
        assert measured == pytest.approx(floor.attained, rel=1e-8, abs=1e-14)
        last = floor.fit.responses(14)[-1]
        torch.testing.assert_close(floor.fit.taps(14), last, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("heads", [AlibiHeads("learned"), RelativeBias()], ids=str)
def test_a_head_more_never_does_worse(heads, rng):
    floors = heads.floors(Problem(noise(11, rng=rng), "window"), [1, 2, 3])
    errors = [floor.attained for floor in floors]
    assert errors == sorted(errors, reverse=True)
    bounds = [floor.lower for floor in floors]
    assert bounds == sorted(bounds, reverse=True)


def test_learned_slopes_find_two_exponentials_at_a_single_position():
    ages = torch.arange(60, dtype=torch.float64)
    problem = Problem(torch.exp(-0.3 * ages) - 0.5 * torch.exp(-0.05 * ages))
    (floor,) = AlibiHeads("learned").floors(problem, [2])
    assert floor.attained < 1e-8
    torch.testing.assert_close(
        floor.fit.slopes.sort().values, torch.tensor([0.05, 0.3]).double(), atol=1e-3, rtol=0
    )


def test_two_biases_hold_any_target_at_a_single_position_and_one_does_up_to_its_sign(rng):
    problem = Problem(noise(40, rng=rng))
    one, two = RelativeBias().floors(problem, [1, 2])
    assert one.attained == pytest.approx(one.lower, rel=1e-10)
    assert one.lower > 0.1
    assert two.attained < 1e-20


def test_a_sink_lifts_the_normalisation(rng):
    problem = Problem(power_law(30), "window")
    (bare,) = RelativeBias().floors(problem, [2])
    (sunk,) = RelativeBias(sink=True).floors(problem, [2])
    assert sunk.lower == 0
    assert sunk.attained < 1e-12 < 0.1 < bare.lower


def test_several_layers_are_bound_by_the_normalisation_alone(rng):
    problem = Problem(noise(20, rng=rng), "window")
    one, two = AlibiHeads("learned", num_layers=2).floors(problem, [1, 2])
    assert one.lower == two.lower == normalisation_bound(problem)
    assert one.attained is None
    assert two.fit is None


def test_heads_far_beyond_the_horizons_chunks_are_exact():
    """Lengths astride the chunks of positions that are compressed together."""
    for length in (1, 31, 32, 33, 65):
        rho = power_law(length)
        fit = HeadsFit(torch.tensor([0.1, 0.9]).double(), torch.tensor([1.5, -0.4]).double())
        problem = Problem(rho, "window")
        ages = torch.arange(length, dtype=torch.float64)
        heads = softmax_heads((-fit.slopes[:, None] * ages).exp(), sink=False, feed_through=False)
        error = problem.nmse_of_responses(fit.responses(length))
        assert project(problem, heads).attained <= error * (1 + 1e-10)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_set_has_the_same_response_to_all_earlier_inputs(weighting, rng):
    """By brute force: one free response for the present and one for the past, position by position."""
    length = 17
    problem = Problem(noise(length, rng=rng), weighting)
    responses = torch.zeros(length, length, dtype=torch.float64)
    for t in range(length):
        responses[t, 0] = problem.rho[0]
        responses[t, 1 : t + 1] = problem.rho[1 : t + 1].mean() if t else 0.0
    (floor,) = NoPositions().floors(problem, [2])
    assert floor.lower == pytest.approx(problem.nmse_of_responses(responses), rel=1e-10)
    assert floor.attained >= floor.lower
    if weighting == "uniform":
        assert floor.attained == pytest.approx(floor.lower, rel=1e-10)


def test_attention_that_reads_content_without_positions_stays_above_the_floor_of_a_set(rng):
    """The first-order response of content-using heads, exactly, over all sequences of two input values."""
    rho = torch.tensor([0.3, 1.0, -0.5, 0.8, 0.1, -0.9], dtype=torch.float64)
    sequences = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 6)
    targets = sequences.flip(1) @ rho
    (floor,) = NoPositions().floors(Problem(rho), [3])
    for _ in range(50):
        query, key = noise(3, 2, rng=rng), noise(3, 2, rng=rng)
        last, values = sequences[:, -1:], torch.stack([sequences, torch.ones_like(sequences)])
        scores = torch.einsum("hc,cb,hk,kbt->hbt", query, values[:, :, -1], 3 * key, values)
        outputs = torch.einsum("hbt,bt->bh", torch.softmax(scores, dim=2), sequences)
        features = torch.cat([outputs, outputs * last, last, torch.ones_like(last)], dim=1)
        gains = torch.linalg.lstsq(features, targets, driver="gelsd").solution
        error = (targets - features @ gains).square().mean() / targets.square().mean()
        assert float(error) >= floor.lower


def test_sizes_below_one_and_longer_biases_are_refused(rng):
    problem = Problem(noise(9, rng=rng))
    for heads in (AlibiHeads(), RelativeBias(), NoPositions()):
        with pytest.raises(ConfigError, match="counts heads: expected 1 or more, got -1"):
            heads.floors(problem, [2, -1])
    with pytest.raises(ValueError, match="at most 9 lags"):
        RelativeBias().floors(problem, [1])[0].fit.taps(10)
