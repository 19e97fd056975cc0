import math

import pytest
import torch

from recollect.memory import Airy, DampedCosine, Exponential, Polynomial
from recollect.probing.profile import decay_law

LAGS = 48


def _channel(values):
    return values.double()[:, None, None]


def _delayed(values, delay):
    return torch.nn.functional.pad(values, (delay, 0))[: len(values)]


def _noisy(truth, deviation, rng, draws=64):
    """An estimate of the truth and draws of its error."""
    error = deviation * torch.randn(draws + 1, *truth.shape, dtype=torch.float64, generator=rng)
    return truth + error[0], error[1:]


@pytest.mark.parametrize("delay", [0, 5])
def test_an_exact_exponential_has_its_rate(delay):
    law = decay_law(_channel(_delayed(Exponential(alpha=0.3).values(LAGS), delay)))
    assert law.preferred == "exponential"
    assert law.exponential.value == pytest.approx(0.3, abs=1e-10)
    assert law.evidence > 50


@pytest.mark.parametrize("delay", [0, 5])
def test_an_exact_power_law_has_its_exponent(delay):
    law = decay_law(_channel(_delayed(Polynomial(alpha=1.1).values(LAGS), delay)))
    assert law.preferred == "power"
    assert law.power.value == pytest.approx(1.1, abs=1e-10)
    assert law.evidence < -50


def test_laws_need_no_unit_and_no_basis():
    values, errors = _noisy(
        _channel(Exponential(alpha=0.2).values(LAGS)), 0.02, torch.Generator().manual_seed(1)
    )
    law = decay_law(values, errors)
    turn = torch.tensor([[0.6, -0.8]], dtype=torch.float64)
    scaled = decay_law(1e-9 * values @ turn, 1e-9 * errors @ turn)
    assert scaled.exponential.value == pytest.approx(law.exponential.value, rel=1e-8)
    assert scaled.power.upper == pytest.approx(law.power.upper, rel=1e-8)
    assert scaled.evidence == pytest.approx(law.evidence, rel=1e-6)


def test_an_oscillation_decays_as_its_envelope():
    law = decay_law(_channel(DampedCosine(alpha=0.1, frequency=0.7).values(96)))
    assert law.preferred == "exponential"
    assert law.exponential.lower < 0.1 < law.exponential.upper
    assert law.exponential.value == pytest.approx(0.1, rel=0.05)


def test_two_time_scales_decay_between_them():
    lags = torch.arange(LAGS, dtype=torch.float64)
    law = decay_law(_channel((-0.1 * lags).exp() + 0.5 * (-0.6 * lags).exp()))
    assert 0.1 < law.exponential.value < 0.2


def test_the_end_of_an_airy_function_falls_faster_than_any_power():
    assert decay_law(_channel(Airy(alpha=16).values(LAGS))).preferred == "exponential"


def test_what_is_gone_at_once_has_no_rate():
    law = decay_law(_channel(torch.eye(LAGS)[7]))
    assert law.preferred == "undecided"
    assert (law.exponential.value, law.exponential.lower, law.power.upper) == (math.inf, 0.0, math.inf)
    assert law.document()["power"] == {"value": None, "lower": 0.0, "upper": None}


def test_nothing_has_no_law():
    assert decay_law(_channel(torch.zeros(LAGS))).preferred == "none"
    found = [
        decay_law(*_noisy(_channel(torch.zeros(LAGS)), 1.0, torch.Generator().manual_seed(seed))).preferred
        for seed in range(40)
    ]
    assert found.count("none") >= 34  # 95 % are expected


def test_four_lags_are_too_few_to_prefer_a_law():
    assert decay_law(_channel(torch.tensor([1.0, 0.5, 0.25, 0.125]))).preferred == "undecided"
    assert decay_law(_channel(0.5 ** torch.arange(6.0))).preferred == "exponential"


@pytest.mark.parametrize(
    ("truth", "law", "slope", "deviation"),
    [
        (_delayed(Exponential(alpha=0.08).values(LAGS), 4), "exponential", 0.08, 0.07),
        (DampedCosine(alpha=0.08, frequency=0.9).values(LAGS), "exponential", 0.08, 0.02),
        (Polynomial(alpha=0.8).values(LAGS), "power", 0.8, 0.02),
        (_delayed(Polynomial(alpha=1.5).values(LAGS), 4), "power", 1.5, 0.01),
    ],
)
def test_intervals_cover_the_slope_at_their_rate_and_the_right_law_is_preferred(truth, law, slope, deviation):
    truth = _channel(truth / truth.abs().max())
    covered, preferred = 0, []
    for seed in range(100):
        found = decay_law(*_noisy(truth, deviation, torch.Generator().manual_seed(seed)))
        interval = getattr(found, law)
        covered += interval.lower <= slope <= interval.upper
        preferred.append(found.preferred)
    # 95 % of 100 are at least 88 with probability 0.999.
    assert covered >= 88
    wrong = {"exponential": "power", "power": "exponential"}[law]
    assert preferred.count(wrong) <= 5
    assert preferred.count(law) > 50


def test_draws_that_do_not_fit_are_refused():
    values = _channel(torch.ones(5))
    with pytest.raises(ValueError, match=r"two draws or more of the shape of `values`, \(5, 1, 1\)"):
        decay_law(values, torch.zeros(1, 5, 1, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match="must be finite"):
        decay_law(values / 0)
