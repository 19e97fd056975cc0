from dataclasses import replace

import numpy as np
import pytest
import torch

from recollect.core import ConfigError
from recollect.diagnosis.confirmation import ADEQUATE, confirm
from recollect.diagnosis.recommendation import Recommendation, SizedFloor
from recollect.diagnosis.trial import Budget, error_on_test, train_size
from recollect.diagnosis.trial_data import TrialData
from recollect.models import ModelConfig

LAGS, DECIBELS = 16, 15
NOISE = 10 ** (-DECIBELS / 10) / (1 + 10 ** (-DECIBELS / 10))
QUICK = {"steps": 60, "restarts": 1}


def recommended(family, size, by_size, model=None):
    chosen = {one.size: one for one in by_size}.get(size)
    return Recommendation(
        family=family,
        unit="taps",
        size=size,
        floor=None if chosen is None else chosen.floor,
        predicted=None if chosen is None else chosen.predicted,
        impossible_below=None,
        binding=chosen is not None,
        why="",
        state_size=None,
        cost_per_step=None,
        by_size=by_size,
        model=model if chosen is None else chosen.model,
    )


def lru(num_states, inputs=1):
    return {"mixer": "lru", "dim": inputs, "options": {"num_states": num_states}, "residual": False}


def tcn(field):
    options = {"kernel_size": field, "num_levels": 1, "activation": "linear", "residual": False}
    return {"mixer": "tcn", "dim": 1, "options": options, "residual": False}


def sized(predictions, model):
    return tuple(SizedFloor(size, 0.0, error, model(size)) for size, error in predictions.items())


@pytest.fixture(scope="module")
def modes(simulated):
    """0.8^s and (-0.7)^s with equal energies, of two inputs in different shares."""
    lags = np.arange(LAGS)
    return simulated(np.stack([0.8**lags + (-0.7) ** lags, 0.8**lags], axis=1), 1016, DECIBELS)


@pytest.fixture(scope="module")
def delayed(simulated):
    return simulated((np.arange(LAGS)[:, None] == 4).astype(float), 716, DECIBELS)


def test_the_recommended_size_is_found_adequate_and_the_next_smaller_one_is_not(delayed, least_squares):
    by_size = sized({3: 1.0, 4: 1.0, 5: NOISE, 6: NOISE, 9: NOISE}, tcn)
    stages = []
    found = confirm(
        delayed,
        least_squares(delayed, LAGS),
        recommended("tcn", 5, by_size),
        target_nmse=NOISE,
        on_progress=stages.append,
        **QUICK,
    )
    assert [(trial.size, trial.role) for trial in found.trials] == [
        (5, "recommended"), (4, "smaller"), (6, "larger"),
    ]  # fmt: skip
    assert found.adequate
    assert found.smaller_is_not
    assert [trial.adequate for trial in found.trials] == [
        trial.measured <= ADEQUATE * NOISE for trial in found.trials
    ]
    assert found.num_rows == 140
    for trial in found.trials:
        assert trial.measured_se is not None
        assert trial.predicted_there is not None
        assert abs(trial.measured - trial.predicted_there) < 4 * trial.measured_se
    assert stages[0] == "estimating the memory of the training part"
    assert "training tcn of size 5 from construction" in stages


def test_two_shared_poles_of_two_inputs_are_enough_and_one_is_not(modes, least_squares):
    by_size = sized({2: 0.3, 4: NOISE}, lambda size: lru(size // 2, inputs=2))
    found = confirm(
        modes, least_squares(modes, LAGS), recommended("lru", 4, by_size), target_nmse=NOISE, **QUICK
    )
    assert found.adequate
    assert found.smaller_is_not
    assert len(found.trials) == 2


def test_without_a_smaller_size_nothing_is_said_of_it_and_other_families_come_last(delayed, least_squares):
    found = confirm(
        delayed,
        least_squares(delayed, LAGS),
        recommended("tcn", 5, sized({5: NOISE}, tcn)),
        target_nmse=NOISE,
        others=[
            recommended("gru", None, (), {"mixer": "gru", "dim": 4}),
            recommended("unknown", None, ()),
        ],
        **QUICK,
    )
    assert found.smaller_is_not is None
    assert [(trial.family, trial.size, trial.predicted) for trial in found.trials] == [
        ("tcn", 5, NOISE), ("gru", None, None),
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_numbers(delayed, least_squares):
    one = recommended("tcn", 5, sized({5: NOISE}, tcn))
    fitted = least_squares(delayed, LAGS)
    first, second, third = (
        confirm(delayed, fitted, one, target_nmse=NOISE, seed=seed, **QUICK) for seed in (3, 3, 4)
    )
    assert first == second
    assert first.trials[0].validation != third.trials[0].validation


def test_a_recommendation_without_a_size_is_refused(delayed, least_squares):
    with pytest.raises(ConfigError, match="no size is recommended"):
        confirm(
            delayed, least_squares(delayed, LAGS), recommended("gru", None, ()), target_nmse=NOISE, **QUICK
        )


@pytest.fixture(scope="module")
def data(modes, least_squares, tmp_path_factory):
    return TrialData.of(modes, least_squares(modes, LAGS), NOISE, tmp_path_factory.mktemp("data"))


def test_the_best_start_on_the_validation_part_is_kept(data):
    trained = train_size(ModelConfig.parse(lru(2, inputs=2)), data, Budget(steps=40, restarts=2), seed=0)
    assert set(trained.validation) == {"construction", "random 1", "random 2"}
    errors = {name: error for name, error in trained.validation.items() if error is not None}
    assert errors[trained.start] == min(errors.values())
    assert trained.test == error_on_test(trained.model, data)


def test_a_model_that_holds_no_construction_has_random_starts_alone(data):
    config = ModelConfig.parse({"mixer": "gru", "dim": 4})
    trained = train_size(config, data, Budget(steps=20, restarts=2), seed=0)
    assert set(trained.validation) == {"random 1", "random 2"}


def test_the_error_on_the_test_part_is_in_shares_of_the_whole_series_variance(data, modes):
    class Mean(torch.nn.Module):
        def forward(self, inputs, mask):
            return torch.zeros(int(mask.sum()), 1)

    part = modes.target[int(0.8 * 1000) :] - modes.target[: int(0.6 * 1000)].mean()
    found = error_on_test(Mean(), data)
    assert found.value == pytest.approx(np.square(part).mean() / modes.target.var(), rel=1e-5)
    assert found.count == 200


def test_without_a_memory_of_the_training_part_every_start_is_random(data):
    trained = train_size(
        ModelConfig.parse(lru(1, inputs=2)), replace(data, memory=None), Budget(steps=10, restarts=1), seed=0
    )
    assert set(trained.validation) == {"random 1"}
