r"""Does a memory fade by the time, or by the age: exponentially, or as a power of the lag?

Two laws are fitted to the energy by lag, $|\rho_s|^2 \approx A^2 e^{-2 a s}$ and
$|\rho_s|^2 \approx A^2 (1 + s)^{-2 p}$, with s counted from the first lag that is not clearly below the
largest one, up to lags that do not stand above the noise any more. The energies $\hat e_s$ are unbiased, so
the coefficients solve

$$\sum_s \frac{\mu_s^2}{\phi \mu_s^2 + \sigma_s^2} \Big( \frac{\hat e_s}{\mu_s} - 1 \Big)
\begin{pmatrix} 1 \\ x_s \end{pmatrix} = 0, \qquad \log \mu_s = \theta_0 - 2 \theta_1 x_s,$$

with $x_s = s$ or $\log(1 + s)$: the quasi-likelihood equations of a regression with a logarithmic link. An
energy below the noise, negative or not, weighs little and adds no bias, where a logarithm of it would;
an oscillation averages out, where its zeros would have none. $\sigma_s$ is the deviation of the
energy's error, and $\phi$ the relative variance about the law (an oscillation, or a misfit), the
most likely one.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from scipy.stats import t as student
from torch import Tensor

from recollect.core.plain import finite
from recollect.probing.profile.energies import Energies, ErrorsAre, energies
from recollect.probing.profile.interval import Interval

DECISIVE = 3.0
"""Difference of log-likelihoods from which a law is preferred: odds of 20 to 1."""

_FEWEST_TO_FIT, _FEWEST_TO_PREFER = 3, 5
"""Lags up to the last one above the noise."""

_VISIBLE = 1e-4
"""Energy over the largest, a hundredth in size: a law is read off what is larger, if the noise lets it."""

_BEYOND = 8
"""Lags below the noise that a fit may go on to."""

_SMALLEST_MISFIT, _LARGEST_MISFIT = 1e-4, 1e6
"""Relative variances of the energy: no law is held to more than a percent."""

_UNKNOWN = Interval(float("inf"), 0.0, float("inf"))


@dataclass(frozen=True)
class DecayLaw:
    """Two descriptions of how a memory function fades.

    A preference is between these two: it does not say that the preferred one is true.

    Attributes:
        exponential: rate a per lag of `exp(-a s)`.
        power: exponent p of `(1 + s)^-p`. Both are `inf`, with the lower bound 0, where fewer than three
            lags could be fitted: the memory is gone before a rate can be read.
        preferred: the law with the larger log-likelihood of the energies by lag, `undecided` where the
            difference is below 3 or fewer than five lags could be fitted, `none` where no lag stands above
            the noise.
        evidence: log-likelihood of the exponential law minus that of the power law.
    """

    exponential: Interval
    power: Interval
    preferred: Literal["exponential", "power", "undecided", "none"]
    evidence: float

    def document(self) -> dict[str, object]:
        """Plain JSON: None where a number is not finite."""
        return {
            "preferred": self.preferred,
            "evidence": finite(self.evidence),
            "exponential": self.exponential.document(),
            "power": self.power.document(),
        }


def decay_law(
    values: Float64[Tensor, "lags outputs inputs"],
    errors: Float64[Tensor, "draws lags outputs inputs"] | None = None,
    *,
    errors_are: ErrorsAre = "sampling",
    confidence: float = 0.95,
) -> DecayLaw:
    r"""The decay law of a memory function; see the head of this file for the equations.

    Args:
        values: the estimate at `[lag, output, input]`; lags are judged by the norm over the channels.
        errors: draws of its error, mean zero; none for exact values.
        errors_are: `sampling`: estimate = truth + error; `posterior`: truth = estimate + error.
        confidence: of the two intervals, in (0, 1).

    Raises:
        ValueError: shapes that do not fit, or numbers that are not finite.

    Example:
        >>> law = decay_law(torch.exp(-0.25 * torch.arange(40.0)).double()[:, None, None])
        >>> law.preferred, round(law.exponential.value, 6)
        ('exponential', 0.25)
    """
    return decay_law_of(energies(values, errors, errors_are), confidence)


def decay_law_of(energies: Energies, confidence: float) -> DecayLaw:
    """The same from energies by lag."""
    if energies.last < 0:
        return DecayLaw(_UNKNOWN, _UNKNOWN, "none", 0.0)
    above = _last_to_see(energies) + 1 - _start(energies)
    if above < _FEWEST_TO_FIT:
        return DecayLaw(_UNKNOWN, _UNKNOWN, "undecided", 0.0)
    fading = _Fading.of(energies)
    lags = torch.arange(len(fading.mean), dtype=torch.float64)
    exponential = _Fit.of(fading, lags)
    power = _Fit.of(fading, lags.log1p())
    evidence = exponential.log_likelihood - power.log_likelihood
    decided = abs(evidence) >= DECISIVE and above >= _FEWEST_TO_PREFER
    return DecayLaw(
        exponential=exponential.rate(confidence),
        power=power.rate(confidence),
        preferred=("exponential" if evidence > 0 else "power") if decided else "undecided",
        evidence=evidence,
    )


@dataclass(frozen=True)
class _Fading:
    """The energies that a law is fitted to.

    Attributes:
        mean: cleared of the noise.
        deviations: draws of their errors.
        along: the part of their variance that grows with the energy, as 4 times this times the energy.
        across: the part that does not.
    """

    mean: Float64[Tensor, " lags"]
    deviations: Float64[Tensor, "draws lags"]
    along: Float64[Tensor, " lags"]
    across: Float64[Tensor, " lags"]

    @classmethod
    def of(cls, energies: Energies) -> "_Fading":
        start = _start(energies)
        kept = slice(start, _end(energies, start))
        return cls(
            mean=energies.mean[kept],
            deviations=energies.deviations[:, kept],
            along=energies.along[kept],
            across=energies.across[kept],
        )

    def variance(self, fitted: Float64[Tensor, " lags"]) -> Float64[Tensor, " lags"]:
        """Of the noise, were the energies as fitted; at the estimates, large errors would weigh less."""
        return 4 * self.along * fitted + self.across


def _start(energies: Energies) -> int:
    """The first lag whose energy is not clearly below the largest."""
    largest = int(energies.mean.argmax())
    spread = (energies.deviations - energies.deviations[:, largest, None]).square().mean(0).sqrt()
    return int((energies.mean + 2 * spread >= energies.mean[largest] * (1 - 1e-9)).nonzero()[0])


def _end(energies: Energies, start: int) -> int:
    """The lag after the last one of the fit.

    The last lag above the noise is there because its error was large. Unbiased energies may be followed
    beyond it, as far again and a little; those of a posterior follow its prior there.
    """
    seen = _last_to_see(energies)
    following = energies.deviations[:, energies.last + 1 : energies.last + 2]
    is_lost_in_noise = bool((following.square().mean(0) ** 0.5 > _VISIBLE * energies.mean.max()).any())
    if energies.errors_are == "posterior" or not is_lost_in_noise:
        return seen + 1
    return min(len(energies.mean), 2 * energies.last - start + 1 + _BEYOND)


def _last_to_see(energies: Energies) -> int:
    """The last lag above the noise that a curve would show: what is smaller says how a memory ends."""
    visible = (energies.mean >= _VISIBLE * energies.mean.max()).nonzero()
    return min(energies.last, int(visible.max()))


@dataclass(frozen=True)
class _Fit:
    """A fitted law.

    Attributes:
        slope: the rate or the exponent.
        misfit: standard error of the slope by the energies' spread about the law.
        noise: draws of the slope's error by the errors of the energies.
        degrees_of_freedom: of `misfit`.
        log_likelihood: of the energies, Gaussian with the fitted mean and variance.
    """

    slope: float
    misfit: float
    noise: Float64[Tensor, " draws"]
    degrees_of_freedom: int
    log_likelihood: float

    @classmethod
    def of(cls, fading: _Fading, age: Float64[Tensor, " lags"]) -> "_Fit":
        design = torch.stack([torch.ones_like(age), -2 * age], 1)
        theta = _first_guess(fading, design)
        for _ in range(100):
            theta, step = _scored(theta, fading, design)
            if step.abs().max() < 1e-12:
                break
        fitted = (design @ theta).exp()
        variance = fading.variance(fitted)
        phi = _misfit(fading.mean, fitted, variance)
        total = phi * fitted.square() + variance
        weighted = design * (fitted.square() / total)[:, None]
        solve = torch.linalg.pinv(design.T @ weighted) @ weighted.T
        return cls(
            slope=float(theta[1]),
            misfit=float((phi * solve[1].square().sum()).sqrt()),
            noise=(fading.deviations / fitted) @ solve[1],
            degrees_of_freedom=len(age) - 2,
            log_likelihood=_log_likelihood(fading, fitted, total),
        )

    def rate(self, confidence: float) -> Interval:
        """Student's t, with the degrees of freedom of a sum of two variances (Welch and Satterthwaite)."""
        parts = self.misfit**2, float(self.noise.square().mean())
        freedom = self.degrees_of_freedom, max(len(self.noise) - 1, 1)
        degrees = sum(parts) ** 2 / sum(part**2 / dof for part, dof in zip(parts, freedom, strict=True))
        reach = float(student.ppf((1 + confidence) / 2, degrees)) * sum(parts) ** 0.5
        return Interval(self.slope, self.slope - reach, self.slope + reach)


