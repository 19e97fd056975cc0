import pytest
import torch

from recollect.core import ConfigError
from recollect.tasks.tracking import TrackingTask

LAWS = [
    {"law": "constant"},
    {"law": "switch", "every": 4},
    {"law": "switch", "rate": 0.2},
    {"law": "drift", "memory": 7},
    {"law": "walk", "step": 0.3},
]


def make(**fields):
    return TrackingTask.parse({"length": 11, "key_dim": 3, "examples": 5} | fields)


@pytest.fixture(params=LAWS, ids=lambda law: "-".join(map(str, law.values())))
def law(request):
    return request.param


def test_an_example_depends_on_seed_and_index_alone(law):
    task = make(drift=law, correlation=0.5)
    whole, part = task.draw(5, 0, 9), task.draw(5, 6, 2)
    for name in ("k", "v", "signal"):
        assert torch.equal(getattr(whole, name)[6:8], getattr(part, name))
    assert torch.equal(whole.motion.kept[6:8], part.motion.kept)
    assert not torch.equal(task.draw(6, 6, 2).v, part.v)


def test_values_are_the_coefficients_at_the_key_and_noise(law):
    """Between switches as many noise-free values as channels give the coefficients away."""
    drawn = make(drift=law, key_dim=2, noise=0.3).draw(1, 0, 1500)
    assert ((drawn.v - drawn.signal).std() - 0.3).abs() < 0.01
    kept = drawn.motion.kept
    assert (kept[:, 0] == 0).all()
    assert (drawn.motion.added[:, 0] == 1).all()
    if law["law"] not in ("constant", "switch"):
        return
    k, signal = drawn.k, drawn.signal
    same = (kept[:, 5:7] == 1).all(1)
    assert same.any()
    coefficients = torch.linalg.lstsq(k[same, 4:6], signal[same, 4:6]).solution
    torch.testing.assert_close(
        torch.einsum("bkv,bk->bv", coefficients, k[same, 6]), signal[same, 6], rtol=1e-6, atol=1e-6
    )


def test_the_variogram_is_measured_back(law):
    """With one channel and keys of norm 1, the signal times the sign of the key is the coefficient itself."""
    task = make(drift=law, key_dim=1, length=21)
    drawn = task.draw(2, 0, 10_000)
    coefficients = (drawn.signal * drawn.k)[..., 0]
    # From the same phase of the switches to every lag, averaged over phases.
    lags = torch.tensor([1, 3, 6, 9])
    for lag, expected in zip(lags.tolist(), task.drift.variogram(lags.double()).tolist(), strict=True):
        moved = (coefficients[:, lag : lag + 12] - coefficients[:, :12]).square().mean()
        assert float(moved) == pytest.approx(expected, rel=0.03, abs=1e-12)


@pytest.mark.parametrize(("keys", "tolerance"), [("sphere", 1e-12), ("gaussian", 0.02)])
def test_keys_have_norm_1_and_correlated_channels(keys, tolerance):
    k = make(keys=keys, correlation=0.6).draw(3, 0, 4000).k.flatten(0, 1)
    assert (k.square().sum(-1).mean() - 1).abs() < tolerance
    if keys == "gaussian":
        expected = 0.6 ** (torch.arange(3)[:, None] - torch.arange(3)).abs() / 3
        torch.testing.assert_close(k.T @ k / len(k), expected.double(), rtol=0, atol=0.01)
    else:
        assert (k.norm(dim=-1) - 1).abs().max() < 1e-12


def test_the_walk_under_slow_forgetting_has_the_classical_error():
    """Noise over the effective sample, `(1 - g) / (1 + g)`, and lag, `s / (1 - g^2)`."""
    task = make(drift={"law": "walk", "step": 0.01}, length=3000, burn_in=2500, key_dim=2, noise=0.5)
    sample = (1 - 0.98) / (1 + 0.98)
    expected = (0.5**2 * 2 * sample + 0.01**2 / (1 - 0.98**2)) / (1 - 2 * sample)
    assert task.forgetting_error(0.98) == pytest.approx(expected, rel=1e-9)


def test_theory_keeps_silent_where_the_sample_is_smaller_than_twice_the_keys():
    task = make(drift={"law": "constant"}, burn_in=6)
    assert task.forgetting_error(0.5) is None
    assert task.forgetting_error(1.0) is not None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"drift": {"law": "switch"}}, "every"),
        ({"drift": {"law": "switch", "every": 3, "rate": 0.1}}, "every"),
        ({"burn_in": 10}, "below length - 1 = 10"),
        ({"noise": 0.0}, "noise"),
        ({"decays": []}, "at least one"),
        ({"lenght": 8}, "did you mean 'length'"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        make(**fields)


def test_labels_tell_tasks_apart(law):
    assert make(drift=law).label != make(drift=law, correlation=0.9).label
    assert len({make(drift=one).label for one in LAWS}) == len(LAWS)
    facts = make(drift=law).facts()
    assert facts["kind"] == "tracking"
    assert facts["drift"] == law["law"]
