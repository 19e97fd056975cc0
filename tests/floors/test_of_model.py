"""The floor under one model: the class it is put into, what it can be set to, channels and noise."""

import pytest
import torch

from recollect.core import ConfigError
from recollect.floors import Problem, construction_of, floor_of, recurrence_bounds, warm_start
from recollect.floors.no_positions import NoPositions
from recollect.models import LAYERS, MIXERS, ModelConfig
from recollect.probing import population_nmse
from recollect.tasks import FunctionalTask

LENGTH = 24


def posed(family="impulse", alpha=9, **fields):
    memory = {"family": family, "alpha": alpha}
    return FunctionalTask.parse({"memory": memory, "length": LENGTH} | fields)


def built(task=None, **fields):
    task = task or posed()
    config = ModelConfig.parse({"dim": 6} | fields)
    return config.build(task.input_size, task.output_size, seed=0).double()


AFFINE = {
    "ssm real": {"mixer": "ssm", "options": {"num_states": 3}},
    "ssm complex": {"mixer": "ssm", "options": {"num_states": 2, "states": "complex"}},
    "lru": {"mixer": "lru", "options": {"num_states": 2}},
    "s4d": {"mixer": "s4d", "options": {"num_states": 1}, "dim": 2},
    "linear rnn": {"mixer": "rnn", "options": {"activation": "linear"}, "dim": 5},
    "bare linear rnn": {"mixer": "rnn", "options": {"activation": "linear"}, "dim": 5, "residual": False},
    "linear tcn": {"mixer": "tcn", "options": {"activation": "linear", "num_levels": 3}, "dim": 2},
    "linear tcn, block only": {
        "mixer": "tcn",
        "options": {"activation": "linear", "num_levels": 4, "residual": False},
        "dim": 2,
    },
    "alibi": {"mixer": "attention", "options": {"positions": "alibi", "content": False, "num_heads": 2}},
    "two layers": {"mixer": "ssm", "options": {"num_states": 2}, "num_layers": 2},
    "memory weights": {
        "mixer": "regression",
        "options": {"keys": "ones", "num_heads": 1, "weights": {"kind": "constant_decay", "learned": True}},
        "dim": 4,
    },
}


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize(("family", "alpha"), [("impulse", 9), ("polynomial", 0.6), ("airy", 8)])
@pytest.mark.parametrize("name", AFFINE)
def test_no_affine_model_is_below_its_floor_wherever_its_parameters_are(name, family, alpha, noise):
    task = posed(family, alpha, noise=noise)
    model = built(task, **AFFINE[name])
    floor = floor_of(task, model)
    assert floor.binding
    least = noise**2 / (1 + noise**2)
    assert least * (1 - 1e-12) <= floor.lower <= 1 or family != "impulse"
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        assert population_nmse(model, task) >= floor.lower


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize(("family", "alpha"), [("impulse", 9), ("polynomial", 0.6), ("airy", 8)])
@pytest.mark.parametrize("name", ["ssm real", "ssm complex", "lru", "s4d", "linear rnn", "bare linear rnn"])
def test_what_is_attained_is_the_error_of_this_very_model(name, family, alpha, noise):
    task = posed(family, alpha, noise=noise)
    model = built(task, **AFFINE[name])
    floor = floor_of(task, model)
    assert floor.fit is not None
    assert floor.attained is not None
    warm_start(model, floor.fit)
    error = population_nmse(model, task)
    assert error == pytest.approx(floor.attained, rel=1e-6, abs=1e-10)
    assert floor.lower <= floor.attained < 1


def test_a_diagonal_model_gets_a_construction_that_is_no_shift_register():
    # Five taps of a register would hold this delay; no diagonal recurrence of eight states is one.
    task = posed(alpha=4)
    fit = construction_of(task, built(task, mixer="ssm", options={"num_states": 4, "states": "complex"}))
    assert fit is not None
    assert Problem(task.taps(), "window").nmse(fit.taps(LENGTH)) < 0.9


@pytest.mark.parametrize("alpha", range(1, 8))
def test_a_model_of_four_complex_states_is_known_to_hold_every_short_delay(alpha):
    task = posed(alpha=alpha, length=64)
    options = {"num_states": 4, "states": "complex"}
    assert floor_of(task, built(task, mixer="ssm", options=options)).attained < 1e-3


def test_a_memory_of_fewer_states_than_the_model_has_is_attained_without_error():
    task = posed("exponential", 0.3)
    floor = floor_of(task, built(task, **AFFINE["ssm complex"]))
    assert floor.lower == 0
    assert floor.attained is not None
    assert floor.attained < 1e-20


def test_the_size_of_a_recurrence_is_its_real_states():
    sizes = {name: floor_of(posed(), built(**AFFINE[name])).size for name in AFFINE}
    assert sizes["ssm real"] == 3
    assert sizes["ssm complex"] == sizes["lru"] == 4
    assert sizes["s4d"] == 4  # two channels of one complex state
    assert sizes["two layers"] == 4


