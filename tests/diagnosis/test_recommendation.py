"""For each family the floor at each size, and the smallest size that was shown to suffice."""

import json

import pytest
import torch

from recollect.core import ConfigError, NotDefinedError
from recollect.diagnosis.costs import multiply_adds
from recollect.diagnosis.filter_start import start_from_filter
from recollect.diagnosis.input_metric import InputMetric
from recollect.diagnosis.recommendation import recommend
from recollect.diagnosis.recurrences import smallest_built
from recollect.diagnosis.shared_start import start_from_poles
from recollect.floors import MODEL_CLASSES, HeadsFit, warm_start
from recollect.memory import DampedCosine, Exponential, Impulse, Polynomial
from recollect.models import ModelConfig

LAGS = 30


def white(inputs=1, lags=LAGS):
    r = torch.zeros(lags, inputs, inputs, dtype=torch.float64)
    r[0] = torch.diag(torch.arange(1.0, inputs + 1))
    return r


def slow(inputs=1, lags=LAGS):
    decay = 0.7 ** torch.arange(lags, dtype=torch.float64)[:, None, None]
    return decay * (0.3 + torch.eye(inputs, dtype=torch.float64))


def by_family(*args, max_size=10, **options):
    return {found.family: found for found in recommend(*args, max_size=max_size, **options)}


TURN = DampedCosine(alpha=0.1, frequency=0.6).values(LAGS)
FADE = Exponential(alpha=0.3).values(LAGS)
PAIR = torch.stack([TURN + 0.3 * FADE, 2 * FADE - TURN], 1)


