"""Regression layers take part in studies like every other mixer: by name, with options as plain data."""

import math
from types import SimpleNamespace

import pytest

from recollect.core import ConfigError
from recollect.models import LAYERS, MIXERS, ModelConfig, mixer_facts
from recollect.regression import CATALOG
from recollect.report.citations import citations
from recollect.studies import Study
from recollect.tasks import FunctionalTask
from recollect.training import TrainingConfig, train

TASK = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 2}, "length": 12})


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_trains_by_name(name):
    model = ModelConfig(mixer=name, dim=8).build(TASK.input_size, TASK.output_size, seed=0)
    before = [p.detach().clone() for p in model.parameters()]
    trained = train(model, TASK, TrainingConfig(steps=3, batch_size=4, warmup=0, device="cpu"), seed=0)
    assert trained.status == "done"
    changed = [not p.detach().equal(q) for p, q in zip(model.parameters(), before, strict=True)]
    assert any(changed)
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_facts_to_choose_by(name):
    facts = mixer_facts(name)
    assert facts.summary
    assert len(facts.summary) <= 110
    assert facts.state_size > 0


def test_a_composition_in_a_study_file_is_that_of_python():
    study = Study.parse({
        "name": "points",
        "tasks": [{"memory": {"family": "impulse", "alpha": 2}, "length": 8}],
        "models": [
            {"mixer": "regression", "options": {
                "weights": {"kind": "product", "of": [{"kind": "gated_decay"}, {"kind": "importance"}]},
                "optimizer": {"kind": "exact", "ridge": 0.1},
                "num_heads": 2,
            }},
            {"mixer": "gated_deltanet", "options": {"num_heads": 2}},
        ],
    })  # fmt: skip
    layer = study.models[0].build(1, 1, seed=0).mixers[0]
    assert [factor.kind for factor in layer.composition.weights.factors] == ["gated_decay", "importance"]
    assert layer.solver.name == "ops.rls"
    assert study.models[0].title == "regression(num_heads=2, weights=product, optimizer=exact)"
    assert study.models[1].title == "gated_deltanet(num_heads=2)"


def test_a_misspelt_layer_or_choice_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'gated_deltanet'"):
        ModelConfig(mixer="gated_deltanets").build(1, 1, seed=0)
    with pytest.raises(ConfigError, match="did you mean 'gated_decay'"):
        ModelConfig(mixer="regression", options={"weights": {"kind": "gated_dekay"}})


def test_a_combination_without_a_meaning_is_refused_before_any_training():
    config = ModelConfig(
        mixer="regression", options={"function_class": {"kind": "mlp"}, "optimizer": {"kind": "exact"}}
    )
    with pytest.raises(ConfigError, match="MLP x Exact"):
        config.build(1, 1, seed=0)


@pytest.mark.parametrize("name", CATALOG)
def test_every_named_layer_has_a_paper_in_a_report(name):
    record = SimpleNamespace(config={"model": {"mixer": name}}, facts={})
    papers = citations([record])
    assert len(papers) == 3
    assert papers[2].url.startswith("https://")


def test_names_of_mixers_are_not_taken_twice_unseen():
    assert set(CATALOG) & set(MIXERS) == {"lru"}
    assert math.isfinite(sum(mixer_facts(name).state_size for name in MIXERS))
