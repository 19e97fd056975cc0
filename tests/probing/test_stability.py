import math

import pytest
import torch

from recollect.core import ConfigError
from recollect.models import ModelConfig
from recollect.models.parametrisation import from_modulus
from recollect.probing.stability import stability_curve
from recollect.tasks import FunctionalTask

RADII = [1e-3, 0.1, 0.3, 1.0, 2.0, 3.0]
MODELS = {
    "ssm": {"num_states": 3, "states": "real", "parametrisation": "exp"},
    "lru": {"num_states": 2},
    "s4d": {"num_states": 2},
    "rnn": {"activation": "linear"},
}


def build(mixer, **changes):
    options = {"options": MODELS.get(mixer, {}), "dim": 2, "bias": False} | changes
    return ModelConfig(mixer=mixer, **options).build(1, 1, seed=3)


def one_mode(modulus, parametrisation):
    """`k_s = c lambda^s` and nothing else, with c = 1."""
    model = build(
        "ssm",
        options={"num_states": 1, "parametrisation": parametrisation},
        dim=1,
        encoder=False,
        decoder=False,
        residual=False,
    ).double()
    mixer = model.mixers[0]
    with torch.no_grad():
        mixer.pole.copy_(from_modulus(torch.tensor([modulus], dtype=torch.float64), parametrisation))
        for part in (mixer.system.input_parts, mixer.system.output_parts):
            part.fill_(1.0)
        mixer.system.feedthrough.zero_()
    return model, mixer.pole.detach().clone()


@pytest.mark.parametrize(("parametrisation", "slope"), [("direct", 1.0), ("exp", 0.9 * math.log(0.9))])
def test_the_linear_response_of_one_pole_has_its_closed_form(parametrisation, slope):
    T, lags = 40, torch.arange(40, dtype=torch.float64)
    model, _ = one_mode(0.9, parametrisation)
    want = abs(slope) * (lags * 0.9 ** (lags - 1)).norm() / (0.9**lags).norm()
    curve = stability_curve(model, T, [0.02, 0.5], parameters="poles", num_steps=1)
    torch.testing.assert_close(curve.linear, want * curve.radius, rtol=1e-10, atol=0)


@pytest.mark.parametrize("parametrisation", ["direct", "exp", "stable"])
def test_of_one_pole_the_maximum_over_the_interval_is_found(parametrisation):
    T, radius = 30, 0.4
    model, w = one_mode(0.8, parametrisation)
    curve = stability_curve(model, T, [radius], parameters="poles")
    before = model.kernel(T).detach().flatten()
    changes = []
    for shift in torch.linspace(-radius, radius, 401, dtype=torch.float64):
        model.mixers[0].pole.data.copy_(w + shift)
        after = model.kernel(T).detach().flatten()
        changes.append(float((after - before).norm() / before.norm()))
    assert float(curve.maximised[0]) == pytest.approx(max(changes), rel=1e-10)


@pytest.mark.parametrize("mixer", MODELS)
def test_small_disturbances_move_the_memory_function_by_the_linear_response(mixer):
    # Without a step of ascent: the first-order worst direction is among the starts.
    curve = stability_curve(build(mixer), 20, [1e-7, 1e-6], num_steps=0)
    torch.testing.assert_close(curve.maximised, curve.linear, rtol=1e-4, atol=0)


@pytest.mark.parametrize("num_steps", [0, 5])
@pytest.mark.parametrize("parameters", ["all", "poles"])
@pytest.mark.parametrize("mixer", MODELS)
def test_sampled_is_never_above_maximised_which_never_falls(mixer, parameters, num_steps):
    curve = stability_curve(
        build(mixer), 20, reversed(RADII), parameters=parameters, num_steps=num_steps, num_directions=16
    )
    assert curve.radius.tolist() == RADII
    assert (curve.sampled <= curve.maximised).all()
    assert (curve.maximised.diff() >= 0).all()
    assert (curve.sampled > 0).all()


def test_more_random_directions_of_many_dimensions_still_miss_the_worst():
    curve = stability_curve(
        build("ssm", options={"num_states": 24}, dim=4), 20, [1e-3], num_directions=512, num_steps=2
    )
    assert float(curve.sampled[0]) < 0.35 * float(curve.linear[0])