def test_a_static_readout_keeps_a_floor_for_gaussian_input_only():
    block = {"mixer": "ssm", "options": {"num_states": 3}, "channel_mixer": "mlp"}
    task = posed()
    floor = floor_of(task, built(task, **block))
    linear = floor_of(task, built(task, mixer="ssm", options={"num_states": 3}))
    assert 0 < floor.lower <= linear.lower
    for change in ({"input": {"law": "signs"}},):
        assert not floor_of(posed(**change), built(task, **block)).binding
    assert not floor_of(task, built(task, **block, num_layers=2)).binding
    assert not floor_of(task, built(task, **block, norm="layer")).binding


def test_a_window_is_a_floor_for_any_nonlinearity_and_for_the_channels_of_a_mixture():
    options = {"mixer": "tcn", "options": {"num_levels": 3}}
    assert floor_of(posed(alpha=8), built(**options)).lower == pytest.approx(1)
    assert floor_of(posed(alpha=7), built(**options)).lower == 0
    mixed = posed(alpha=8, channels=2, mixing=[[1.0, -2.0]], noise=0.5)
    power = 5 * (1 - 8 / LENGTH)
    # All of the target is lost, and the noise as well.
    assert floor_of(mixed, built(mixed, **options)).lower == pytest.approx((power + 0.25) / (power + 0.25))
    clear = posed(alpha=7, channels=2, mixing=[[1.0, -2.0]], noise=0.5)
    power = 5 * (1 - 7 / LENGTH)
    assert floor_of(clear, built(clear, **options)).lower == pytest.approx(0.25 / (power + 0.25))


def test_attention_without_positions_is_bounded_with_content_too():
    task = posed("polynomial", 0.6)
    floor = floor_of(task, built(task, mixer="attention", options={"positions": "none", "num_heads": 2}))
    assert floor.binding
    assert floor.lower == NoPositions().floors(Problem(task.taps(), "window"), [2])[0].lower > 0.05


@pytest.mark.parametrize("name", sorted({**MIXERS, **LAYERS}))
def test_every_mixer_has_a_floor_or_a_reason(name):
    task = posed()
    floor = floor_of(task, ModelConfig(mixer=name, dim=16).build(1, 1, seed=0))
    assert floor.how
    assert floor.binding or (floor.lower, floor.attained, floor.fit) == (0.0, None, None)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"output": "tanh"}, "nonlinear"),
        ({"input": {"law": "ar1", "coefficient": 0.5}}, "white"),
        ({"length": 9000}, "longer"),
    ],
)
def test_a_task_without_a_theorem_says_why(change, word):
    task = posed(**change)
    floor = floor_of(task, built(task, **AFFINE["lru"]))
    assert not floor.binding
    assert word in floor.how


def test_the_floor_is_that_of_the_window_with_feed_through():
    task = posed("polynomial", 0.6)
    [bound] = recurrence_bounds(Problem(task.taps(), "window"), [3], feed_through=True)
    assert floor_of(task, built(task, **AFFINE["ssm real"])).lower == bound.lower


def test_a_construction_that_does_not_fit_is_refused_and_the_model_left_as_it_was():
    task = posed()
    fit = floor_of(task, built(task, **AFFINE["ssm complex"])).fit
    model = built(task, **AFFINE["ssm real"])
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(ConfigError):
        warm_start(model, fit)
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(("lag", "length", "num_states"), [(6, 64, 8), (1, 32, 4)])
def test_what_is_attained_is_no_accident_of_rounding_or_of_the_seed(lag, length, num_states):
    task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": lag}, "length": length})
    config = ModelConfig.parse({"dim": 6, "mixer": "ssm", "options": {"num_states": num_states}})
    attained = [floor_of(task, config.build(1, 1, seed=seed)).attained for seed in range(3)]
    assert attained[0] is not None
    assert attained[0] < 1e-4
    assert attained == pytest.approx([attained[0]] * 3, rel=1e-9, abs=0)


@pytest.mark.parametrize("name", ["ssm real", "lru", "s4d", "linear rnn", "linear tcn"])
def test_a_model_that_does_not_remember_is_always_attained(name):
    for alpha in (1, 5, 9):
        attained = [
            floor_of(
                posed(alpha=alpha), ModelConfig.parse({"dim": 6} | AFFINE[name]).build(1, 1, seed=seed)
            ).attained
            for seed in range(2)
        ]
        assert attained[0] is None or attained[0] <= 1
        # Channels of a tcn that are not read still round: 1e-24 is the square of that.
        assert attained == [None, None] or attained[0] == pytest.approx(attained[1], rel=1e-9, abs=1e-24)


@pytest.mark.parametrize("parametrisation", ["direct", "exp", "softplus", "stable"])
def test_every_parametrisation_of_an_ssm_attains_what_predicting_nothing_does(parametrisation):
    options = {"num_states": 4, "parametrisation": parametrisation}
    floor = floor_of(posed(alpha=3), built(mixer="ssm", options=options))
    assert floor.attained is not None
    assert floor.attained <= 1
