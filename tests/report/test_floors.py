import io
import math
import re
from xml.etree import ElementTree

import pytest
from rich.console import Console

from recollect.cli.table import print_summary, summary_rows
from recollect.report import runs_table, summarise, write_charts, write_html
from recollect.report.chart_data import chart_data
from recollect.report.charts import Comparison, specifications
from recollect.report.floors import (
    defects,
    family_standings,
    overall_standings,
    standing,
    with_negligible_floor,
    without_floor,
)
from recollect.report.limits import limits
from recollect.report.results import results


def bare(record):
    """The record without its series: nothing is drawn lag by lag, or step by step."""
    return record.model_copy(update={"series": {}})


def only(records):
    (result,) = results(records)
    return result


def tables(records):
    return chart_data(records, results(records))


def shown(records, width=120):
    console = Console(width=width, file=io.StringIO())
    print_summary(records, console)
    return console.file.getvalue()


def test_the_excess_is_the_median_over_seeds_with_their_interval(make_bounded_record):
    errors = (0.5, 0.3, 0.9)
    records = [
        make_bounded_record(seed=seed, nmse=error, floor=0.2, floor_attained=0.25)
        for seed, error in enumerate(errors)
    ]
    result = only(records)
    assert (result.floor, result.floor_attained, result.floor_binds) == (0.2, 0.25, True)
    assert (result.excess, result.excess_low, result.excess_high) == pytest.approx((0.3, 0.1, 0.7))


def test_the_excess_of_one_seed_is_as_sure_as_its_error(make_bounded_record):
    result = only([make_bounded_record(nmse=0.5, nmse_se=0.1, floor=0.2)])
    assert (result.excess_low, result.excess_high) == pytest.approx((0.3 - 0.196, 0.3 + 0.196), abs=1e-12)
    assert (result.excess_low, result.excess_high) == pytest.approx(
        (result.low - result.floor, result.high - result.floor), abs=1e-12
    )


def test_an_exact_error_of_one_seed_has_no_interval_of_its_excess(make_bounded_record):
    result = only([make_bounded_record(nmse=0.5, nmse_exact=0.48, floor=0.2)])
    assert result.excess == pytest.approx(0.28)
    assert (result.value, result.nmse_exact) == (0.5, 0.48)
    assert (result.excess_low, result.excess_high) == (None, None)
    assert standing(result) == "above"


def test_records_that_say_nothing_of_floors_have_none_and_show_none(make_record):
    records = [make_record()]
    result = only(records)
    assert (result.floor, result.floor_binds, result.excess, standing(result)) == (None,) * 4
    assert not result.below_floor
    assert family_standings([result]) == []
    assert without_floor([result]) == {}
    assert "floor" not in shown(records)


@pytest.mark.parametrize(
    ("error", "standard_error", "attained", "expected"),
    [
        (0.20, 0.0, 0.3, "floor"),
        (0.219, 0.0, 0.3, "floor"),
        (0.221, 0.0, 0.3, "explicit"),
        (0.329, 0.0, 0.3, "explicit"),
        (0.331, 0.0, 0.3, "above"),
        (0.331, 0.002, 0.3, "open"),
        (0.331, 0.0, None, "open"),
        (0.9, 0.0, 0.3, "above"),
    ],
)
def test_a_result_stands_where_its_error_and_its_interval_say(
    make_bounded_record, error, standard_error, attained, expected
):
    record = make_bounded_record(nmse=error, nmse_se=standard_error, floor=0.2, floor_attained=attained)
    assert standing(only([record])) == expected


@pytest.mark.parametrize(("error", "expected"), [(9e-5, "negligible"), (2e-4, "above")])
def test_a_floor_of_zero_is_reached_within_a_negligible_share(make_bounded_record, error, expected):
    record = make_bounded_record(nmse=error, nmse_se=0.0, floor=0.0, floor_attained=0.0)
    assert standing(only([record])) == expected


def test_a_lucky_seed_does_not_put_its_model_on_the_floor(make_bounded_record):
    records = [
        make_bounded_record(seed=seed, nmse=error, floor=0.2, floor_attained=0.22)
        for seed, error in enumerate((0.2, 0.6, 0.7))
    ]
    assert standing(only(records)) == "open"


