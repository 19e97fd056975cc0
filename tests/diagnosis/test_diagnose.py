import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recollect.core import ConfigError
from recollect.diagnosis import Diagnosis, diagnose, read_series
from recollect.diagnosis.sentences import remembered, sufficient, three_sentences

LAGS = 9
KEYS = {
    "version", "recollect", "sentences", "warnings", "series", "memory_found", "memory_function", "lags",
    "input_shares", "confidence", "horizon", "decay_law", "hankel_rank", "tensor_train_rank",
    "effective_taps", "sign_changes", "delay", "linear_share", "linear_share_interval", "noise_nmse",
    "remainder", "excitation", "target_nmse", "reached_below", "recommended", "recommendations",
    "confirmation", "estimation",
}  # fmt: skip
RECOMMENDATION = {
    "family", "unit", "size", "floor", "binding", "predicted", "impossible_below", "why", "state_size",
    "cost_per_step", "by_size", "model",
}  # fmt: skip
RHO = 2.0 * 0.6 ** np.arange(LAGS)


def filtered(u, rho):
    return np.convolve(u, rho)[: len(u)]


def system(n=400, seed=0, noise=0.5):
    """Two inputs of other units, of which one is remembered; the second has next to no effect."""
    rng = np.random.default_rng(seed)
    u, v, e = rng.standard_normal((3, n))
    return pd.DataFrame({"u": u, "v": 7 * v, "y": filtered(u, RHO) + 0.05 * v + noise * e + 3})


@pytest.fixture(scope="module")
def found():
    return diagnose(read_series(system(), inputs=["u"], target="y"), lags=LAGS)


@pytest.fixture(scope="module")
def document(found):
    return found.document()


def test_the_document_has_fixed_keys_and_is_plain_json(document):
    assert set(document) == KEYS
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document["memory_function"]) == {"values", "lower", "upper"}
    assert set(document["horizon"]) == {"h50", "h95", "h50_interval", "h95_interval"}
    assert document["recommendations"]
    assert all(set(one) == RECOMMENDATION for one in document["recommendations"])


def test_the_memory_function_is_in_data_units_and_in_its_band(document):
    memory = {name: np.array(values) for name, values in document["memory_function"].items()}
    assert ((memory["lower"] <= RHO) & (memory["upper"] >= RHO)).mean() >= 0.75
    np.testing.assert_allclose(memory["values"], RHO, atol=0.15)
    noise = 0.25 / (0.25 + (RHO**2).sum())
    assert document["noise_nmse"] == pytest.approx(noise, rel=0.2)
    assert document["linear_share"] == pytest.approx(1 - noise, abs=0.03)
    assert document["horizon"]["h95"] in (3, 4)
    assert document["target_nmse"] == document["noise_nmse"]


def test_the_best_reaches_the_target_with_the_fewest_numbers_carried_and_multiplied(found, document):
    assert found.best is not None
    assert found.best.predicted <= found.reached_below * (1 + 1e-9)
    able = [one for one in found.recommendations if one.binding and one.size is not None]
    work = [one.state_size + one.cost_per_step for one in able]
    assert found.best.state_size + found.best.cost_per_step == min(work)
    assert document["recommended"] == {"family": found.best.family, "size": found.best.size}
    assert found.best.state_size == 1, "one exponential is one state"


def test_the_answer_is_three_sentences_with_the_numbers_of_the_document(found, document):
    sentences = found.sentences()
    assert list(sentences) == document["sentences"]
    assert all(sentence.endswith(".") and sentence.count(". ") == 0 for sentence in sentences)
    assert f"remembers u over {document['horizon']['h95']} lags" in sentences[0]
    assert f"{100 * document['linear_share']:.1f} % of the variance of y" in sentences[1]
    assert f"with {found.best.size} " in sentences[2]


def test_numbers_do_not_depend_on_units_and_memory_functions_do(document):
    frame = system()
    frame["u"], frame["y"] = frame["u"] * 512, frame["y"] / 8  # powers of two: nothing is rounded anew
    scaled = diagnose(read_series(frame, inputs=["u"], target="y"), lags=LAGS).document()
    for key in ("horizon", "decay_law", "hankel_rank", "sign_changes", "recommended", "noise_nmse"):
        assert scaled[key] == document[key]
    values = np.array(document["memory_function"]["values"])
    np.testing.assert_allclose(scaled["memory_function"]["values"], values / 4096, rtol=1e-10)


def test_several_inputs_have_a_memory_function_each_and_share_their_numbers():
    both = diagnose(read_series(system(), inputs=["v", "u"], target="y"), lags=LAGS).document()
    assert list(both["memory_function"]) == ["v", "u"]
    assert np.abs(both["memory_function"]["v"]["values"]).max() < 0.05
    np.testing.assert_allclose(both["memory_function"]["u"]["values"], RHO, atol=0.2)
    assert both["horizon"]["h95"] in (3, 4)
    assert "remembers u (next to nothing of v) over" in both["sentences"][0]
    assert both["input_shares"]["u"] == pytest.approx(1 - both["noise_nmse"], abs=0.05)


