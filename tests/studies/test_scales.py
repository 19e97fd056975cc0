from importlib.resources import files

import pytest

from recollect.core import ConfigError
from recollect.studies import STUDIES, Run, SerialExecutor, Store, Study, find_study, run_study

RECALL = {
    "name": "recall",
    "tasks": [{"kind": "mqar", "length": [8, 16], "num_pairs": [1, 2], "vocabulary": 16}],
    "models": [{"mixer": "gru", "dim": 4}, {"mixer": "lstm", "dim": 4}],
    "training": {"steps": 4, "batch_size": 2, "evaluate_every": 2},
    "scales": {
        "small": {"tasks": {"vocabulary": 12}, "training": {"steps": 2}, "models": [{"mixer": "gru"}]},
    },
}
UNTRAINED = {
    "name": "untrained",
    "tasks": [{"kind": "capacity", "keys": {"law": "sphere"}, "key_dim": 4, "value_dim": 4, "loads": [1, 2]}],
    "models": [{"mixer": name, "options": {"num_heads": 1}} for name in ("rls", "linear_attention")],
    "seeds": 2,
}


def test_listed_values_of_a_recall_task_make_all_pairs():
    tasks = Study.parse(RECALL).tasks
    assert [(task.length, task.num_pairs) for task in tasks] == [(8, 1), (8, 2), (16, 1), (16, 2)]


def test_a_list_that_a_field_holds_is_no_sweep():
    (task,) = Study.parse(UNTRAINED).tasks
    assert task.loads == (1, 2)


def test_a_scale_changes_each_task_merges_training_and_replaces_lists():
    scaled = Study.parse(RECALL).scaled("small")
    assert scaled.name == "recall-small"
    assert {task.vocabulary for task in scaled.tasks} == {12}
    assert [(task.length, task.num_pairs) for task in scaled.tasks] == [(8, 1), (8, 2), (16, 1), (16, 2)]
    assert (scaled.training.steps, scaled.training.batch_size) == (2, 2)
    assert [model.mixer for model in scaled.models] == ["gru"]
    assert scaled.scales == {}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scales": {"small": {"seedz": 1}}}, "did you mean 'seeds'"),
        ({"scales": {"small": {"training": {"stepz": 1}}}}, "did you mean 'steps'"),
        ({"tasks": [{"kind": ["mqar"], "length": 8}]}, "kind"),
        ({"tasks": [{"kind": "mqar", "length": 8, "num_pairs": []}]}, "'num_pairs' is empty"),
        ({"tasks": UNTRAINED["tasks"]}, "untrained layers"),
        ({"tasks": [{"kind": "mqarr", "length": 8}]}, "did you mean 'mqar'"),
        ({"tasks": [{"kind": "mqar", "length": 8, "num_pairs": 3}]}, "`length` >= 12"),
    ],
)
def test_mistakes_in_scales_and_kinds_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        Study.parse(RECALL | fields)


def test_a_backbone_is_shared_a_models_own_field_holds_and_a_scale_changes_every_model():
    study = Study.parse(
        RECALL
        | {
            "backbone": {"dim": 6, "norm": "rms"},
            "models": [{"mixer": "gru"}, {"mixer": "lstm", "dim": 4}],
            "scales": {"wide": {"backbone": {"dim": 16}, "models": {"num_layers": 2}}},
        }
    )
    assert [(model.dim, model.norm) for model in study.models] == [(6, "rms"), (4, "rms")]
    wide = study.scaled("wide").models
    assert [(model.dim, model.norm, model.num_layers) for model in wide] == [(16, "rms", 2)] * 2


def test_epochs_of_a_fixed_set_give_the_steps():
    study = Study.parse(RECALL | {"training": {"epochs": 3, "examples": 20, "batch_size": 8}})
    assert {run.training.steps for run in study.runs()} == {6}
    for training in ({"epochs": 3}, {"schedule": "epoch"}):
        with pytest.raises(ConfigError, match="need `examples`"):
            Study.parse(RECALL | {"training": training}).runs()


def test_an_unknown_scale_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        Study.parse(RECALL).scaled("smal")


def test_untrained_runs_have_no_training_and_land_in_the_store():
    study = Study.parse(UNTRAINED)
    with Store("sqlite://") as store:
        records = run_study(study, store, SerialExecutor())
        assert len(records) == 4
        assert {record.status for record in records} == {"done"}
        for record in records:
            assert record.config["training"] is None
            assert record.facts["criterion"] == "capacity"
            assert record.metrics["state_size"] > 0
            assert record.series["load"]["pairs"] == [4, 8]
        assert run_study(study, store, SerialExecutor()) == records


def test_fields_that_an_untrained_layer_does_not_read_are_refused():
    study = Study.parse(UNTRAINED | {"backbone": {"dim": 64, "num_layers": 2}})
    with pytest.raises(ConfigError, match="leave out dim, num_layers"):
        study.runs()


def test_a_mistake_of_any_sort_is_found_before_the_runs_and_names_its_run(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no memory")

    study = Study.parse(RECALL)
    monkeypatch.setattr("recollect.tasks.MQAR.draw", fails)
    with (
        Store("sqlite://") as store,
        pytest.raises(ConfigError, match=r"gru on mqar.*RuntimeError: no memory"),
    ):
        run_study(study, store, SerialExecutor())


def test_every_definition_is_a_built_in_study():
    folder = files("recollect.studies") / "definitions"
    assert {f.name for f in folder.iterdir() if f.name.endswith(".yaml")} == set(STUDIES.values())


def test_a_mixer_that_solves_no_regression_cannot_be_given_associations():
    study = Study.parse(UNTRAINED | {"models": [{"mixer": "gru"}]})
    with Store("sqlite://") as store, pytest.raises(ConfigError, match="regression layer"):
        run_study(study, store, SerialExecutor())


@pytest.mark.parametrize("task", [RECALL["tasks"][0] | {"length": 8, "num_pairs": 1}, UNTRAINED["tasks"][0]])
def test_a_run_is_trained_if_and_only_if_its_task_asks(task):
    fields = {"task": task, "model": {"mixer": "rls"}, "seed": 0}
    training = {"training": {"steps": 1}} if task["kind"] == "capacity" else {}
    with pytest.raises(ConfigError, match="`training`"):
        Run.parse(fields | training)


@pytest.mark.parametrize("name", STUDIES)
def test_every_built_in_study_and_scale_can_be_planned(name):
    study = find_study(name)
    for planned in (study, *(study.scaled(scale) for scale in study.scales)):
        runs = planned.runs()
        assert runs
        assert all(run.cost > 0 and run.num_steps > 0 for run in runs)
