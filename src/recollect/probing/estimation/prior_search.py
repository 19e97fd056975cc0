"""Which prior explains the data best: every family at its own best, with and without a dead time.

A dead time is looked for where a first estimate leaves zero, then step by step from there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import one_of
from recollect.probing.estimation.evidence import (
    Regression,
    Tuned,
    add_bands,
    evidence_and_gradient,
    residual_energy,
    tune,
)
from recollect.probing.estimation.priors import PRIORS, Prior

Delay = int | Literal["auto"]

_DELAYED = ("dc", "smooth", "resonant", "heavy_dc", "tc")
"""Families that are also tried behind a dead time."""

_GLANCE, _FAR = 10, 30.0
"""Steps of a first search; priors whose log marginal likelihood is then so far behind get no more."""

_SCALES = (-6.0, -2.0, 2.0, 6.0)
"""Logarithms of the scale from which searches may begin."""

_WIDENS = {"dc": "tc", "smooth": "ss", "heavy_dc": "heavy"}

_CLEAR = (3.0, 6.0)
"""A memory function leaves zero where it is so many standard errors away."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Every prior tried, at its best."""

    found: tuple[Tuned, ...]
    lags: int

    @property
    def best(self) -> Tuned:
        return max(self.found, key=lambda tuned: tuned.score(self.lags))

    @property
    def evidences(self) -> dict[str, float]:
        """Log marginal likelihoods by name."""
        return {
            tuned.prior.name: tuned.evidence for tuned in sorted(self.found, key=lambda one: one.evidence)
        }


def choose_prior(regression: Regression, prior: str, delay: Delay) -> Choice:
    """The prior of largest marginal likelihood among those allowed.

    Args:
        prior: a name of `PRIORS`, or "auto" for all.
        delay: lags before the memory begins; "auto" also looks for them.
    """
    families = tuple(PRIORS) if prior == "auto" else (prior,)
    one_of(prior, ("auto", *PRIORS), "prior")
    fixed = 0 if delay == "auto" else delay
    found: list[Tuned] = []
    for family in families:
        if family != "resonant":
            found.append(_glance(regression, Prior(family, fixed), found))
    if "resonant" in families:
        found.append(_resonant(regression, fixed, found))
    found = _finished(regression, found)
    if delay == "auto" and len(regression.cross) > 2:
        found += _delayed(regression, found, families)
    return Choice(tuple(found), len(regression.cross))


def starts(prior: Prior, lags: int, place: int = 0) -> Float64[Tensor, " parameters"]:
    values = [parameter.starts(lags)[place] for parameter in prior.parameters]
    return torch.tensor(values, dtype=torch.float64)


def _glance(regression: Regression, prior: Prior, found: Sequence[Tuned]) -> Tuned:
    """A short search, enough to see whether a longer one is worth while.

    A family that widens another begins where that one ended.
    """
    first = starts(prior, len(regression.cross))
    narrower = [one for one in found if one.prior.family == _WIDENS.get(prior.family)]
    for k, parameter in enumerate(prior.parameters):
        for one in narrower:
            names = [known.name for known in one.prior.parameters]
            if parameter.name in names:
                first[k] = one.logs[names.index(parameter.name)]
    return tune(regression, prior, first if narrower else _scaled(regression, prior, first), steps=_GLANCE)


def _scaled(
    regression: Regression, prior: Prior, first: Float64[Tensor, " parameters"]
) -> Float64[Tensor, " parameters"]:
    """The same with the best of a few scales."""
    trials = [torch.cat([torch.tensor([scale], dtype=torch.float64), first[1:]]) for scale in _SCALES]
    return max(trials, key=lambda logs: evidence_and_gradient(regression, prior, logs)[0])


def _finished(regression: Regression, found: Sequence[Tuned]) -> list[Tuned]:
    """The search gone on with for all that are not far behind."""
    best = max(one.evidence for one in found)
    return [tune(regression, one.prior, one.logs) if one.evidence > best - _FAR else one for one in found]