def test_a_direct_pole_leaves_the_unit_circle_and_a_stable_one_does_not():
    changes = {
        name: float(stability_curve(one_mode(0.95, name)[0], 200, [0.2], parameters="poles").maximised[0])
        for name in ("direct", "stable")
    }
    assert changes["direct"] > 1e6
    assert changes["stable"] < 0.2


def test_changes_for_a_task_are_weighted_by_its_positions_and_relative_to_its_target():
    task = FunctionalTask.parse(
        {
            "memory": {"family": "polynomial", "alpha": 0.7},
            "length": 12,
            "mixing": [[3.0], [4.0]],
            "normalisation": "none",
        }
    )
    model = ModelConfig(mixer="lru", dim=3, bias=False).build(1, 2, seed=1).double()
    curve = stability_curve(model, task, [1e-3], parameters=lambda name: name == "decoder.weight")
    # Linear in the decoder's matrix, so every radius has the same worst direction: that of what it reads.
    impulse = torch.zeros(1, 12, 1, dtype=torch.float64)
    impulse[0, 0] = 1
    read = model.blocks[0](model.encoder(impulse))[0].detach()
    weights = 1 - torch.arange(12, dtype=torch.float64) / 12
    target = 5 * (weights * task.taps().square()).sum().sqrt()
    want = torch.linalg.matrix_norm(weights.sqrt()[:, None] * read, 2) / target
    assert float(curve.linear[0]) == pytest.approx(1e-3 * float(want), rel=1e-10)
    assert float(curve.maximised[0]) == pytest.approx(1e-3 * float(want), rel=1e-10)


def test_a_model_that_changes_with_time_counts_at_every_position_or_at_the_last():
    T = 9
    options = {"num_heads": 2, "positions": "alibi", "content": False}
    model = (
        ModelConfig(mixer="attention", options=options, dim=4, residual=False).build(1, 1, seed=5).double()
    )
    task = FunctionalTask.parse({"memory": {"family": "exponential", "alpha": 0.2}, "length": T})

    def only_decoder(name):
        return name == "decoder.weight"

    zeros = torch.zeros(1, T, 1, dtype=torch.float64)
    impulses = torch.eye(T, dtype=torch.float64)[..., None]
    inner = torch.nn.Sequential(model.encoder, *model.blocks)
    read = (inner(impulses) - inner(zeros)).detach()  # [input position, position, width]
    power = torch.stack([task.taps()[: t + 1].square().sum() for t in range(T)]).sum()
    everywhere = torch.linalg.matrix_norm(read.flatten(0, 1), 2) / power.sqrt()
    own = (read[:, -1] @ model.decoder.weight.detach()[0]).norm()
    at_last = torch.linalg.matrix_norm(read[:, -1], 2) / own
    for of, want in ((task, everywhere), (T, at_last)):
        curve = stability_curve(model, of, [0.5], parameters=only_decoder, num_steps=1)
        assert float(curve.linear[0]) == pytest.approx(0.5 * float(want), rel=1e-10)


def test_the_model_is_left_as_it_was_and_the_seed_decides_the_rest():
    model = build("lru")
    before = [p.detach().clone() for p in model.parameters()]
    first, again, other = (
        stability_curve(model, 10, [0.1], num_steps=2, seed=seed).sampled for seed in (0, 0, 1)
    )
    for p, q in zip(before, model.parameters(), strict=True):
        torch.testing.assert_close(q.detach(), p, rtol=0, atol=0)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_has_no_stability_curve_is_refused():
    with pytest.raises(ConfigError, match=r"the mixer \(GRU\)"):
        stability_curve(build("gru"), 10, [0.1])
    with pytest.raises(ConfigError, match=r"radii above 0, got \[0.0, 0.1\]"):
        stability_curve(build("lru"), 10, [0.1, 0.0])
    with pytest.raises(ConfigError, match="no parameter is chosen"):
        stability_curve(build("lru"), 10, [0.1], parameters=lambda name: False)
    silent, _ = one_mode(0.5, "exp")
    silent.mixers[0].system.output_parts.data.zero_()
    with pytest.raises(ConfigError, match="zero at every lag"):
        stability_curve(silent, 10, [0.1])