def test_seeds_that_diverged_without_an_error_leave_no_standing(make_bounded_record):
    records = [make_bounded_record(seed=0, nmse=0.2, floor=0.2)]
    records += [
        make_bounded_record(seed=seed, nmse=math.inf, floor=0.2, floor_attained=0.3) for seed in (1, 2)
    ]
    result = only(records)
    assert (result.excess, standing(result)) == (None, None)


def test_a_class_without_a_theorem_has_a_reason_and_no_standing(make_bounded_record):
    found = results([make_bounded_record(model) for model in ("LSTM", "GRU", "Transformer")])
    assert {standing(result) for result in found} == {None}
    assert without_floor(found) == {
        "its gates are not linear": ["GRU", "LSTM"],
        "it reads the content": ["Transformer"],
    }


def test_the_text_of_a_family_names_tasks_while_they_are_few_and_says_how_many_times_better(
    make_bounded_record,
):
    def record(model, alpha, error, floor=0.2, attained=0.25):
        return make_bounded_record(
            model, "impulse", alpha, nmse=error, nmse_se=0.0, floor=floor, floor_attained=attained
        )

    records = [record("S4D", 3.0, 0.2), record("S4D", 9.0, 0.26), record("S4D", 21.0, 0.75)]
    records += [
        record("LRU", 3.0, 0.3),
        record("LRU", 9.0, 0.1, 0.0, 0.0),
        record("LRU", 21.0, 0.2, 0.0, 0.0),
    ]
    records += [record("TCN", alpha, 0.2) for alpha in (3.0, 9.0, 21.0)]
    records += [record("SSM", alpha, 0.21 if alpha < 12 else 0.5) for alpha in (2.0, 3.0, 4.0, 9.0, 21.0)]
    (family,) = family_standings(results(records))
    assert family.family == "impulse"
    assert family.lines == {
        "floor": "S4D (3); SSM (4 of 5); TCN (all 3)",
        "explicit": "S4D (9)",
        "above": "LRU (3: 1.2×; 9, 21: over 1000×); S4D (21: 3.0×); SSM (21: 2.0×)",
    }
    assert overall_standings(results(records)) == {
        "floor": "S4D 1 of 3, SSM 4 of 5, TCN 3 of 3",
        "explicit": "S4D 1 of 3",
        "above": "LRU 3 of 3, S4D 1 of 3, SSM 1 of 5",
    }


def test_a_run_below_its_floor_is_a_defect_that_terminal_and_page_say_aloud(make_bounded_record, tmp_path):
    good = make_bounded_record(model="TCN")
    bad = make_bounded_record(nmse=0.5, floor=0.6, floor_attained=0.7, below_floor=True)
    assert defects([good]) == []
    (sentence,) = defects([good, bad])
    assert bad.id[:10] in sentence
    for words in ("S4D on impulse(alpha=9), seed 0", "error 0.500", "floor 0.600"):
        assert words in sentence
    assert only([bad]).below_floor
    assert standing(only([bad])) == "below"
    text = " ".join(shown([good, bad]).split())
    assert sentence in text
    assert "please report it" in text
    page = write_html([good, bad], tmp_path / "bad.html", title="bad").read_text(encoding="utf-8")
    assert '<section id="defects" role="alert">' in page
    assert "please report it" in page
    assert "please report" not in shown([good])


def test_a_defect_at_a_learning_rate_that_was_not_chosen_counts_too(make_bounded_record):
    chosen = make_bounded_record(seed=0, validation_nmse=0.1)
    other = make_bounded_record(seed=1, validation_nmse=0.9, below_floor=True)
    config = other.config | {"training": other.config["training"] | {"learning_rate": 0.5}}
    result = only([chosen, other.model_copy(update={"config": config})])
    assert result.learning_rate == 0.01
    assert result.below_floor