def _resonant(regression: Regression, delay: int, found: Sequence[Tuned]) -> Tuned:
    """Searched from the frequency at which an estimate is largest, fading as fast as it was found to."""
    lags = len(regression.cross)
    prior = Prior("resonant", delay)
    first = starts(prior, lags)
    if not found:
        found = [_glance(regression, Prior("dc", delay), [])]
    best = max(found, key=lambda tuned: tuned.evidence)
    mean, _ = _estimate(regression, best)
    frequency = max(int(torch.fft.rfft(mean, 8 * lags).abs().argmax()), 1) * math.pi / (4 * lags)
    candidates = []
    for rate in _fading(found):
        guess = first.clone()
        guess[0], guess[1], guess[2], guess[3] = best.logs[0], rate, math.log(0.1), math.log(frequency)
        candidates.append(tune(regression, prior, guess, steps=_GLANCE))
    return max(candidates, key=lambda tuned: tuned.evidence)


def _fading(found: Sequence[Tuned]) -> list[float]:
    """Logarithms of the rates of the estimates that fade exponentially; the best one's, and the usual."""
    fading = [tuned for tuned in found if tuned.prior.family in ("tc", "dc", "ss", "smooth")]
    fading.sort(key=lambda tuned: -tuned.evidence)
    return [float(tuned.logs[1]) for tuned in fading[:1]] + [math.log(0.1)]


def _estimate(
    regression: Regression, tuned: Tuned
) -> tuple[Float64[Tensor, " lags"], Float64[Tensor, " lags"]]:
    """Posterior mean and standard errors."""
    bands, _ = tuned.precision(len(regression.cross))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(add_bands(regression.gram, bands)))
    mean = inverse @ regression.cross
    variance = residual_energy(regression, float(regression.cross @ mean)) / regression.degrees
    return mean, (variance * inverse.diagonal()).sqrt()


def _delayed(regression: Regression, found: list[Tuned], families: tuple[str, ...]) -> list[Tuned]:
    """The allowed families behind the best dead time; none where no estimate begins with zeros."""
    best = max(found, key=lambda tuned: tuned.evidence)
    scout = next((family for family in _DELAYED if family in families), families[0])
    priors = [Prior(scout, delay) for delay in _candidates(regression, best)]
    trials = [
        tune(regression, one, _scaled(regression, one, starts(one, len(regression.cross), 1)), steps=_GLANCE)
        for one in priors
    ]
    if not trials:
        return []
    first = _climb(regression, max(trials, key=lambda tuned: tuned.evidence))
    if first.evidence < best.evidence - _FAR:
        return [first]
    behind = [_behind(regression, family, first) for family in _DELAYED if family in families]
    return _finished(regression, behind)


def _candidates(regression: Regression, tuned: Tuned) -> list[int]:
    """Lags at which the estimate first leaves zero clearly, is largest, or rises most."""
    mean, errors = _estimate(regression, tuned)
    size = mean.abs()
    clear = [torch.nonzero(size > level * errors)[:1].flatten().tolist() for level in _CLEAR]
    lags = {lag for found in clear for lag in found}
    lags |= {int(size.argmax()), int(size.diff().argmax()) + 1}
    return sorted(lag for lag in lags if 0 < lag < len(size) - 1)


def _climb(regression: Regression, tuned: Tuned) -> Tuned:
    """The dead time nearby of largest evidence, other hyperparameters as they are; then all together."""
    prior, best = tuned.prior, tuned.evidence
    for step in (1, -1):
        misses, delay = 0, prior.delay
        while misses < 3 and 0 < delay + step < len(regression.cross) - 1:
            delay += step
            value, _ = evidence_and_gradient(regression, Prior(prior.family, delay), tuned.logs)
            misses = 0 if value > best else misses + 1
            if value > best:
                best, prior = value, Prior(prior.family, delay)
    again = tune(regression, prior, tuned.logs)
    return max(tuned, again, key=lambda trial: trial.evidence)


def _behind(regression: Regression, family: str, scout: Tuned) -> Tuned:
    """Another family behind the dead time of the scout, with its scale and head."""
    if family == scout.prior.family:
        return scout
    if family == "resonant":
        return _resonant(regression, scout.prior.delay, [scout])
    prior = Prior(family, scout.prior.delay)
    first = starts(prior, len(regression.cross), 1)
    first[0], first[-1] = scout.logs[0], scout.logs[-1]
    return tune(regression, prior, first, steps=_GLANCE)
