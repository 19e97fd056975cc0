import re
from xml.etree import ElementTree

import pytest

from recollect.report import write_charts
from recollect.report.charts import CHARTS, Comparison, specifications
from recollect.report.results import results


@pytest.fixture(name="comparison")
def comparison_fixture(records):
    return Comparison.of(results(records))


@pytest.fixture(scope="module")
def folder(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("charts")
    write_charts(records, folder, "svg")
    return folder


def words(path):
    return " ".join(ElementTree.parse(path).getroot().itertext())


FUNCTIONAL = (
    "heat_map",
    "error_by_alpha",
    "learned_memory",
    "missed_by_lag",
    "error_by_position",
    "loss_curves",
)
"""The charts of memory functions: the others have no data for them."""


def test_every_chart_with_data_is_drawn_for_each_of_its_families_or_tasks(folder, comparison):
    count = {"criterion": 1, "family": len(comparison.families), "task": len(comparison.tasks)}
    for name, chart in CHARTS.items():
        expected = count[chart.by] if name in FUNCTIONAL else 0
        assert len(list(folder.glob(f"{name}*.svg"))) == expected, name


def test_every_chart_shows_its_models(folder, comparison):
    shown = words(folder / "heat_map-nmse.svg")
    assert all(model in shown for model in comparison.models)
    for name in FUNCTIONAL:
        if CHARTS[name].by == "task":
            assert "Transformer" in words(folder / f"{name}-impulse-alpha=9.svg")


def test_memory_grows_to_the_right_in_every_family(comparison):
    reverse = {name: family.falls for name, family in comparison.families.items()}
    assert reverse == {"exponential": True, "polynomial": True, "impulse": False, "airy": False}
    for family, spec in specifications("error_by_alpha", comparison).items():
        x = spec["layer"][-1]["encoding"]["x"]
        assert x["scale"]["reverse"] == reverse[family]


def test_the_direction_of_alpha_is_written_on_the_axis(folder):
    assert "alpha → 0" in words(folder / "error_by_alpha-exponential.svg")
    assert "alpha → 1/2" in words(folder / "error_by_alpha-polynomial.svg")
    assert "larger alpha" in words(folder / "error_by_alpha-impulse.svg")


def test_alphas_are_written_in_full(make_record, tmp_path):
    write_charts([make_record(family="exponential", alpha=alpha) for alpha in (16.0, 48.0)], tmp_path, "svg")
    assert {"16", "48"} <= set(words(tmp_path / "error_by_alpha-exponential.svg").split())


def test_points_that_had_not_converged_are_hollow(make_record, tmp_path):
    def hollow_points(still_improving):
        folder = tmp_path / str(still_improving)
        write_charts([make_record(still_improving=still_improving)], folder, "svg")
        points = ElementTree.parse(folder / "error_by_alpha-impulse.svg").iter()
        return [p for p in points if p.get("fill") is None and p.get("aria-roledescription") == "point"]

    assert len(hollow_points(True)) == 1
    assert len(hollow_points(False)) == 0


@pytest.mark.parametrize(("ending", "head"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_charts_are_written_in_other_formats(make_record, tmp_path, ending, head):
    paths = write_charts([make_record()], tmp_path, ending)
    assert len(paths) == len(FUNCTIONAL)
    assert all(path.read_bytes().startswith(head) for path in paths)


def test_labels_that_differ_in_odd_characters_get_files_of_their_own(make_record, tmp_path):
    records = [make_record().model_copy(update={"task": task}) for task in ("a/b", "a?b")]
    paths = write_charts(records, tmp_path, "svg")
    assert len({path.name for path in paths if "loss" in path.name}) == 2


def test_charts_without_data_are_left_out(make_record, tmp_path):
    paths = write_charts([make_record(status="failed")], tmp_path, "svg")
    assert {path.stem.partition("-")[0] for path in paths} == {"heat_map", "error_by_alpha"}
    assert write_charts([], tmp_path, "svg") == []


def test_recall_studies_have_a_heat_map_for_each_criterion_and_no_chart_of_memory_functions(
    recall_records, tmp_path
):
    names = {path.stem for path in write_charts(recall_records, tmp_path, "svg")}
    assert {name for name in names if name.startswith("heat_map")} == {
        "heat_map-accuracy", "heat_map-cross_entropy", "heat_map-capacity",
    }  # fmt: skip
    assert not any(
        name.startswith(("error_by_alpha", "learned", "missed", "error_by_position")) for name in names
    )
    assert "loss_curves-mqar-length=64-num_pairs=4" in names


def cell_colours(path):
    """Red, green and blue of a heat map's cells, by model."""
    cells = [e for e in ElementTree.parse(path).iter() if e.get("aria-roledescription") == "rect mark"]
    colours = {}
    for cell in cells:
        model = re.search(r"model: (\w+)", cell.get("aria-label"))[1]
        colours[model] = [int(number) for number in re.findall(r"\d+", cell.get("fill"))]
    return colours


@pytest.mark.parametrize(
    ("kind", "metric", "good", "bad"),
    [
        ("mqar", "accuracy", "high", "low"),
        ("capacity", "capacity", "high", "low"),
        ("text", "cross_entropy", "low", "high"),
    ],
)
def test_blue_is_good_whichever_way_the_score_points(make_scored_record, tmp_path, kind, metric, good, bad):
    scores = {"low": 0.05, "high": 0.95}
    write_charts(
        [make_scored_record(kind, model, **{metric: scores[model]}) for model in scores], tmp_path, "svg"
    )
    colours = cell_colours(tmp_path / f"heat_map-{metric}.svg")
    (red, _, blue), (other_red, _, other_blue) = colours[good], colours[bad]
    assert blue > red
    assert other_red > other_blue


def test_many_models_stand_in_rows(make_scored_record):
    def axes(count):
        found = results([make_scored_record("capacity", f"layer {i}") for i in range(count)])
        layers = specifications("heat_map", Comparison.of(found))["capacity"]["layer"]
        return layers[0]["encoding"]["x"]["field"], layers[0]["encoding"]["y"]["field"]

    assert axes(3) == ("model", "task")
    assert axes(30) == ("task", "model")


def test_models_go_by_name_and_numbers_in_them_by_size(make_scored_record):
    found = results([make_scored_record(model=model) for model in ("rls 16", "gru", "rls 8")])
    assert Comparison.of(found).models == ["gru", "rls 8", "rls 16"]
