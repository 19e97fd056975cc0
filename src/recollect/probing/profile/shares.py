r"""What share of a model's output its mean memory explains, and how much that memory varies.

Every energy is cleared of the noise of its estimate: with standard errors $\epsilon$,
$E[k^2] = \rho^2 + \epsilon^2$ and $\mathrm{Var}[k^2] = 4 \rho^2 \epsilon^2 + 2 \epsilon^4$.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from scipy.stats import t as student
from torch import Tensor

from recollect.probing.profile.estimate import LagEstimate
from recollect.probing.profile.interval import Interval

DISJOINT, OPPOSITE = 1.0, 2.0
"""Position dependence of two memories that share no lag, and of two of opposite sign."""


@dataclass(frozen=True)
class _Energy:
    value: float
    standard_error: float


def linear_share(estimate: LagEstimate, confidence: float) -> Interval | None:
    r"""$\sum_s s2\, k_s^2$ over the variance of the outputs; None where the inputs are not white Gaussian.

    For other inputs the lags are not uncorrelated, and energies by lag do not add up. The interval counts
    the errors of k, and that of the outputs' variance as if they were Gaussian and moved together.
    """
    variance = float(estimate.output_variance.sum())
    if not (estimate.is_white_gaussian and variance > 0):
        return None
    if estimate.rms is not None and torch.allclose(estimate.rms, estimate.values.abs(), rtol=1e-6, atol=0):
        return Interval(1.0, 1.0, 1.0)  # the same slope in every sequence: a linear map
    linear = _energy(estimate.values, estimate.standard_errors, estimate.input_variance)
    share = linear.value / variance
    error = (linear.standard_error / variance) ** 2 + share**2 * 2 / estimate.samples
    return _around(share, error**0.5, estimate, confidence, most=1.0)


def content_adaptivity(estimate: LagEstimate, confidence: float) -> Interval | None:
    r"""$1 - \sum_s (E J_s)^2 / \sum_s E[J_s^2]$: 0 for a linear map; None without a root mean square.

    Lags of several inputs are weighted by the variances of the inputs. The interval counts the errors of
    the mean Jacobian alone.
    """
    if estimate.rms is None:
        return None
    total = float((estimate.rms.square() * estimate.input_variance).sum())
    if not total > 0:
        return None
    mean = _energy(estimate.values, estimate.standard_errors, estimate.input_variance)
    return _around(1 - mean.value / total, mean.standard_error / total, estimate, confidence, most=1.0)


def position_dependence(late: LagEstimate, early: LagEstimate, confidence: float) -> Interval:
    r"""$\sum_s |k_s - k'_s|^2 / \sum_s (|k_s|^2 + |k'_s|^2)$ over the lags that both positions have.

    0 for a map that does not change along the sequence, 1 for memories with no lag in common, 2 for opposite
    ones.
    """
    lags = min(late.position, early.position) + 1
    first, second = (
        (each.values[:lags], each.standard_errors[:lags], each.input_variance) for each in (late, early)
    )
    total = _energy(*first).value + _energy(*second).value
    if not total > 0:
        return Interval(0.0, 0.0, OPPOSITE)
    change = _energy(first[0] - second[0], first[1].hypot(second[1]), late.input_variance)
    return _around(change.value / total, change.standard_error / total, late, confidence, most=OPPOSITE)


def _energy(
    values: Float64[Tensor, "lags outputs inputs"],
    standard_errors: Float64[Tensor, "lags outputs inputs"],
    input_variance: Float64[Tensor, " inputs"],
) -> _Energy:
    """Sum over lags and channels of s2 k^2.

    Errors of different lags share what is common to a sequence, such as the slope of a nonlinear output. How
    much is not known: those of the first order are taken to move together, which they do at most.
    """
    noise = standard_errors.square()
    cleared = values.square() - noise
    together = float((2 * cleared.clamp(min=0).sqrt() * standard_errors * input_variance).sum())
    apart = float((2 * noise.square() * input_variance.square()).sum())
    return _Energy(float((cleared * input_variance).sum()), (together**2 + apart) ** 0.5)


def _around(value: float, error: float, estimate: LagEstimate, confidence: float, most: float) -> Interval:
    """Student's interval, cut to what the quantity can be."""
    reach = float(student.ppf((1 + confidence) / 2, estimate.degrees_of_freedom)) * error
    return Interval(*(min(max(end, 0.0), most) for end in (value, value - reach, value + reach)))