def test_floors_are_drawn_where_they_make_a_difference_and_never_squeeze_the_errors(make_bounded_record):
    records = [
        make_bounded_record("S4D", alpha=3.0, nmse=0.5, nmse_se=0.0, floor=0.3, floor_attained=0.4),
        make_bounded_record("S4D", alpha=9.0, nmse=0.5, nmse_se=0.0, floor=1e-12, floor_attained=1e-11),
        make_bounded_record("TCN", alpha=3.0, nmse=0.02, nmse_se=0.0, floor=0.0, floor_attained=0.0),
        make_bounded_record("GRU", alpha=3.0, nmse=0.04, nmse_se=0.0),
    ]
    rows = {(row["model"], row["alpha"]): row for row in tables(records)["summary"]}
    drawn = {key: (row.get("shown_floor"), row.get("shown_floor_attained")) for key, row in rows.items()}
    assert drawn == {
        ("S4D", 3.0): (0.3, 0.4),
        ("S4D", 9.0): (0.01, 0.01),
        ("TCN", 3.0): (None, None),
        ("GRU", 3.0): (None, None),
    }
    assert rows["S4D", 9.0]["floor"] == 1e-12


def test_a_family_without_a_floor_above_zero_draws_none(make_bounded_record, make_record):
    found = results([make_bounded_record("TCN", "airy", 4.0), make_record(), make_bounded_record()])
    families = Comparison.of(found).families
    assert families["airy"].levels == ()
    assert families["impulse"].levels == ("floor", "floor_attained")
    layers = {
        name: spec["layer"] for name, spec in specifications("error_by_alpha", Comparison.of(found)).items()
    }
    assert (len(layers["airy"]), len(layers["impulse"])) == (4, 8)


def paths_of(path):
    """Dashes and colours of the lines of a chart."""
    elements = ElementTree.parse(path).iter()
    return [
        (e.get("stroke-dasharray"), e.get("stroke"))
        for e in elements
        if e.get("aria-roledescription") == "line mark" and e.get("stroke-dasharray")
    ]


def test_the_errors_have_a_dashed_floor_and_a_dotted_explicit_model_in_the_models_colour(
    make_bounded_record, tmp_path
):
    records = [
        bare(make_bounded_record(model, alpha=alpha)) for model in ("S4D", "GRU") for alpha in (3.0, 9.0)
    ]
    write_charts(records, tmp_path, "svg")
    colour = Comparison.of(results(records)).colours
    assert {("6,3", colour["S4D"]), ("1.5,3", colour["S4D"])} <= set(
        paths_of(tmp_path / "error_by_alpha-impulse.svg")
    )
    assert colour["GRU"] not in {stroke for _, stroke in paths_of(tmp_path / "error_by_alpha-impulse.svg")}


def test_maps_of_floor_and_excess_are_files_only_where_a_floor_binds(
    make_bounded_record, make_record, make_scored_record, tmp_path
):
    def maps(records, folder):
        paths = write_charts([bare(record) for record in records], tmp_path / folder, "svg")
        return {path.stem for path in paths if "map" in path.stem}

    three = {"heat_map-nmse", "heat_map_floor-nmse", "heat_map_excess-nmse"}
    assert maps([make_bounded_record(), make_scored_record()], "bound") == three | {"heat_map-accuracy"}
    assert maps([make_record()], "old") == {"heat_map-nmse"}
    assert maps([make_bounded_record("LSTM")], "unbound") == {"heat_map-nmse"}


def test_the_three_maps_have_the_same_rows_and_columns(bounded_records):
    comparison = Comparison.of(results(bounded_records))
    axes = [
        [layer["encoding"][axis]["scale"] for layer in spec["layer"] for axis in ("x", "y")]
        for name in ("heat_map", "heat_map_floor", "heat_map_excess")
        for spec in specifications(name, comparison).values()
    ]
    assert axes[0] == axes[1] == axes[2]
    assert axes[0][0] == {"domain": comparison.models}
    assert axes[0][1] == {"domain": comparison.tasks}


def test_cells_without_a_floor_are_empty_and_an_excess_below_zero_keeps_its_sign(
    make_bounded_record, tmp_path
):
    records = [make_bounded_record("GRU"), make_bounded_record(nmse=0.4, floor=0.41, floor_attained=0.5)]
    write_charts([bare(record) for record in records], tmp_path, "svg")
    cells = {
        name: [e.text for e in ElementTree.parse(tmp_path / f"heat_map_{name}-nmse.svg").iter() if e.text]
        for name in ("floor", "excess")
    }
    assert {"–", "0.410"} <= set(cells["floor"])
    assert {"–", "-0.010"} <= {text.replace("−", "-") for text in cells["excess"]}


