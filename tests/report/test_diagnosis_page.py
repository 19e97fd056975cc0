"""The page of a diagnosis, drawn from documents made by hand."""

import copy
import json
import math
import re

import pytest
from drawn_documents import HOSTILE, SENTENCES, Elements, diagnosis_document, interval, memory

from recollect.report.diagnosis import write_diagnosis
from recollect.report.memory_numbers import law_curves, named_numbers, shown, shown_interval


@pytest.fixture(scope="module")
def made():
    return diagnosis_document()


@pytest.fixture
def document(made):
    return copy.deepcopy(made)


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    path = write_diagnosis(made, tmp_path_factory.mktemp("diagnosis") / "new" / "page.html")
    return Elements(path.read_text(encoding="utf-8"))


def charts(page):
    return json.loads(page.scripts["charts"])


def test_the_three_sentences_come_before_all_evidence(page):
    places = [page.text.index(sentence) for sentence in SENTENCES]
    assert places == sorted(places)
    assert places[-1] < page.text.index("Before you rely on it") < page.text.index("The memory function of")


def test_the_lines_of_the_charts_are_the_document(page, document):
    rows = charts(page)["memory-0"]["data"]["values"]
    function = document["memory_function"]
    assert [row["lag"] for row in rows] == list(range(24))
    for column, name in (("value", "values"), ("lower", "lower"), ("upper", "upper")):
        assert [row[column] for row in rows] == function[name]


def test_a_magnitude_has_no_lower_end_where_its_band_holds_zero(page, document):
    rows = charts(page)["magnitude-0"]["data"]["values"]
    function = document["memory_function"]
    for row, value, lower, upper in zip(
        rows, *(function[k] for k in ("values", "lower", "upper")), strict=True
    ):
        ends = sorted([abs(lower), abs(upper)])
        assert row["value"] == abs(value)
        assert (row["lower"], row["upper"]) == (0 if lower < 0 < upper else ends[0], ends[1])


def test_floors_have_a_chart_for_each_unit_with_the_sizes_of_the_document(page, document):
    drawn = {name: spec for name, spec in charts(page).items() if name.startswith("floors-")}
    assert len(drawn) == 2
    for spec, entry in zip(drawn.values(), document["recommendations"], strict=False):
        rows = spec["data"]["values"]
        assert {row["model"] for row in rows} == {entry["family"].upper()}
        kept = [{key: row[key] for key in ("size", "floor", "predicted")} for row in rows]
        assert kept == entry["by_size"]


def texts(spec):
    return {layer["mark"].get("text") for layer in spec["layer"]}


def test_what_counts_as_reached_and_the_noise_are_lines_of_the_floors(page, document, tmp_path):
    assert {"reached below 0.125", "noise 0.08"} <= texts(charts(page)["floors-0"])
    document["reached_below"] = document["target_nmse"]
    again = Elements(write_diagnosis(document, tmp_path / "a.html").read_text(encoding="utf-8"))
    assert {"target 0.1", "noise 0.08"} <= texts(charts(again)["floors-0"])


def test_the_same_family_has_the_same_colour_in_every_chart(page):
    scales = [
        layer["encoding"]["color"]["scale"]
        for name in ("floors-0", "floors-1")
        for layer in charts(page)[name]["layer"]
        if "color" in layer["encoding"]
    ]
    assert len(scales) > 2
    assert all(scale == scales[0] for scale in scales)


def test_predicted_and_measured_stand_side_by_side(page):
    rows = charts(page)["confirmation"]["data"]["values"]
    found = {(row["trial"], row["kind"]): row["error"] for row in rows}
    assert found["LRU 4 (recommended)", "predicted"] == 0.0937
    assert found["LRU 4 (recommended)", "measured"] == 0.0991
    assert found["LRU 2 (smaller)", "measured"] is None
    for words in ("The recommended size is adequate.", "0.0937", "0.0991", "600 steps", "601 rows", "0.0777"):
        assert words in page.text


def test_every_number_is_in_words_with_its_interval(page):
    for words in (
        "3 … 4", "≥ 12", "0.1 … 0.12", "an exponential fits better", "Hankel rank", "tensor-train rank",
        "0.92 (0.9 … 0.935)", "0.35", "0.002", "1234", "Slow changes of u are missing.", "-3100.5", "-19.8",
        "its gates multiply states", "the theorem of tcn", "2 gaps split the data.", "decay rate of u",
        "0.875", "0.125",
    ):  # fmt: skip
        assert words in page.text, words


def test_a_hostile_name_is_text_everywhere(page):
    assert f"y {HOSTILE}" in page.text
    assert not any(text.strip() == "alert(1)" for text in page.scripts.values())
    assert json.loads(page.scripts["document"])["series"]["target"] == f"y {HOSTILE}"


def test_the_page_holds_its_document_unchanged(page, document):
    assert json.loads(page.scripts["document"]) == document


def test_nothing_is_loaded_from_a_network(page):
    loading = {"script", "link", "img", "iframe", "source", "object", "embed", "video", "audio"}
    for tag, attributes in page.tags:
        if tag in loading:
            source = attributes.get("src") or attributes.get("href") or "data:"
            assert source.startswith("data:"), (tag, source)
    styles = "".join(re.findall(r"<style>(.*?)</style>", page.source, re.DOTALL))
    assert not re.search(r"@import|url\(", styles)


