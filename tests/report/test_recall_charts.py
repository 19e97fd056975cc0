"""Charts about recall, from records made by hand: the numbers follow simple laws."""

import json
from datetime import UTC, datetime
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pytest
import vl_convert

from recollect.report import write_charts
from recollect.report.charts.accuracy_by_factor import accuracy_by_factor
from recollect.report.charts.accuracy_by_state import accuracy_by_state
from recollect.report.charts.comparison import Comparison
from recollect.report.charts.error_by_decay import error_by_decay
from recollect.report.charts.factor_summary import factor_summary
from recollect.report.charts.fitted_curve import fitted_curve
from recollect.report.charts.group_scores import group_scores
from recollect.report.charts.named_group_scores import named_group_scores
from recollect.report.charts.recall_by_load import recall_by_load
from recollect.report.charts.smoothing_by_pairs import smoothing_by_pairs
from recollect.report.charts.smoothing_curves import smoothing_curves
from recollect.report.charts.squared_error_by_load import squared_error_by_load
from recollect.report.charts.steps_to_solve import steps_to_solve
from recollect.report.charts.tracking_error import tracking_error
from recollect.report.files import VEGA_LITE_VERSION
from recollect.report.layer_families import layer_family, variant_names
from recollect.report.recall_datasets import pareto_front, recall_datasets
from recollect.report.results import results
from recollect.report.untrained_datasets import SMALLEST_SQUARED_ERROR
from recollect.studies.record import Record

CHARTS = {
    recall_by_load: ("load",),
    squared_error_by_load: ("load",),
    accuracy_by_state: ("state", "front"),
    accuracy_by_factor: ("factor",),
    factor_summary: ("factor_summary",),
    group_scores: ("number_group",),
    named_group_scores: ("named_group",),
    tracking_error: ("tracking",),
    error_by_decay: ("decay",),
    smoothing_curves: ("bandwidth",),
    smoothing_by_pairs: ("pairs",),
    fitted_curve: ("fitted_curve",),
    steps_to_solve: ("solve",),
}
LAYERS = {"linear_attention": 1.0, "deltanet": 2.2, "rls": 3.0, "softmax_attention": 6.0}
"""Mixers, and the pairs per key dimension at which a fake one begins to fail."""


