"""The benchmark's study against the table of arXiv:2403.17844."""

from collections import Counter

import pytest

from recollect.studies import find_study
from recollect.tasks.mad import MAD_TASKS

VARIED = {
    "mad_recall": {"vocabulary": {32, 64, 128}, "length": {256, 512, 1024}},
    "mad_fuzzy_recall": {"vocabulary": {32, 64, 128}, "length": {256, 512, 1024}},
    "mad_noisy_recall": {
        "vocabulary": {48, 80, 144},
        "length": {256, 512, 1024},
        "noise": {0.4, 0.6, 0.8},
    },
    "mad_selective_copying": {
        "vocabulary": {32, 64, 128},
        "length": {512, 1024},
        "num_tokens": {32, 64, 96},
    },
    "mad_compression": {"vocabulary": {32, 64, 128}, "length": {64, 128, 256}},
    "mad_memorisation": {"vocabulary": {512, 1024, 2048, 4096, 8192}},
}
BASELINES = {
    "mad_recall": {"vocabulary": 16, "length": 128},
    "mad_fuzzy_recall": {"vocabulary": 16, "length": 128},
    "mad_noisy_recall": {"vocabulary": 32, "length": 128, "noise": 0.2},
    "mad_selective_copying": {"vocabulary": 16, "length": 256, "num_tokens": 16},
    "mad_compression": {"vocabulary": 16, "length": 32},
    "mad_memorisation": {"vocabulary": 256, "length": 32},
}
FEWER = {6400, 3200, 1600, 800}


@pytest.fixture(scope="module")
def tasks():
    return find_study("mad").tasks


def changes(task):
    """The fields of a task that differ from the baseline of its kind."""
    baseline = BASELINES[task.kind] | {"training_examples": 256 if "memor" in task.kind else 12_800}
    return {name: value for name in baseline if (value := getattr(task, name)) != baseline[name]}


def test_there_are_66_settings_in_six_tasks(tasks):
    assert Counter(task.kind for task in tasks) == {
        "mad_recall": 11,
        "mad_fuzzy_recall": 11,
        "mad_noisy_recall": 14,
        "mad_selective_copying": 13,
        "mad_compression": 11,
        "mad_memorisation": 6,
    }
    assert {task.kind for task in tasks} == set(MAD_TASKS)


@pytest.mark.parametrize("kind", BASELINES)
def test_each_setting_varies_one_factor_and_names_it(tasks, kind):
    named = {"vocabulary": "vocabulary", "length": "length", "noise": "noise", "num_tokens": "tokens"}
    named["training_examples"] = "examples"
    found = {}
    for task in tasks:
        if task.kind == kind:
            changed = changes(task)
            assert len(changed) <= 1
            assert task.factor == (named[next(iter(changed))] if changed else "baseline")
            for name, value in changed.items():
                found.setdefault(name, set()).add(value)
    expected = VARIED[kind] if kind == "mad_memorisation" else VARIED[kind] | {"training_examples": FEWER}
    assert found == expected


def test_every_setting_is_trained_for_200_epochs_of_its_own_examples():
    for run in find_study("mad").runs()[::97]:
        assert run.training.examples == run.task.training_examples
        assert run.training.steps == 200 * (run.training.examples // run.training.batch_size)


def test_small_settings_have_the_same_six_tasks():
    for scale in ("small", "cpu"):
        study = find_study("mad").scaled(scale)
        assert {task.kind for task in study.tasks} == set(MAD_TASKS)
        assert max(run.training.steps for run in study.runs()) <= 1500
