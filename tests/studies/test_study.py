import pytest
import yaml

from recollect.core import ConfigError
from recollect.memory import energy_horizon
from recollect.studies import STUDIES, Study, find_study, load_study


def test_runs_are_the_product_of_tasks_models_rates_and_seeds(define):
    study = define(seeds=3, learning_rates=[0.1, 0.01])
    runs = study.runs()
    assert len(runs) == 2 * 2 * 2 * 3
    assert len({run.id for run in runs}) == len(runs)
    assert {run.training.learning_rate for run in runs} == {0.1, 0.01}


def test_tuned_changes_the_training_of_one_model(define):
    runs = define(tuned={"gru": {"learning_rate": 0.5, "steps": 7}}).runs()
    by_mixer = {run.model.mixer: run.training for run in runs}
    assert (by_mixer["gru"].learning_rate, by_mixer["gru"].steps) == (0.5, 7)
    assert (by_mixer["s4d"].learning_rate, by_mixer["s4d"].steps) == (3e-3, 4)


def test_file_and_python_give_the_same_runs(study, tmp_path):
    path = tmp_path / "same.yaml"
    path.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    assert [run.id for run in load_study(path).runs()] == [run.id for run in study.runs()]


def test_the_id_covers_everything_that_decides_the_result(study):
    run = study.runs()[0]
    changed = [
        run.model_copy(update={"seed": 5}),
        run.model_copy(update={"training": run.training.model_copy(update={"clip": 2.0})}),
        run.model_copy(update={"model": run.model.model_copy(update={"dim": 5})}),
        run.model_copy(update={"task": run.task.model_copy(update={"noise": 0.1})}),
    ]
    assert len({run.id, *(other.id for other in changed)}) == 5


def test_the_id_covers_the_results_version(study, monkeypatch):
    run = study.runs()[0]
    before = run.id
    monkeypatch.setattr("recollect.studies.run.RESULTS_VERSION", 10**6)
    assert run.id != before


def test_the_id_follows_the_source_of_a_users_mixer(define, tmp_path, monkeypatch):
    module = tmp_path / "mixer_of_a_user.py"
    source = "import torch\n\nclass Mine(torch.nn.Linear):\n"
    source += "    def __init__(self, dim):\n        super().__init__(dim, dim)\n"
    module.write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    models = [{"mixer": "mixer_of_a_user:Mine", "dim": 3}]
    before = [run.id for run in define(models=models).runs()]
    assert [run.id for run in define(models=models).runs()] == before
    module.write_text(source + "# edited\n")
    assert not set(before) & {run.id for run in define(models=models).runs()}


def test_a_sweep_over_horizons_sets_alpha(define):
    study = define(tasks=[{"memory": {"family": "polynomial", "h95": [5, 20]}, "length": [64, 128]}])
    horizons = [(energy_horizon(task.memory.values(task.length)), task.length) for task in study.tasks]
    assert horizons == [(5, 64), (20, 64), (5, 128), (20, 128)]
    (fine,) = define(tasks=[{"memory": {"family": "airy", "h95": 20}, "length": 64, "dt": 0.5}]).tasks
    assert energy_horizon(fine.memory.values(64, dt=0.5)) == 20


def test_a_range_of_strengths_is_spaced_evenly_in_the_logarithm(define):
    spaced = {"family": "polynomial", "alpha": {"low": 0.6, "high": 2.4, "count": 3}}
    study = define(tasks=[{"memory": spaced, "length": 16}])
    assert [task.memory.alpha for task in study.tasks] == [0.6, 1.2, 2.4]


def test_a_range_of_horizons_is_rounded_to_lags_each_once(define):
    memory = {"family": "impulse", "h95": {"low": 2, "high": 32, "count": 13}}
    study = define(tasks=[{"memory": memory, "length": 40}])
    assert [task.facts()["h95"] for task in study.tasks] == [2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32]


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ({"h95": {"low": 8, "high": 4, "count": 5}}, "low < high"),
        ({"h95": {"low": 0, "high": 4, "count": 5}}, "memory.h95.low"),
        ({"h95": {"low": 2, "high": 4, "count": 1}}, "memory.h95.count"),
        ({"h95": {"low": 2.5, "high": 4, "count": 3}}, "whole numbers"),
        ({"h95": {"low": 2, "high": 4}}, "'count' is required"),
        ({"alpha": {"low": 2, "high": 4, "cuont": 3}}, "did you mean 'count'"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(define, strengths, message):
    with pytest.raises(ConfigError, match=message):
        define(tasks=[{"memory": {"family": "impulse"} | strengths, "length": 16}])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": 3}, "unknown field 'seed'; did you mean 'seeds'"),
        ({"models": [{"mixer": "gru", "dmi": 3}]}, "did you mean 'dim'"),
        ({"models": [{"mixer": "gruu"}]}, "did you mean 'gru'"),
        ({"models": [{"mixer": "gru"}, {"mixer": "gru"}]}, "give each its own `label`"),
        ({"models": []}, "models"),
        ({"tuned": {"grru": {}}}, "did you mean 'gru'"),
        ({"tuned": {"gru": {"stepz": 1}}}, "did you mean 'steps'"),
        ({"tasks": [{"memory": {"family": "impuls", "alpha": 1}}]}, "impulse"),
        ({"tasks": [{"memory": {"family": "impulse", "alpha": 1, "h95": 2}, "length": 8}]}, "not both"),
        ({"tasks": [{"memory": {"family": "impulse", "h95": 2}}]}, "needs the task's `length`"),
        ({"tasks": [{"memory": {"family": "airy", "h95": "many"}, "length": 8}]}, "whole number"),
        ({"tasks": [{"memory": {"h95": 2}, "length": 8}]}, "needs a `family`"),
        ({"tasks": [{"memory": {"family": "impulse", "alpha": [1, 1]}, "length": 8}]}, "leave one of each"),
        ({"learning_rates": [0.1], "tuned": {"gru": {"learning_rate": 1.0}}}, "exclude each other"),
        ({"name": "../../etc"}, "name"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(define, fields, message):
    with pytest.raises(ConfigError, match=message):
        define(**fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("- 1\n", "got list"),
        ("a: [", "not valid YAML"),
        ("!!python/object:os.x {}", "YAML"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, text, message):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_study(path)


def test_a_missing_study_suggests_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'quick'"):
        find_study("quik")
    with pytest.raises(ConfigError, match="no study file"):
        find_study("nowhere.yaml")


@pytest.mark.parametrize("name", STUDIES)
def test_built_in_studies_are_valid_and_described(name):
    study = find_study(name)
    assert study.name == name
    assert len(study.description) > 20
    assert isinstance(study, Study)


def test_quick_is_five_models_on_four_families_at_three_strengths():
    runs = find_study("quick").runs()
    assert len(runs) == 60
    assert {run.model.title for run in runs} == {"LSTM", "GRU", "TCN", "S4D", "Transformer"}
    families = [task.memory.family for task in find_study("quick").tasks]
    assert {family: families.count(family) for family in families} == dict.fromkeys(
        ["exponential", "polynomial", "impulse", "airy"], 3
    )
    assert all(run.task.length == 64 for run in runs)