def test_the_audit_of_the_run_shown_adds_up_to_its_error(bounded_records):
    rows = tables(bounded_records)["audit"]
    found = results(bounded_records)
    assert [(row["task"], row["model"]) for row in rows] == [(r.task, r.model) for r in found]
    for row in rows:
        assert row["linear"] + row["nonlinear"] + row["bias"] == pytest.approx(row["error"], rel=1e-3)
    assert {row["standing"] for row in rows if row["model"] == "GRU"} == {"no floor"}
    (s4d,) = [row for row in rows if (row["task"], row["model"]) == ("impulse(alpha=21)", "S4D")]
    assert (s4d["floor"], s4d["standing"], s4d["how"]) == (0.42, "on its floor", "weighted Hankel")


def test_error_is_the_sum_of_floor_and_excess_wherever_the_three_stand_together(
    make_bounded_record, tmp_path
):
    exact = make_bounded_record(nmse=0.5, nmse_exact=0.46, floor=0.2, floor_attained=0.22)
    sampled = make_bounded_record("TCN", nmse=0.5, floor=0.2, floor_attained=0.22)
    data = tables([exact, sampled])
    for name in ("floors", "audit"):
        for row in data[name]:
            assert row["error"] == pytest.approx(row["floor"] + row["excess"], abs=1e-12)
        assert {row["model"]: row["error"] for row in data[name]} == {"S4D": 0.46, "TCN": 0.5}
    assert {row["model"]: row["measured"] for row in data["floors"]} == {
        "S4D": "expected, exact", "TCN": "on the test sequences",
    }  # fmt: skip
    text = shown([exact, sampled])
    assert "0.460 / 0.200 / 0.260" in text
    assert "0.500 / 0.200 / 0.300" in text
    assert "the expected error where it is known exactly" in " ".join(text.split())
    assert "known exactly" not in shown([sampled])
    page = write_html([exact], tmp_path / "exact.html", title="exact").read_text(encoding="utf-8")
    assert "floor and excess add up to it" in " ".join(page.split())


def test_the_exact_error_of_a_model_without_a_floor_is_audited_too(make_bounded_record):
    (row,) = tables([make_bounded_record("GRU", nmse=0.5, nmse_exact=0.46)])["audit"]
    assert (row["error"], row["floor"], row["excess"]) == (0.46, None, None)


def test_the_excess_map_says_that_its_errors_are_exact_where_they_are_known(bounded_records):
    comparison = Comparison.of(results(bounded_records))
    (spec,) = specifications("heat_map_excess", comparison).values()
    encoding = spec["layer"][0]["encoding"]
    titles = {tooltip["field"]: tooltip.get("title") for tooltip in encoding["tooltip"]}
    (row, *_) = tables(bounded_records)["floors"]
    assert set(titles) <= set(row)
    assert (titles["error"], titles["measured"]) == ("NMSE", "NMSE is")


def test_runs_without_an_audit_have_no_row_of_it(make_scored_record):
    assert tables([make_scored_record()])["audit"] == []


def test_the_terminal_shows_error_floor_and_excess_where_a_floor_makes_a_difference(bounded_records):
    text = shown(bounded_records).partition("Error / floor / excess")[2]
    lines = [line for line in text.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in line.strip("│").split("│")] for line in lines] == [
        ["impulse(alpha=3)", "0.073 / 0.060 / 0.013 =", ""],
        ["impulse(alpha=9)", "0.199 / 0.180 / 0.019 =", ""],
        ["impulse(alpha=21)", "0.451 / 0.420 / 0.031 ⊥", "0.640 / 0.600 / 0.040 ⊥"],
        ["airy(alpha=18)", "", "0.640 / 0.600 / 0.040 ⊥"],
    ]
    assert "⊥ on its floor: S4D 1 of 12, TCN 2 of 12" in text
    assert "no floor: GRU, LSTM (its gates are not linear)" in text