def make(model, task, facts, metrics, series=None, seed=0, config=None, status="done") -> Record:
    mixer = {"mixer": model.partition(" ")[0], "options": {}} | (config or {})
    return Record(
        id=f"{model}/{task}/{seed}",
        model=model,
        task=task,
        seed=seed,
        status=status,
        facts=facts,
        config={"model": mixer, "training": None, "seed": seed},
        metrics=metrics,
        series=series or {},
        environment={},
        error=None,
        wall_seconds=1.0,
        peak_memory_bytes=1,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


def capacity(model="rls", keys="sphere", seed=0, knee=3.0, key_dim=16) -> Record:
    pairs = [1, 2, 4, 8, 16, 32, 64]
    load = np.array(pairs) / key_dim
    accuracy = 1 / (1 + (load / knee) ** 3) + 0.01 * seed
    error = load / knee
    theory = {
        "linear_attention": (load - 1 / key_dim).tolist(),
        "linear_attention_scaled": ((load - 1 / key_dim) / (1 + load)).tolist(),
        "least_squares": np.maximum(1 - 1 / load, 0).tolist(),
        "linear_attention_accuracy": (1 / (1 + load)).tolist() if keys == "sphere" else [None] * 7,
        "least_squares_accuracy": (1 / (1 + load**2)).tolist() if keys == "sphere" else [None] * 7,
    }
    axis = {"pairs": pairs, "load": load.tolist()}
    series = {
        "load": axis
        | {"accuracy": accuracy.tolist(), "accuracy_se": [0.02] * 7}
        | {"squared_error": error.tolist(), "squared_error_se": [0.01] * 7}
        | {"squared_error_scaled": (error / (1 + error)).tolist()},
        "theory": axis | theory,
    }
    facts = {"kind": "capacity", "criterion": "capacity", "keys": keys, "key_dim": key_dim}
    return make(model, f"capacity(keys={keys})", facts, {"capacity": knee, "state_size": 256}, series, seed)


def recall(model="rls", dim=16, length=64, pairs=4, seed=0, accuracy=0.9, state=1024, **metrics) -> Record:
    gaps = list(range(1, length // 2))
    score = [accuracy * 0.999**gap for gap in gaps]
    series = {
        "setting": {"label": ["a"], "length": [length], "num_pairs": [pairs], "score": [accuracy]}
        | {"score_se": [0.01], "count": [100]},
        "group": {"by": ["gap"] * len(gaps), "group": gaps, "score": score}
        | {"score_se": [0.02] * len(gaps), "count": [len(gaps) - place for place in range(len(gaps))]},
    }
    facts = {
        "kind": "mqar",
        "criterion": "accuracy",
        "length": length,
        "num_pairs": pairs,
        "guess": 1 / pairs,
    }
    found = {"accuracy": accuracy, "accuracy_se": 0.01, "state_bytes": state, "num_parameters": 9000}
    found |= {"steps_to_solve": None, "seconds_to_solve": None, "validation_error": 1 - accuracy}
    task = f"mqar(length={length}, num_pairs={pairs})"
    config = {"mixer": model, "dim": dim}
    return make(f"{model} {dim}", task, facts, found | metrics, series, seed, config)


def tracking(model="rls", decay=None, seed=0, ratio=1.5) -> Record:
    position = np.arange(64)
    kalman = 0.2 + np.exp(-(position % 32) / 6.0)
    series = {
        "position": {"position": position.tolist(), "error": (ratio * kalman).tolist()}
        | {"error_se": [0.01] * 64, "kalman": kalman.tolist(), "least_squares": (1.2 * kalman).tolist()}
    }
    facts = {"kind": "tracking", "criterion": "tracking_error", "drift": "switch", "key_dim": 16}
    config = {"mixer": model.partition(" ")[0], "options": {} if decay is None else {"decay": decay}}
    return make(model, "tracking(drift=switch)", facts, {"tracking_error": ratio}, series, seed, config)


def smoothing(model="local_linear_attention", seed=0, bias=0.1) -> Record:
    rows = [
        (pairs, width, region, bias * width**2 * (4 if region == "boundary" else 1), 0.1 / (pairs * width))
        for pairs in (32, 128, 512)
        for width in (0.05, 0.1, 0.2, 0.4)
        for region in ("boundary", "interior", "all")
    ]
    pairs, width, region, bias_squared, variance = (list(column) for column in zip(*rows, strict=True))
    x = np.linspace(-1, 1, 21)
    series = {
        "bandwidth": {"pairs": pairs, "bandwidth": width, "region": region, "bias_squared": bias_squared}
        | {"variance": variance, "mse": [b + v for b, v in zip(bias_squared, variance, strict=True)]},
        "curve_at": {"x": x.tolist(), "truth": np.sin(3 * x).tolist(), "mean": (0.9 * np.sin(3 * x)).tolist()}
        | {"low": (0.9 * np.sin(3 * x) - 0.2).tolist(), "high": (0.9 * np.sin(3 * x) + 0.2).tolist()},
    }
    facts = {"kind": "smoothing", "criterion": "smoothing_error", "function": "sine", "noise": 0.1}
    return make(model, "smoothing(function=sine)", facts, {"smoothing_error": bias}, series, seed)


def lm(model="rls") -> Record:
    series = {
        "group": {"by": ["tokens", "tokens"], "group": ["hit", "rest"], "score": [1.5, 4.0]}
        | {"score_se": [0.1, 0.1], "count": [100, 900]}
    }
    facts = {"kind": "text", "criterion": "cross_entropy", "length": 64}
    return make(model, "text", facts, {"cross_entropy": 3.8}, series)


def sigmoid(number):
    return 1 / (1 + np.exp(-number))


def every_record() -> list[Record]:
    found = [capacity(model, seed=seed, knee=knee) for model, knee in LAYERS.items() for seed in range(2)]
    found += [
        recall(
            mixer,
            dim,
            length,
            pairs,
            seed,
            float(sigmoid(2 * np.log2(dim / pairs) + shift + 0.1 * seed)),
            4 * dim**2,
        )
        for mixer, shift in (("rls", 1.0), ("gated_deltanet", 0.0))
        for dim in (8, 16, 32)
        for length in (64, 128)
        for pairs in (4, 8, 16)
        for seed in range(2)
    ]
    found += [
        recall("attention", 8, seed=seed, steps_to_solve=400 + seed, seconds_to_solve=9.5) for seed in (0, 1)
    ]
    found += [tracking(model, ratio=ratio) for model, ratio in (("rls", 1.1), ("deltanet", 2.0))]
    found += [tracking(f"retnet {decay}", decay, ratio=1 + 9 * (1 - decay)) for decay in (0.5, 0.9, 0.99)]
    found += [
        smoothing(model, bias=bias)
        for model, bias in (("local_linear_attention", 0.02), ("softmax_attention", 0.2))
    ]
    return [*found, lm("rls"), lm("attention")]


def tables(records):
    return recall_datasets(records, results(records))


def only(rows, **values):
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


@pytest.fixture(name="records", scope="module")
def records_fixture():
    return every_record()


@pytest.fixture(name="data", scope="module")
def data_fixture(records):
    return tables(records)


def drawn(chart, records, data):
    """Words of the chart of its first task."""
    spec = chart(Comparison.of(results(records)))
    alt.Chart.from_dict(spec)
    task = data[CHARTS[chart][0]][0].get("task")
    rows = {name: [row for row in data[name] if row.get("task") == task] for name in CHARTS[chart]}
    width = {"width": 400} if spec.get("width") == "container" else {}
    svg = vl_convert.vegalite_to_svg(
        json.dumps(spec | width | {"datasets": rows}), vl_version=VEGA_LITE_VERSION
    )
    return " ".join(ElementTree.fromstring(svg).itertext())


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.__name__)
def test_a_chart_is_drawn_without_warnings(chart, records, data, capfd):
    words = drawn(chart, records, data)
    assert len(words) > 20
    assert "NaN" not in words
    assert "undefined" not in words
    assert capfd.readouterr().err == ""


def test_a_chart_without_any_theory_can_still_be_drawn(tmp_path):
    paths = write_charts([capacity(keys="clustered"), capacity("mesa", keys="clustered")], tmp_path, "png")
    assert {path.name.partition("-")[0] for path in paths} >= {"recall_by_load", "squared_error_by_load"}
    assert all(path.stat().st_size > 1000 for path in paths)


@pytest.mark.parametrize("chart", [recall_by_load, squared_error_by_load, tracking_error])
def test_few_layers_share_a_panel_and_many_have_one_a_family(chart, records, data):
    few = [r for r in records if r.facts["kind"] in ("capacity", "tracking") and r.model in LAYERS]
    shared = chart(Comparison.of(results(few)))
    assert "facet" not in shared
    assert "rls" in drawn(chart, few, tables(few))
    assert chart(Comparison.of(results(records)))["facet"]["field"] == "family"
    assert "least squares" in drawn(chart, records, data)


def test_recall_is_the_mean_over_seeds_with_its_band():
    row = tables([capacity(seed=seed) for seed in range(3)])["load"][0]
    expected = 1 / (1 + (np.array(row["load"]) / 3.0) ** 3) + 0.01
    np.testing.assert_allclose(row["accuracy"], expected, rtol=1e-3)
    spread = 1.96 * 0.01 / np.sqrt(3)
    # Tables hold four significant digits: small accuracies show a small spread well.
    np.testing.assert_allclose((np.array(row["accuracy"]) - row["accuracy_low"])[4:], spread, rtol=0.01)
    assert max(row["accuracy_high"]) <= 1
    np.testing.assert_allclose(row["guess"], [1 / n for n in (1, 2, 4, 8, 16, 32, 64)], rtol=1e-3)


def test_the_band_of_one_seed_is_that_of_its_test():
    row = tables([capacity()])["load"][0]
    np.testing.assert_allclose(row["accuracy"][5] - row["accuracy_low"][5], 1.96 * 0.02, rtol=0.01)


def test_the_theory_ends_where_it_is_exact_and_errors_stop_at_the_smallest():
    row = tables([capacity(knee=1e6)])["load"][0]
    assert row["least_squares"][:5] == [None] * 5
    assert row["least_squares"][5:] == pytest.approx([0.5, 0.75])
    assert row["linear_attention"][1] == pytest.approx(1 / 16, rel=1e-3)
    assert row["squared_error"][0] == SMALLEST_SQUARED_ERROR


def test_the_theory_of_accuracy_is_drawn_where_there_is_one():
    row, other = (tables([capacity(keys=keys)])["load"][0] for keys in ("sphere", "correlated"))
    loads = np.array(row["load"])
    np.testing.assert_allclose(row["linear_attention_accuracy"], 1 / (1 + loads), rtol=1e-3)
    np.testing.assert_allclose(row["least_squares_accuracy"], 1 / (1 + loads**2), rtol=1e-3)
    assert other["linear_attention_accuracy"] == other["least_squares_accuracy"] == [None] * 7
    found = [capacity(keys="sphere")]
    words = drawn(recall_by_load, found, tables(found))
    assert all(f"theory: {name} (approximation)" in words for name in ("linear sum", "least squares"))


def test_layers_have_places_in_their_family(data):
    rows = only(data["load"], task="capacity(keys=sphere)")
    assert {row["model"]: row["family"] for row in rows} == {
        "linear_attention": "linear attention and features",
        "deltanet": "delta rules",
        "rls": "least squares",
        "softmax_attention": "attention",
    }
    more = tables([capacity(model) for model in ("rls 128", "mesa", "rls 16")])["load"]
    assert [(row["model"], row["place"]) for row in more] == [("mesa", 0), ("rls 16", 1), ("rls 128", 2)]


@pytest.mark.parametrize(
    ("options", "family"),
    [
        ({"optimizer": {"kind": "exact"}, "function_class": {"kind": "linear"}}, "least squares"),
        ({"optimizer": {"kind": "exact"}, "function_class": {"kind": "local_linear"}}, "local fits"),
        ({"optimizer": {"kind": "exact"}, "function_class": {"kind": "local_constant"}}, "attention"),
        ({"optimizer": {"kind": "sgd"}, "function_class": {"kind": "mlp"}}, "networks as state"),
        ({"optimizer": {"kind": "sgd"}}, "delta rules"),
        ({"optimizer": {"kind": "one_step"}, "weights": {"kind": "gated_decay"}}, "decaying matrix state"),
        ({}, "linear attention and features"),
    ],
)
def test_a_composition_belongs_to_the_family_of_its_kinds(options, family):
    assert layer_family({"mixer": "regression", "options": options}) == family


def test_layers_outside_the_catalogue_have_a_family():
    assert layer_family({"mixer": "mine.layers:Mixer"}) == "other layers"
    assert layer_family({"mixer": "lstm"}) == "recurrences and convolutions"


def sized(*labels):
    options = [{"short_conv": 4}, {"short_conv": 4}, {"short_conv": None}]
    return {label: {"mixer": "rls", "dim": 8 * i, "options": options[i]} for i, label in enumerate(labels)}


def test_variants_are_called_by_what_their_labels_begin_with():
    names = variant_names(sized("RLS, keys of 16", "RLS, keys of 128", "RLS without convolution"))
    assert list(names.values()) == ["RLS", "RLS", "RLS without convolution"]
    assert list(variant_names(sized("rls(dim=8)", "rls(dim=16)", "c")).values()) == ["rls", "rls", "c"]


def test_labels_that_tell_variants_not_apart_are_replaced_by_what_differs_beside_size():
    names = variant_names(sized("a", "b", "c"))
    assert names == {"a": "rls (short_conv=4)", "b": "rls (short_conv=4)", "c": "rls"}


def test_no_point_dominates_a_front_point_and_every_other_point_is_dominated():
    points = [tuple(point) for point in np.random.default_rng(0).integers(0, 12, size=(60, 2)).tolist()]
    front = pareto_front(points)

    def dominates(first, second):
        return first[0] <= second[0] and first[1] >= second[1] and first != second

    assert front == sorted(front)
    for point in set(points):
        assert (point in front) == (not any(dominates(other, point) for other in points))


def test_the_front_and_its_points_agree(data):
    for task in {row["task"] for row in data["state"]}:
        corners = {(row["state_bytes"], row["value"]) for row in only(data["front"], task=task)}
        for row in only(data["state"], task=task):
            assert not row["on_front"] or (row["state_bytes"], row["value"]) in corners


def test_names_of_the_largest_sizes_do_not_lie_on_each_other(data):
    for task in {row["task"] for row in data["state"]}:
        places = sorted(row["label_place"] for row in only(data["state"], task=task, last=True))
        assert min(np.diff(places), default=1) >= 0.0419


def test_only_runs_at_the_chosen_rate_are_shown():
    runs = [recall(seed=0, accuracy=0.5), recall(seed=1, accuracy=0.9)]
    rated = [
        run.model_copy(update={"config": run.config | {"training": {"learning_rate": rate}}})
        for run, rate in zip(runs, (1e-2, 1e-3), strict=True)
    ]
    assert tables(rated)["state"][0]["value"] == 0.9
    assert max(row["score"] for row in tables(rated)["number_group"]) > 0.85


def test_cells_of_the_grid_are_means_over_seeds(data):
    cell = only(data["factor"], variant="rls", num_pairs=8, length=64, state_bytes=4 * 16**2)[0]
    expected = np.mean([sigmoid(2 * np.log2(16 / 8) + 1 + 0.1 * seed) for seed in (0, 1)])
    assert cell["accuracy"] == pytest.approx(expected, rel=1e-3)
    assert cell["seeds"] == 2


def test_the_summary_says_that_length_explains_nothing(data):
    for variant in ("rls", "gated_deltanet"):
        rows = {row["factor"]: row for row in only(data["factor_summary"], variant=variant)}
        assert rows["length"]["value"] == pytest.approx(0, abs=1e-9)
        assert rows["length doubles"]["value"] == pytest.approx(0, abs=1e-9)
        assert rows["pairs double"]["high"] < 0 < rows["state doubles"]["low"]
        parts = sum(rows[factor]["value"] for factor in ("state", "length", "pairs"))
        assert parts == pytest.approx(rows["all three"]["value"], abs=1e-3)


def test_one_setting_has_no_factors():
    assert tables([recall(seed=seed) for seed in range(2)])["factor"] == []


def test_many_groups_are_merged_by_how_often_they_occur():
    run = recall(length=64)
    rows = tables([run])["number_group"]
    counts, scores = (np.array(run.series["group"][name]) for name in ("count", "score"))
    assert len(rows) == 24
    assert sum(row["count"] for row in rows) == counts.sum()
    mean = sum(row["score"] * row["count"] for row in rows) / counts.sum()
    assert mean == pytest.approx((scores * counts).sum() / counts.sum(), rel=1e-3)
    assert rows[0]["heading"] == "accuracy by gap"


def test_named_groups_are_kept_apart_from_numbers(data):
    assert {row["group"] for row in data["named_group"]} == {"hit", "rest"}
    assert all(isinstance(row["group"], float) for row in data["number_group"])


def test_groups_show_the_largest_size_of_a_model(data):
    models = {row["model"] for row in data["number_group"]}
    assert models == {"rls 32", "gated_deltanet 32", "attention 8"}


def test_the_decay_is_an_axis_for_layers_that_differ_in_it_alone(data):
    rows = data["decay"]
    assert [(row["decay"], row["variant"]) for row in rows] == [(d, "retnet") for d in (0.99, 0.9, 0.5)]
    assert rows[1]["remembered"] == pytest.approx(10, rel=1e-3)
    assert rows[1]["value"] == pytest.approx(1.9, rel=1e-3)


def test_exact_least_squares_is_shown_at_every_decay_against_the_filter():
    run = tracking("rls")
    run = run.model_copy(
        update={
            "series": run.series
            | {"decay": {"decay": [0.5, 0.75, 1.0], "error": [4.0, 3.0, 5.0]} | {"theory": [None, 3.2, 4.8]}},
            "metrics": run.metrics | {"error_kalman": 2.0},
        }
    )
    rows = tables([run])["decay"]
    assert [(row["remembered"], row["value"], row["theory"]) for row in rows] == [(2, 2, None), (4, 1.5, 1.6)]
    assert "theory: exact least squares (approximation)" in drawn(error_by_decay, [run], tables([run]))


def test_a_single_decay_is_no_axis():
    assert tables([tracking("retnet 0.9", 0.9)])["decay"] == []


def test_error_is_shown_for_the_most_pairs_by_bandwidth_and_at_the_best_bandwidth_by_pairs():
    data = tables([smoothing(bias=0.1)])
    assert {row["pairs"] for row in data["bandwidth"]} == {512}
    assert {row["region"] for row in data["bandwidth"]} == {"boundary", "interior"}
    found = {row["pairs"]: row["bandwidth"] for row in only(data["pairs"], panel="bias², interior")}
    widths = np.array([0.05, 0.1, 0.2, 0.4])
    best = {pairs: widths[np.argmin(0.1 * widths**2 + 0.1 / (pairs * widths))] for pairs in (32, 128, 512)}
    assert found == best


def test_the_theory_of_local_fits_is_drawn_once_a_task_for_each_degree():
    columns = [
        (degree, pairs, width, region, (1 - degree) * width**2, 0.1 / (pairs * width))
        for degree in (0, 1)
        for pairs in (32, 512)
        for width in (0.05, 0.1, 0.4)
        for region in ("boundary", "interior")
    ]
    names = ("degree", "pairs", "bandwidth", "region", "bias_squared", "variance")
    theory = dict(zip(names, map(list, zip(*columns, strict=True)), strict=True))
    runs = [smoothing(model) for model in ("local_linear_attention", "softmax_attention")]
    runs = [run.model_copy(update={"series": run.series | {"theory": theory}}) for run in runs]
    data = tables(runs)
    constant = "theory: local constant, Gaussian (leading terms)"
    said = [row for row in data["bandwidth"] if row.get("theory") == constant]
    values = {(row["part"], row["bandwidth"]): row["value"] for row in said if row["region"] == "interior"}
    assert len(values) == 9 == len(said) / 2
    assert values["bias²", 0.1] == pytest.approx(0.01)
    assert values["mean squared error", 0.1] == pytest.approx(0.01 + 0.1 / 51.2, rel=1e-3)
    # A fit of degree 1 has no bias here, which a logarithmic axis has no place for.
    lines = [row for row in data["bandwidth"] if "local linear, Gaussian" in row.get("theory", "")]
    assert {row["value"] for row in lines if row["part"] == "bias²"} == {None}
    # By number of pairs each has the bandwidth that is best for it.
    best = {row["pairs"]: row["bandwidth"] for row in data["pairs"] if row.get("theory") == constant}
    assert best == {
        pairs: min((0.05, 0.1, 0.4), key=lambda h: h**2 + 0.1 / (pairs * h)) for pairs in (32, 512)
    }
    for chart in (smoothing_curves, smoothing_by_pairs):
        assert constant in drawn(chart, runs, data)


def test_steps_are_those_of_the_seeds_that_solve_it():
    runs = [
        recall(seed=seed, steps_to_solve=steps, seconds_to_solve=1.0)
        for seed, steps in enumerate((300, None, 500))
    ]
    row = only(tables(runs)["solve"], panel="steps to 99 %")[0]
    assert (row["value"], row["low"], row["high"], row["solved"]) == (400, 300, 500, "2/3")
    never = only(tables([*runs, recall("deltanet", steps_to_solve=None)])["solve"], model="deltanet 16")[0]
    assert (never["value"], never["solved"], never["never"]) == (None, "0/1", True)
    assert tables([recall(steps_to_solve=None)])["solve"] == [], "nothing to draw"


def test_failed_and_empty_runs_give_empty_tables():
    failed = make("rls", "t", {"criterion": "accuracy"}, {}, status="failed")
    diverged = make("rls", "t", {"criterion": "accuracy"}, {}, status="diverged")
    for records in ([], [failed], [diverged]):
        assert not any(tables(records).values())


def test_tables_are_plain_json(data):
    assert json.loads(json.dumps(data, allow_nan=False)) == data
