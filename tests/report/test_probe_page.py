"""The page of a probe: drawn from documents made by hand, and from those of real probes."""

import copy
import json

import pytest
import torch
from drawn_documents import HOSTILE, Elements, interval, probe_document_made

from recollect.models import ModelConfig
from recollect.probing import memory_of
from recollect.report.probe import probe_document, write_probe
from recollect.report.probe.sentences import probe_sentences


@pytest.fixture(scope="module")
def made():
    return probe_document_made()


@pytest.fixture
def document(made):
    return copy.deepcopy(made)


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    path = write_probe(made, tmp_path_factory.mktemp("probe") / "new" / "page.html")
    return Elements(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def gru():
    model = ModelConfig(mixer="gru", dim=4).build(2, 3, seed=0)
    return memory_of(model, length=12, samples=8, seed=1, name="a GRU")


def charts(page):
    return json.loads(page.scripts["charts"])


def test_the_sentences_come_before_all_evidence(page, made):
    places = [page.text.index(sentence) for sentence in made["sentences"]]
    assert places == sorted(places)
    assert places[-1] < page.text.index("The memory function of the model")


def test_the_lines_of_the_charts_are_the_document(page, made):
    names = {"value": "values", "lower": "lower", "upper": "upper", "rms": "rms"}
    for chart, columns in (("memory-0", made["memory_function"][0]), ("magnitude", made["magnitude"])):
        rows = charts(page)[chart]["data"]["values"]
        for column, name in names.items():
            assert [row[column] for row in rows] == columns[name]


def test_the_bracket_and_the_positions_are_drawn(page, made):
    rows = charts(page)["bracket"]["data"]["values"]
    assert [row["lower"] for row in rows] == made["bracket"]["lower"]
    assert [row["upper"] for row in rows] == made["bracket"]["upper"]
    rows = charts(page)["positions"]["data"]["values"]
    for each in made["positions"]:
        found = [row["magnitude"] for row in rows if row["position"] == each["position"]]
        assert found == each["magnitude"]


def test_laws_of_decay_and_horizons_are_marked(page):
    rows = charts(page)["magnitude"]["data"]["values"]
    assert rows[0]["exponential law"] is not None
    assert rows[0]["power law"] is not None
    texts = [layer["mark"].get("text") for layer in charts(page)["memory-0"]["layer"]]
    assert {"H50 3", "H95 14"} <= set(texts)


def test_numbers_and_what_was_measured_are_in_words(page):
    for words in (
        "jacobian", "mean Jacobian", "white Gaussian, deviation 1", "3 … 4", "≥ 12", "0.75", "0.7 … 0.8",
        "content adaptivity", "0.2 … 0.3", "change from position 5", "0.125",
    ):  # fmt: skip
        assert words in page.text, words


def test_a_hostile_name_is_text_everywhere(page, made):
    assert HOSTILE in page.text
    assert not any(text.strip() == "alert(1)" for text in page.scripts.values())
    assert json.loads(page.scripts["document"]) == made


def test_nothing_is_loaded_from_a_network(page):
    loading = {"script", "link", "img", "iframe", "source", "object", "embed", "video", "audio"}
    for tag, attributes in page.tags:
        if tag in loading:
            source = attributes.get("src") or attributes.get("href") or "data:"
            assert source.startswith("data:"), (tag, source)


def test_many_channels_are_said_to_be_more_than_are_shown(tmp_path):
    page = Elements(write_probe(probe_document_made(4, 3), tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "6 of 12 pairs" in page.text
    drawn = [name for name in charts(page) if name.startswith("memory-")]
    assert len(drawn) == 6
    assert not any("H95" in str(layer["mark"]) for layer in charts(page)["memory-0"]["layer"])


def test_what_was_not_measured_is_left_out(document, tmp_path):
    document |= {"bracket": None, "positions": document["positions"][-1:], "position_dependence": {}}
    document |= {"linear_share": None, "content_adaptivity": None}
    document["magnitude"]["rms"] = document["memory_function"][0]["rms"] = None
    page = Elements(write_probe(document, tmp_path / "a.html").read_text(encoding="utf-8"))
    assert not {"bracket", "positions"} & set(charts(page))
    assert "Orange" not in page.text
    assert "content adaptivity" not in page.text


@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF")], ids=["svg", "png", "pdf"]
)
def test_the_memory_is_a_figure_by_the_ending(document, tmp_path, ending, start):
    path = write_probe(document, tmp_path / "new" / f"figure.{ending}")
    assert path.read_bytes().startswith(start)


def test_the_document_of_a_probe_is_plain_json_and_holds_the_profile(gru):
    document = probe_document(gru)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["channels"] == {"outputs": 3, "inputs": 2, "shown": 6}
    for channel in document["memory_function"]:
        at = (slice(None), channel["output"], channel["input"])
        assert channel["values"] == gru.estimate.values[at].tolist()
        assert channel["lower"] == gru.lower[at].tolist()
        assert channel["rms"] == gru.estimate.rms[at].tolist()
    assert document["positions"][-1]["position"] == gru.estimate.position


def test_the_channels_of_the_largest_memory_are_kept(gru):
    kept = probe_document(gru, most_channels=2)["memory_function"]
    energy = gru.estimate.values.square().sum(0)
    largest = sorted(energy.flatten().tolist())[-2:]
    found = [float(energy[channel["output"], channel["input"]]) for channel in kept]
    assert sorted(found) == largest


def test_a_real_probe_is_drawn(gru, tmp_path):
    page = Elements(write_probe(probe_document(gru), tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "a GRU remembers" in page.text


def test_the_bracket_of_a_linear_map_is_one_line_and_sums_to_the_variance(tmp_path):
    taps = torch.tensor([0.5, -0.25, 0.125, 0.0625], dtype=torch.float64)

    def moving_average(x):
        padded = torch.nn.functional.pad(x, (0, 0, 3, 0))
        return sum(taps[s] * padded[:, 3 - s : padded.shape[1] - s] for s in range(4))

    profile = memory_of(moving_average, length=6, samples=64, seed=0, input_size=1)
    document = probe_document(profile)
    bracket = document["bracket"]
    assert bracket["lower"] == pytest.approx(bracket["upper"], abs=1e-12)
    variance = float(profile.estimate.output_variance[0])
    expected = [*(taps.square() / variance).tolist(), 0.0, 0.0]
    assert bracket["lower"] == pytest.approx(expected, abs=1e-12)


def test_sentences_say_how_far_how_it_fades_and_what_depends_on_content(document):
    reach, dependence, measured = probe_sentences(document)
    assert "over 14 of 24 lags" in reach
    assert "exp(-0.11 s)" in reach
    assert "25 %" in dependence
    assert "75 %" in dependence
    assert "by up to 0.12," in dependence
    assert "32 sequences, white Gaussian" in measured


def test_a_model_without_memory_is_said_to_have_none(document):
    document["decay_law"]["preferred"] = "none"
    document["horizon"] = {"h50": interval(0.0, 0.0, 0.0), "h95": interval(0.0, 0.0, 0.0)}
    assert "no mean memory above the noise" in probe_sentences(document)[0]


def test_a_map_that_is_the_same_everywhere_is_said_to_be(document):
    document["content_adaptivity"] = interval(0.0, 0.0, 1e-9)
    document["position_dependence"] = {"5": interval(1e-12, 0.0, 1e-9)}
    words = probe_sentences(document)[1]
    assert "does not depend on the content" in words
    assert "it is the same, as far" in words
