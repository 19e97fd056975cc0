r"""Marginal likelihood of a prior, and the search for its hyperparameters.

The memory function has the prior $N(0, \sigma^2 W^{-1})$, the noise is white of variance $\sigma^2$, the
intercept is flat. With $M = G + W$, $R = y^\top y - b^\top M^{-1} b$ and n - 1 degrees of freedom,
$\hat\sigma^2 = R / (n - 1)$ maximises

$$-2 \log p = (n - 1)\Big(\log \frac{2 \pi R}{n-1} + 1\Big) + \log\frac{|M|}{|W|} ,\qquad
  d(-2 \log p) = \Big\langle \frac{n-1}{R}\, m m^\top + M^{-1} - W^{-1},\; dW \Big\rangle,\; m = M^{-1} b .$$

G is the Gram matrix about the means. One evaluation with its gradient is a Cholesky factor and an inverse.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from scipy.optimize import minimize
from torch import Tensor

from recollect.probing.estimation.priors import Prior

_SMALLEST_RESIDUAL = 1e-13
"""Of the target's energy; less is rounding."""

_CLOSE = 2e-3
"""Searches end where a step gains about so much log marginal likelihood."""


@dataclass(frozen=True, eq=False)
class Regression:
    """Normal equations about the means, in units where inputs and target have variance one."""

    gram: Float64[Tensor, "columns columns"]
    cross: Float64[Tensor, " columns"]
    energy: float
    degrees: int


@dataclass(frozen=True, eq=False)
class Tuned:
    """A prior at the best logarithms found of its hyperparameters, and its log marginal likelihood there."""

    prior: Prior
    logs: Float64[Tensor, " parameters"]
    evidence: float

    def precision(self, lags: int) -> tuple[Float64[Tensor, "3 lags"], Float64[Tensor, ""]]:
        return self.prior.precision(self.logs, lags)

    def score(self, lags: int) -> float:
        """The evidence less one for each number fitted, and the logarithm of the lags for a dead time."""
        return self.evidence - len(self.logs) - (math.log(lags) if self.prior.delay else 0.0)


def residual_energy(regression: Regression, explained: float) -> float:
    return max(regression.energy - explained, _SMALLEST_RESIDUAL * regression.energy)


def add_bands(
    matrix: Float64[Tensor, "lags lags"], bands: Float64[Tensor, "3 lags"]
) -> Float64[Tensor, "lags lags"]:
    """A new matrix: the symmetric banded one added."""
    result, n = matrix.clone(), len(matrix)
    result.diagonal().add_(bands[0])
    for k in (1, 2):
        result.diagonal(k).add_(bands[k, : max(n - k, 0)])
        result.diagonal(-k).add_(bands[k, : max(n - k, 0)])
    return result


def _evidence(regression: Regression, left: float, log_ratio: float) -> float:
    n = regression.degrees
    return -0.5 * (n * (math.log(2 * math.pi * left / n) + 1) + log_ratio)


def evidence_and_gradient(
    regression: Regression, prior: Prior, logs: Float64[Tensor, " parameters"]
) -> tuple[float, Float64[Tensor, " parameters"]]:
    """Log marginal likelihood and its gradient in the logarithms; minus infinity where rounding spoils it."""
    variable = logs.clone().requires_grad_()
    with torch.enable_grad():
        precision, log_determinant = prior.precision(variable, len(regression.cross))
    factor, failed = torch.linalg.cholesky_ex(add_bands(regression.gram, precision.detach()))
    if failed or not bool(torch.isfinite(factor.diagonal()).all()):
        return -math.inf, torch.zeros_like(logs)
    inverse = torch.cholesky_inverse(factor)
    mean = inverse @ regression.cross
    left = residual_energy(regression, float(regression.cross @ mean))
    value = _evidence(
        regression, left, 2 * float(factor.diagonal().log().sum()) - float(log_determinant.detach())
    )
    slope = -_band_slopes(inverse, mean * math.sqrt(regression.degrees / left))
    half = log_determinant.new_tensor(0.5)
    (gradient,) = torch.autograd.grad([precision, log_determinant], variable, [slope, half])
    return value, gradient


def _band_slopes(
    inverse: Float64[Tensor, "lags lags"], mean: Float64[Tensor, " lags"]
) -> Float64[Tensor, "3 lags"]:
    """Half of `inverse + mean mean^T`, both halves of a band counted."""
    slopes, n = torch.zeros(3, len(mean), dtype=mean.dtype), len(mean)
    for k, weight in ((0, 0.5), (1, 1.0), (2, 1.0)):
        left = max(n - k, 0)
        slopes[k, :left] = weight * (inverse.diagonal(k)[:left] + mean[:left] * mean[k:])
    return slopes


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, matrices are factored by one thread: a thousand times a few hundred columns, two are slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tune(
    regression: Regression, prior: Prior, start: Float64[Tensor, " parameters"], *, steps: int = 40
) -> Tuned:
    """The nearest maximum of the marginal likelihood within the ranges of the hyperparameters."""
    ranges = [parameter.range(len(regression.cross)) for parameter in prior.parameters]
    best = Tuned(prior, start, -math.inf)

    def objective(
        point: Float64[np.ndarray, " parameters"],
    ) -> tuple[float, Float64[np.ndarray, " parameters"]]:
        nonlocal best
        logs = torch.from_numpy(point.copy())
        value, gradient = evidence_and_gradient(regression, prior, logs)
        if value > best.evidence:
            best = Tuned(prior, logs, value)
        if not math.isfinite(value):
            return 1e12, np.zeros_like(point)
        return -value, -gradient.numpy()

    lower, upper = zip(*ranges, strict=True)
    first = np.clip(start.numpy(), lower, upper)
    options = {
        "maxiter": steps,
        "maxfun": 2 * steps,
        "ftol": _CLOSE / regression.degrees,
        "gtol": 10 * _CLOSE,
    }
    with one_thread():
        minimize(objective, first, jac=True, method="L-BFGS-B", bounds=ranges, options=options)
    return best