def test_a_series_without_inputs_is_predicted_from_its_own_past():
    e = np.random.default_rng(1).standard_normal(600)
    y = filtered(e, 0.7 ** np.arange(200))
    alone = diagnose(read_series(y), lags=6).document()
    assert alone["series"]["autonomous"]
    slope = y[1:] @ y[:-1] / (y[:-1] @ y[:-1])
    assert alone["memory_function"]["values"][0] == pytest.approx(slope, abs=0.05)
    assert alone["noise_nmse"] == pytest.approx(1 - slope**2, abs=0.05)
    assert alone["sentences"][0].startswith("Predicted one step ahead from its own past, 0 remembers 1 lag")


def test_no_colour_of_the_noise_is_looked_for_beside_the_own_past():
    frame = system(100)
    alone = read_series(frame, target="y")
    beside = read_series(frame, inputs=["u"], target="y", own_past=True)
    other = read_series(frame, inputs=["u"], target="y")
    assert [series.reads_own_past for series in (alone, beside, other)] == [True, True, False]
    assert diagnose(beside, lags=2).estimator.noise == "white"


def test_where_nothing_is_remembered_that_is_the_answer():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"u": rng.standard_normal(200), "y": rng.standard_normal(200)})
    nothing = diagnose(read_series(frame, inputs=["u"], target="y"), lags=8)
    document = nothing.document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document) == KEYS
    assert (document["memory_found"], document["recommended"], document["recommendations"]) == (
        False,
        None,
        [],
    )
    assert "y shows no linear memory of u" in document["sentences"][0]
    assert "no architecture is recommended" in document["sentences"][2]
    with pytest.raises(ConfigError, match="no size is recommended"):
        nothing.confirmed()


def test_a_target_below_the_noise_is_said_to_be_out_of_reach(found):
    asked = diagnose(found.series, lags=LAGS, target_nmse=1e-4)
    assert asked.target_nmse == 1e-4
    assert asked.reached_below == pytest.approx(4 / 3 * asked.estimator.noise_nmse_)
    assert any("below the noise found" in warning for warning in asked.warnings)
    assert not any("below the noise found" in warning for warning in found.warnings)
    assert replace(found, target_nmse=0.5).reached_below == 0.5


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_target_that_is_no_error_is_refused_before_anything_is_computed(found, wrong):
    with pytest.raises(ConfigError, match="a target NMSE above 0"):
        diagnose(found.series, target_nmse=wrong, on_progress=pytest.fail)


def test_stages_are_named_in_order_and_the_same_seed_gives_the_same_document(document):
    stages = []
    again = diagnose(read_series(system(), inputs=["u"], target="y"), lags=LAGS, on_progress=stages.append)
    assert isinstance(again, Diagnosis)
    assert again.document() == document
    assert [stage.split()[0] for stage in stages] == ["estimating", "measuring", "searching"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"delay": 3}, "after a delay of 3"),
        ({"decay_law": {"preferred": "undecided"}}, "decays in a way the data leave open"),
        ({"decay_law": {"preferred": "power", "power": {"value": 1.13}}}, "as a power law, (1 + s)^-1.1"),
        ({"decay_law": {"preferred": "exponential", "exponential": {"value": 0.21972}}}, "within 5 lags"),
        ({"decay_law": {"preferred": "exponential", "exponential": {"value": 1e-3}}}, "hardly decays"),
        ({"series": {"step": "month"}}, "lags of one month"),
    ],
)  # fmt: skip
def test_the_first_sentence_says_what_was_measured(document, change, said):
    changed = {
        key: {**document[key], **value} if isinstance(value, dict) else value for key, value in change.items()
    }
    assert said in remembered({**document, **changed})


@pytest.mark.parametrize(
    ("remainder", "said"),
    [
        ({"p_value": 0.4, "share": 0.0}, "no nonlinear remainder is found (p = 0.4)"),
        ({"p_value": 1e-6, "share": 0.03}, "is found (p < 0.001) that is worth at least 3.0 %"),
        ({"p_value": 0.01, "share": 0.0}, "too weak to predict with"),
        ({"p_value": None, "share": None}, "could not be tested"),
    ],
)  # fmt: skip
def test_the_second_sentence_says_what_is_not_linear(document, remainder, said):
    assert said in three_sentences({**document, "remainder": {"statistic": 1.0, **remainder}})[1]


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.5, "50.0 %"), (-1e-6, "0.0 %"), (0.00016, "0.016 %"), (0.99984, "99.984 %"), (1.0, "100.0 %")],
)
def test_a_share_is_rounded_to_nothing_or_to_all_only_where_it_is_that(document, share, said):
    sentence = three_sentences({**document, "noise_nmse": share})[1]
    assert f", {said} is left as noise" in sentence


def test_the_third_sentence_says_what_is_impossible_and_what_else_would_do(document):
    tcn = {
        "family": "tcn",
        "unit": "taps",
        "size": 9,
        "binding": True,
        "predicted": 0.1,
        "impossible_below": 9,
    }
    lru = {"family": "lru", "unit": "complex states", "size": 1, "binding": True, "predicted": 0.123456}
    facts = {**document, "recommendations": [tcn, {**lru, "impossible_below": 1}], "reached_below": 0.125}
    best = sufficient({**facts, "recommended": {"family": "lru", "size": 1}})
    assert "reach an NMSE of 0.125 is an LRU with 1 complex state (predicted 0.123)" in best
    assert "instead of it a TCN with 9 taps would do" in best
    exact = sufficient({**facts, "recommended": {"family": "tcn", "size": 9}})
    assert "a TCN with 9 taps (predicted 0.1), and none of that family with fewer can" in exact
    assert "None of the families" in sufficient({**facts, "recommended": None})