def _first_guess(fading: _Fading, design: Float64[Tensor, "lags 2"]) -> Float64[Tensor, " 2"]:
    """Least squares on the logarithm, energies below their noise raised to it."""
    floor = fading.across.sqrt().clamp(min=float(fading.mean.max()) * 1e-24)
    logarithm = torch.maximum(fading.mean, floor).log()
    return torch.linalg.lstsq(design, logarithm[:, None]).solution[:, 0]


def _scored(
    theta: Float64[Tensor, " 2"], fading: _Fading, design: Float64[Tensor, "lags 2"]
) -> tuple[Float64[Tensor, " 2"], Float64[Tensor, " 2"]]:
    """One step of Fisher scoring, no lag's logarithm moved by more than 1."""
    fitted = (design @ theta).exp()
    variance = fading.variance(fitted)
    phi = _misfit(fading.mean, fitted, variance)
    weights = fitted.square() / (phi * fitted.square() + variance)
    gradient = design.T @ (weights * (fading.mean / fitted - 1))
    step = torch.linalg.pinv(design.T @ (design * weights[:, None])) @ gradient
    step = step / (design @ step).abs().max().clamp(min=1)
    return theta + step, step


def _log_likelihood(
    fading: _Fading, fitted: Float64[Tensor, " lags"], variance: Float64[Tensor, " lags"]
) -> float:
    """Gaussian on the scale of the square root, where squared noise has no heavy tail to decide by."""
    noise = (fading.across / 2).sqrt()
    seen, expected = (fading.mean + noise).clamp(min=0).sqrt(), (fitted + noise).sqrt()
    scaled = variance / (4 * expected.square())
    return float(-0.5 * (scaled.log() + (seen - expected).square() / scaled).sum())


def _misfit(
    mean: Float64[Tensor, " lags"], fitted: Float64[Tensor, " lags"], variance: Float64[Tensor, " lags"]
) -> Float64[Tensor, ""]:
    """The phi of the largest likelihood, two coefficients having been fitted; interpolated between trials.

    Lags below their noise say nothing about it, and its equation weighs them by nothing.
    """
    trials = torch.linspace(math.log(_SMALLEST_MISFIT), math.log(_LARGEST_MISFIT), 47, dtype=mean.dtype)
    squares = (mean - fitted).square() * len(mean) / (len(mean) - 2)
    total = trials.exp()[:, None] * fitted.square() + variance
    score = (fitted.square() / total * (squares / total - 1)).sum(1)
    place = int((score > 0).cumprod(0).sum())
    if place in (0, len(trials)):
        return trials[min(place, len(trials) - 1)].exp()
    before, after = score[place - 1], score[place]
    return torch.lerp(trials[place - 1], trials[place], before / (before - after)).exp()