def test_every_holder_has_its_chart_and_every_chart_says_in_words_what_it_shows(page):
    holders = [attributes["data-chart"] for _, attributes in page.tags if "data-chart" in attributes]
    assert sorted(holders) == sorted(charts(page))
    assert all(len(spec["description"]) > 20 for spec in charts(page).values())


def test_several_inputs_have_their_own_charts_and_no_common_horizon(document, tmp_path):
    document["memory_function"] = {"u": memory(0.1, 24), HOSTILE: memory(0.4, 24)}
    document["input_shares"] = {"u": 0.7, HOSTILE: 0.22}
    page = Elements(write_diagnosis(document, tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "contributes 22 % of the variance" in page.text
    drawn = charts(page)
    assert [name for name in drawn if name.startswith("memory-")] == ["memory-0", "memory-1"]
    for place, function in enumerate(document["memory_function"].values()):
        rows = drawn[f"memory-{place}"]["data"]["values"]
        assert [row["value"] for row in rows] == function["values"]
        assert not any("H95" in str(layer["mark"]) for layer in drawn[f"memory-{place}"]["layer"])


def test_a_document_with_the_least_keys_is_a_page(tmp_path):
    least = {"sentences": SENTENCES, "memory_function": memory(0.1, 5), "warnings": [], "recommendations": []}
    page = Elements(write_diagnosis(least, tmp_path / "a.html").read_text(encoding="utf-8"))
    assert SENTENCES[0] in page.text
    assert "Before you rely on it" not in page.text
    assert "Trained to confirm" not in page.text
    assert "Which architecture" not in page.text


def test_a_memory_of_zeros_and_of_one_lag_can_be_drawn(document, tmp_path):
    for length in (1, 4):
        zeros = [0.0] * length
        document["memory_function"] = {"values": zeros, "lower": zeros, "upper": zeros}
        document["decay_law"] = {"preferred": "none", "exponential": None, "power": None}
        page = Elements(write_diagnosis(document, tmp_path / "a.html").read_text(encoding="utf-8"))
        assert len(charts(page)["magnitude-0"]["data"]["values"]) == length
        assert write_diagnosis(document, tmp_path / "a.svg").stat().st_size > 2000


@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF")], ids=["svg", "png", "pdf"]
)
def test_the_main_charts_are_a_figure_by_the_ending(document, tmp_path, ending, start):
    path = write_diagnosis(document, tmp_path / "new" / f"figure.{ending}")
    assert path.read_bytes().startswith(start)
    if ending == "svg":
        text = path.read_text(encoding="utf-8")
        assert "real states" in text
        assert "H95 14" in text
        assert "Predicted and measured" not in text


def test_a_law_of_decay_is_drawn_where_it_was_fitted_and_passes_through_the_values():
    rate, exponent = 0.2, 1.3
    lags = range(12)
    for name, values in (
        ("exponential", [3 * math.exp(-rate * s) for s in lags]),
        ("power", [3 * (1 + s) ** -exponent for s in lags]),
        ("power", [0.1, 0.2, *(3 * (1 + s) ** -exponent for s in range(10))]),
    ):
        lower = [value - 0.5 for value in values]
        law = {"preferred": name, "exponential": rate, "power": interval(exponent, 1, 2)}
        curve = law_curves(values, lower, law)[name]
        first, last = values.index(3), max(s for s in lags if lower[s] > 0)
        assert curve[:first] == [None] * first
        assert curve[first : last + 1] == pytest.approx(values[first : last + 1], rel=1e-12)
        assert curve[last + 1 :] == [None] * (11 - last)


def test_no_law_is_drawn_where_none_was_found():
    assert law_curves([1.0, 0.5], [0.9, 0.4], {"preferred": "none", "exponential": 0.1}) == {}
    assert law_curves([1.0, 0.5], [0.9, 0.4], None) == {}
    assert law_curves([1.0, 0.5], [-1.0, -1.0], {"preferred": "power", "power": 1.0}) == {}


def test_horizons_have_their_interval_beside_them_or_in_them():
    apart = {"horizon": {"h95": 14.0, "h95_interval": [12.0, 15.0]}}
    inside = {"horizon": {"h95": interval(14.0, 12.0, 15.0)}}
    assert named_numbers(apart) == named_numbers(inside)
    assert named_numbers(apart)[0].interval == "12 … 15"


def test_numbers_that_are_missing_have_no_row():
    assert [row.name for row in named_numbers({"horizon": {"h50": None, "h95": 7}, "delay": 0})] == [
        "H95",
        "delay",
    ]


@pytest.mark.parametrize(
    ("number", "value", "ends"),
    [
        (interval(3.0, 2.0, 4.5), "3", "2 … 4.5"),
        (interval(3.0, None, 4.5), "3", "≤ 4.5"),
        (interval(None, None, None), "–", ""),
        (0.012345, "0.0123", ""),
    ],
)
def test_open_ends_are_said(number, value, ends):
    assert (shown(number), shown_interval(number)) == (value, ends)