def test_without_a_floor_above_zero_the_terminal_has_a_line_and_no_table(make_bounded_record):
    text = shown([make_bounded_record("TCN", alpha=3.0), make_bounded_record("GRU", alpha=3.0)])
    assert "Error / floor" not in text
    assert "floor below 0.0001 on every task: TCN" in text
    assert "no floor: GRU" in text


def test_a_floor_that_is_tiny_but_not_zero_is_called_neither_zero_nor_reached(make_bounded_record):
    tiny = {"floor": 1e-11, "floor_attained": 1e-10}
    records = [make_bounded_record("S4D", alpha=3.0, nmse=9e-5, nmse_se=0.0, **tiny)]
    records += [make_bounded_record("LRU", alpha=3.0, nmse=0.3, nmse_se=0.0, **tiny)]
    assert [standing(result) for result in results(records)] == ["negligible", "above"]
    text = shown(records)
    assert "error below 0.0002, as is its floor: S4D 1 of 1" in text
    assert "floor below 0.0001 on every task: LRU, S4D" in text
    assert "on its floor" not in text
    assert "floor 0" not in text


def test_only_models_with_a_small_floor_everywhere_are_said_to_have_one(make_bounded_record):
    lost = [make_bounded_record("LRU", alpha=9.0, nmse=math.inf, floor=0.5)]
    mixed = [
        make_bounded_record("SSM", alpha=3.0, floor=0.0),
        make_bounded_record("SSM", alpha=9.0, floor=0.0, floor_binds=False, floor_how="its target is a sign"),
    ]
    small = [make_bounded_record("TCN", alpha=alpha, floor=0.0) for alpha in (3.0, 9.0)]
    assert with_negligible_floor(results([*lost, *mixed, *small])) == ["TCN"]


@pytest.mark.parametrize("width", [50, 64, 80, 120])
def test_the_floors_fit_the_terminal(bounded_records, width):
    text = shown(bounded_records, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_tables_have_columns_of_floors(bounded_records, make_record):
    runs, summary = runs_table(bounded_records), summarise(bounded_records)
    bound = runs["floor_binds"]
    assert (bound == runs["model"].isin(["S4D", "TCN"])).all()
    assert (runs["excess"].notna() == bound).all()
    excess = runs["nmse"] - runs["floor"]
    assert (excess - runs["excess"])[bound].abs().max() < 1e-12
    assert set(runs["steps_to_half"]) == {250}
    assert (summary["excess"].notna() == summary["floor_binds"]).all()
    old = summarise([make_record()])
    assert old[["floor", "floor_binds", "floor_how", "excess", "nmse_exact"]].isna().all(axis=None)
    (row, *_) = [row for row in summary_rows(bounded_records) if row["model"] == "S4D"]
    assert row["floor_how"] == "weighted Hankel"


def test_the_page_says_which_results_were_stored_without_a_floor(make_bounded_record, make_record):
    def said(records):
        return [line for line in limits(records, results(records)) if "floor" in line]

    assert said([make_bounded_record(), make_record("GRU")]) == [
        "1 of 2 results on memory functions were stored without their floor."
    ]
    assert said([make_record(), make_record("GRU")]) == []


@pytest.fixture(scope="module")
def page(bounded_records, tmp_path_factory):
    path = tmp_path_factory.mktemp("bounded") / "report.html"
    return write_html(bounded_records, path, title="bounded").read_text(encoding="utf-8")


def test_the_page_says_where_each_family_stands_and_by_which_rule(page):
    text = re.sub(r"<[^>]+>|\s+", " ", page)
    text = " ".join(text.split())
    for words in (
        "on its floor: S4D (21); TCN (21)",
        "as good as the best explicit model: S4D (3, 9)",
        "GRU, LSTM (its gates are not linear)",
        "within 10 % of the least error",
    ):
        assert words in text
    assert 'id="defects"' not in page


def test_the_map_can_be_switched_only_where_a_floor_binds(page, make_record, tmp_path):
    assert re.findall(r'type="radio" name="map-0" value="(\w+)"', page) == [
        "heat_map", "heat_map_floor", "heat_map_excess",
    ]  # fmt: skip
    old = write_html([make_record()], tmp_path / "old.html", title="old").read_text(encoding="utf-8")
    assert 'type="radio"' not in old
    assert 'class="standings"' not in old