@pytest.fixture(scope="module")
def answers():
    """White and coloured, one input and two, with noise and nearly without."""
    rough = torch.randn(LAGS, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bump = Polynomial(alpha=0.9).values(LAGS)[:, None] + 0.01 * rough
    return {
        "white": (bump, white(), 0.02, by_family(bump, white(), 0.02, 0.01)),
        "coloured": (bump, slow(), 0.02, by_family(bump, slow(), 0.02, 1e-3)),
        "white pair": (PAIR, white(2), 0.1, by_family(PAIR, white(2), 0.1, 0.02)),
        "coloured pair": (PAIR, slow(2), 0.1, by_family(PAIR, slow(2), 0.1, 0.02)),
    }


CASES = ["white", "coloured", "white pair", "coloured pair"]


def total_nmse(kernel, memory, r, noise):
    """The definition, with a dense covariance."""
    lags, inputs = memory.shape
    covariance = torch.zeros(lags, inputs, lags, inputs, dtype=torch.float64)
    for s in range(lags):
        for u in range(lags):
            covariance[s, :, u] = r[u - s] if u >= s else r[s - u].mT
    matrix, error = covariance.reshape(lags * inputs, -1), (memory - kernel).flatten()
    return float((noise + error @ matrix @ error) / (noise + memory.flatten() @ matrix @ memory.flatten()))


@pytest.mark.parametrize("case", CASES)
def test_floors_lie_below_what_is_predicted_and_neither_rises(case, answers):
    for family, found in answers[case][3].items():
        floors = [sized.floor for sized in found.by_size]
        predicted = [sized.predicted for sized in found.by_size if sized.predicted is not None]
        assert floors == sorted(floors, reverse=True), family
        assert predicted == sorted(predicted, reverse=True), family
        assert all(s.predicted is None or s.floor <= s.predicted for s in found.by_size), family
        assert [sized.size for sized in found.by_size] == sorted({sized.size for sized in found.by_size})


@pytest.mark.parametrize("case", CASES)
def test_what_is_predicted_is_the_total_error_of_the_construction(case, answers):
    memory, r, noise, found = answers[case]
    for family in ("lru", "real_ssm", "tcn", "linear_tcn", "alibi"):
        for sized in found[family].by_size if family in found else ():
            if sized.fit is not None:
                taps = sized.fit.taps(len(memory)).reshape(memory.shape)
                expected = total_nmse(taps, memory, r, noise)
                if family == "alibi":  # over several lengths of what has been read, the worst
                    assert sized.predicted >= expected * (1 - 1e-9)
                else:
                    assert sized.predicted == pytest.approx(expected, rel=1e-9), family


@pytest.mark.parametrize("case", CASES)
def test_the_recommended_size_is_the_first_that_reaches_the_error(case, answers):
    memory, r, noise, found = answers[case]
    share = total_nmse(memory, memory, r, noise)
    target = {"white": 0.01, "coloured": 1e-3}.get(case, 0.02)
    reach = max(target, 4 / 3 * share)
    for family, one in found.items():
        if one.size is None:
            continue
        assert one.floor <= one.predicted <= reach, family
        assert (one.impossible_below or 1) <= one.size, family
        smaller = [s for s in one.by_size if s.size < one.size and s.predicted is not None]
        assert all(s.predicted > reach for s in smaller), family
        assert one.size == one.by_size[0].size or one.neighbour(-1).predicted is not None
        assert all(s.floor > reach for s in one.by_size if s.size < (one.impossible_below or 0))


@pytest.mark.parametrize("case", CASES)
def test_the_recommended_model_can_be_set_to_the_construction(case, answers):
    memory, r, noise, found = answers[case]
    inputs = memory.shape[1]
    for family in ("lru", "real_ssm", "tcn", "linear_tcn"):
        one = found.get(family)
        if one is None or one.size is None:
            continue
        model = ModelConfig.parse(one.model).build(inputs, 1, seed=1).double()
        if inputs == 1:
            warm_start(model, one.fit)
        elif family == "tcn":
            start_from_filter(model, one.fit.values)
        else:
            start_from_poles(model, one.fit)
        with torch.no_grad():
            kernel = model.linear_response(len(memory)).kernel[:, 0]
        assert total_nmse(kernel, memory, r, noise) == pytest.approx(one.predicted, rel=1e-6)
        assert model.state_size(1) == one.state_size


def test_content_free_heads_can_be_set_to_the_construction(answers):
    memory, _, noise, found = answers["white"]
    one = found["alibi"].by_size[2]
    assert isinstance(one.fit, HeadsFit)
    model = ModelConfig.parse(one.model).build(1, 1, seed=1).double()
    mixer, heads = model.mixers[0], len(one.fit.slopes)
    with torch.no_grad():
        model.encoder.weight.fill_(1.0)
        model.decoder.weight.fill_(one.fit.feed_through / one.size)
        gains = torch.zeros(one.size, dtype=torch.float64)
        gains[:heads] = one.fit.gains * one.size / one.fit.feed_through
        for end in (model.encoder, model.decoder):
            end.bias.zero_()
        mixer.project_in.weight.copy_(torch.eye(one.size))
        mixer.project_out.weight.copy_(torch.diag(gains))
        mixer.log_slopes[:heads] = one.fit.slopes.log()
        errors = []
        for length in (LAGS, 2 * LAGS, 4 * LAGS):
            impulses = torch.eye(length, dtype=torch.float64).flip(0)[..., None]
            wanted = torch.nn.functional.pad(memory, (0, 0, 0, length - LAGS))
            errors.append(total_nmse(model(impulses)[:, -1], wanted, white(lags=length), noise))
    assert max(errors) <= one.predicted * (1 + 1e-8)


@pytest.mark.parametrize("colour", [white, slow])
@pytest.mark.parametrize("rates", [(0.2,), (0.1, 0.9), (0.05, 0.4, 1.6)])
def test_a_sum_of_m_fading_exponentials_needs_m_real_states(rates, colour):
    memory = sum(Exponential(alpha=rate).values(LAGS) for rate in rates)[:, None]
    found = by_family(memory, colour(), 0.0, 1e-9 if len(rates) < 3 else 1e-7)["real_ssm"]
    assert found.size == len(rates)
    assert found.predicted < 1e-15
    if colour is white:
        assert (found.impossible_below or 1) == len(rates)


@pytest.mark.parametrize("colour", [white, slow])
def test_a_sum_of_m_turning_exponentials_needs_m_complex_states(colour):
    memory = (TURN + DampedCosine(alpha=0.05, frequency=1.7).values(LAGS))[:, None]
    found = by_family(memory, colour(), 0.0, 1e-6)["lru"]
    assert found.size == found.state_size == 4
    assert found.predicted < 1e-15
    assert colour is slow or found.impossible_below == 3  # so 4: sizes are even


@pytest.mark.parametrize("colour", [white, slow])
def test_a_delay_needs_a_field_that_reaches_it_and_a_state_for_each_lag(colour):
    delay = 7
    memory = Impulse(alpha=delay).values(LAGS)[:, None]
    found = by_family(memory, colour(), 0.01, 0.02)
    assert found["tcn"].size == found["tcn"].impossible_below == delay + 1
    # The present input passes the states by: without that a state more is needed.
    assert found["lru"].size == delay + 1
    if colour is white:
        assert found["lru"].impossible_below == found["real_ssm"].impossible_below == delay
        assert found["linear_tcn"].size == 1


def test_the_noise_is_counted_and_never_chased():
    generator = torch.Generator().manual_seed(3)
    memory = FADE[:, None] + 0.02 * torch.randn(LAGS, 1, generator=generator, dtype=torch.float64)
    noise = 0.1 * float(memory.square().sum())
    found = by_family(memory, white(), noise, 1e-6)
    assert (found["real_ssm"].size, found["lru"].size) == (1, 2)
    share = noise / (noise + float(memory.square().sum()))
    assert share < found["real_ssm"].predicted <= 4 / 3 * share
    assert all(sized.floor >= share for one in found.values() for sized in one.by_size)


def test_families_without_a_theorem_are_said_to_have_none_and_come_last(answers):
    found = list(answers["white"][3].values())
    assert [one.binding for one in found] == sorted((one.binding for one in found), reverse=True)
    free = [one for one in found if not one.binding]
    assert {one.family for one in free} == {"rnn", "lstm", "gru", "attention", "mamba2", "gated_deltanet"}
    for one in free:
        assert (one.size, one.floor, one.impossible_below, one.by_size) == (None, None, None, ())
        assert "no floor" in one.why
        assert "hint" in one.why
        assert ModelConfig.parse(one.model).build(2, 1, seed=0) is not None
    assert all(one.family in MODEL_CLASSES for one in found)


def test_theorems_for_one_white_input_are_left_out_elsewhere(answers):
    assert {"linear_tcn", "alibi"} <= set(answers["white"][3])
    for case in CASES[1:]:
        assert not {"linear_tcn", "alibi"} & set(answers[case][3])


def test_an_input_counts_as_white_up_to_its_sampling_error():
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(2000, 1, generator=rng, dtype=torch.float64)
    r = torch.stack([x[lag:].mT @ x[: 2000 - lag] / 2000 for lag in range(LAGS)])
    assert "alibi" in by_family(FADE[:, None], r, 0.1, 0.1, num_samples=2000)
    assert "alibi" not in by_family(FADE[:, None], r, 0.1, 0.1)


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("lags", [1, 2, 5])
@pytest.mark.parametrize("colour", [white, slow])
def test_the_shortest_memories_are_answered_too(lags, inputs, colour):
    memory = torch.randn(lags, inputs, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for one in recommend(memory, colour(inputs, lags), 0.1, 0.05):
        assert not one.binding or one.family == "alibi" or one.size is not None


def test_where_nothing_is_remembered_the_smallest_models_do():
    found = by_family(torch.zeros(LAGS, 1).double(), white(), 2.0, 0.5)
    assert {name: one.size for name, one in found.items() if one.binding} == {
        "lru": 2,
        "real_ssm": 1,
        "tcn": 1,
    }
    assert all(one.predicted == 1.0 for one in found.values() if one.binding)


def test_units_do_not_change_the_answer():
    plain = recommend(PAIR, white(2), 0.1, 0.1, max_size=4)
    # Powers of two: nothing is rounded in another way on the way to a minimum.
    scaled = recommend(2**-20 * PAIR, 2**14 * white(2), 0.1 * 2**-26, 0.1, max_size=4)
    assert [one.size for one in plain] == [one.size for one in scaled]
    for one, other in zip(plain, scaled, strict=True):
        if one.size is None:
            continue
        assert one.predicted == pytest.approx(other.predicted, rel=1e-6)
        assert one.floor == pytest.approx(other.floor, rel=1e-6)


def test_numbers_are_plain_and_finite(answers):
    for _, _, _, found in answers.values():
        for one in found.values():
            facts = [one.size, one.floor, one.predicted, one.impossible_below, one.state_size, one.model]
            facts += [
                one.cost_per_step,
                one.why,
                [(s.size, s.floor, s.predicted, s.model) for s in one.by_size],
            ]
            json.dumps(facts, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target_nmse": 0.0}, ConfigError, "target NMSE above 0"),
        ({"noise_variance": -1.0}, ConfigError, "at least 0"),
        ({"memory": torch.full((LAGS, 1), torch.nan).double()}, ConfigError, "finite taps"),
        ({"memory": torch.zeros(LAGS, 1).double(), "noise_variance": 0.0}, ConfigError, "both zero"),
        ({"autocovariance": white(2)}, ValueError, "of the 1 inputs, got one of 2"),
        ({"autocovariance": white(1, 5)}, ValueError, "at least 30 lags"),
        ({"max_size": 0}, ConfigError, "max_size=0"),
    ],
)
def test_what_is_no_question_is_refused(change, error, message):
    asked = {"memory": FADE[:, None], "autocovariance": white(), "noise_variance": 0.1, "target_nmse": 0.1}
    with pytest.raises(error, match=message):
        recommend(**(asked | change))


def test_the_search_over_sizes_finds_the_first_that_suffices_and_its_neighbours():
    asked = []

    def build(size, smaller):
        asked.append(size)
        return (size, 1.0 / size)

    for needed in (1, 2, 7, 23, 40):
        asked.clear()
        built = smallest_built(build, 40, 1, 1.0 / needed)
        assert min(size for size, (_, cost) in built.items() if cost <= 1.0 / needed) == needed
        assert {needed - 1, needed, needed + 1} & set(range(1, 41)) <= set(built)
        assert len(asked) == len(set(asked)) <= 16


@pytest.mark.parametrize("mixer", ["rnn", "gru", "lstm", "tcn"])
def test_a_step_costs_a_product_for_each_entry_of_its_matrices(mixer):
    config = ModelConfig(mixer=mixer, dim=6, bias=False)
    matrices = sum(p.numel() for p in config.build(3, 1, seed=0).parameters() if p.ndim == 2)
    elementwise = {"gru": 18, "lstm": 18}.get(mixer, 0)
    assert multiply_adds(config, 3) == matrices + elementwise


def test_costs_of_diagonal_recurrences_count_their_parts():
    lru = ModelConfig(mixer="lru", dim=2, options={"num_states": 5})
    ssm = ModelConfig(mixer="ssm", dim=2, options={"num_states": 5})
    parts = [p.numel() for name, p in lru.build(2, 1, seed=0).named_parameters() if "parts" in name]
    assert multiply_adds(lru, 2) == sum(parts) + 6 * 5 + 2 + 3 * 2
    assert multiply_adds(ssm, 2) == 2 * 2 * 5 + 5 + 2 + 3 * 2
    with pytest.raises(NotDefinedError, match="not counted"):
        multiply_adds(ModelConfig(mixer="deltanet", dim=8), 1)
    with pytest.raises(NotDefinedError, match="reads content"):
        multiply_adds(ModelConfig(mixer="attention", dim=8), 1)


def test_the_metric_that_is_shared_with_others_is_the_one_used():
    """A caller that computes the target's power by itself gets the noise share that is used here."""
    power = InputMetric.of(slow(2), LAGS).cost(PAIR)
    found = by_family(PAIR, slow(2), power / 3, 1e-6, max_size=2)
    assert found["tcn"].by_size[-1].predicted == pytest.approx(0.25, rel=1e-12)


@pytest.mark.parametrize("family", ["lru", "real_ssm"])
def test_a_recurrence_pays_for_what_it_goes_on_with_beyond_the_last_lag(family):
    """A memory cut off while it is large: what follows the last lag is charged, so nothing rings there."""
    memory = Exponential(alpha=0.02).values(LAGS)[:, None]
    far = slow(lags=8 * LAGS)
    ratios = []
    for known in (LAGS, 2 * LAGS):
        found = by_family(memory, far[:known], 0.05, 0.05)[family]
        sized = found.by_size[0]
        ahead = sized.fit.taps(8 * LAGS).reshape(8 * LAGS, 1)
        told = torch.nn.functional.pad(memory, (0, 0, 0, 7 * LAGS))
        ratios.append(total_nmse(ahead, told, far, 0.05) / sized.predicted)
    assert ratios[1] < 1.2 < 2 < ratios[0]


def test_residues_that_cancel_stay_within_single_precision():
    delayed = torch.nn.functional.pad(Exponential(alpha=0.2).values(LAGS - 12), (12, 0))[:, None]
    found = by_family(delayed, slow(), 0.2, 0.1)["real_ssm"]
    for sized in found.by_size:
        if sized.fit is not None:
            single = sized.fit.sum.poles.to(torch.complex64), sized.fit.sum.residues.to(torch.complex64)
            powers = single[0][:, None] ** torch.arange(LAGS)
            taps = (single[1] @ powers).real.double()
            taps[0] += sized.fit.feed_through
            rounded = total_nmse(taps[:, None], delayed, slow(), 0.2)
            assert rounded == pytest.approx(sized.predicted, rel=0.01)
