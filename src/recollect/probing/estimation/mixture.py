r"""Averaging over hyperparameters: a posterior that does not pretend to know its prior.

The best hyperparameters alone give bands that are too narrow, most of all where they make the prior almost a
curve of a few parameters. So families are drawn in proportion to $e^{\ell - k}$, with $\ell$ their best log
marginal likelihood and k the numbers fitted for it (a dead time costs the logarithm of the lags), then
hyperparameters from the normal approximation at the best, corrected by importance weights. Each draw is a
component: a Gaussian over memory functions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from recollect.probing.estimation.evidence import Regression, Tuned, evidence_and_gradient
from recollect.probing.estimation.posterior import Posterior

_FEWEST_SHARE = 0.005
"""Families of less weight are left out."""

_STEP = 1e-3
_WEAKEST_CURVATURE = 0.05
"""A logarithm known worse than to sqrt(20) is drawn as if it were known so well."""

_OVERDRAWN = 3
"""So many candidates are drawn for each component."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussians over memory functions, in equal parts."""

    components: tuple[Posterior, ...]

    @property
    def memory(self) -> Float64[np.ndarray, "lags p"]:
        return np.mean([part.memory for part in self.components], axis=0)

    @property
    def standard_errors(self) -> Float64[np.ndarray, "lags p"]:
        within = np.mean([part.standard_errors**2 for part in self.components], axis=0)
        return np.sqrt(within + np.var([part.memory for part in self.components], axis=0))

    def widened(self, factor: float) -> "Mixture":
        """Variances times `factor`."""
        parts = [replace(part, noise_variance=factor * part.noise_variance) for part in self.components]
        return Mixture(tuple(parts))

    def draws(self, count: int, seed: int) -> Float64[np.ndarray, "count lags p"]:
        """Memory functions: the same number from each component, up to one, in random order."""
        rng = np.random.default_rng(seed)
        owners = rng.permutation(np.arange(count) % len(self.components))
        result = np.empty((count, *self.memory.shape))
        for which, part in enumerate(self.components):
            mine = owners == which
            result[mine] = part.draws(int(mine.sum()), int(rng.integers(2**31)))
        return result


def draw_priors(
    regression: Regression, found: Sequence[Tuned], count: int, generator: torch.Generator
) -> list[Tuned]:
    """Priors with hyperparameters, in proportion to how well they explain the data; equal weights."""
    lags = len(regression.cross)
    scores = torch.tensor([tuned.score(lags) for tuned in found], dtype=torch.float64)
    shares = torch.softmax(scores, 0)
    shares = torch.where(shares < _FEWEST_SHARE, 0.0, shares)
    owners = _stratified(shares, _OVERDRAWN * count, generator)
    candidates, weights = [], []
    for which in owners.unique().tolist():
        for tuned, weight in _near(regression, found[which], int((owners == which).sum()), generator):
            candidates.append(tuned)
            weights.append(weight)
    chosen = _stratified(torch.tensor(weights, dtype=torch.float64), count, generator)
    shuffled = chosen[torch.randperm(count, generator=generator)]
    return [candidates[which] for which in shuffled.tolist()]


def _stratified(
    weights: Float64[Tensor, " n"], count: int, generator: torch.Generator
) -> Int64[Tensor, " count"]:
    """Indices in proportion to weights, one from each of `count` equal parts."""
    edges = (weights / weights.sum()).cumsum(0)
    places = (torch.arange(count, dtype=torch.float64) + torch.rand(1, generator=generator).double()) / count
    return torch.searchsorted(edges, places.clamp(max=float(edges[-1]) * (1 - 1e-12)))


def _near(
    regression: Regression, tuned: Tuned, count: int, generator: torch.Generator
) -> list[tuple[Tuned, float]]:
    """Draws from the normal approximation, each with its importance weight, at most 2."""
    spread = _spread(regression, tuned)
    bounds = torch.tensor(
        [parameter.range(len(regression.cross)) for parameter in tuned.prior.parameters], dtype=torch.float64
    )
    result = [(tuned, 1.0)]
    for _ in range(count - 1):
        normal = torch.randn(len(tuned.logs), generator=generator, dtype=torch.float64)
        logs = (tuned.logs + spread @ normal).clamp(bounds[:, 0], bounds[:, 1])
        value, _ = evidence_and_gradient(regression, tuned.prior, logs)
        log_weight = value - tuned.evidence + 0.5 * float(normal.square().sum())
        result.append((Tuned(tuned.prior, logs, value), math.exp(min(log_weight, math.log(2.0)))))
    return result


def _spread(regression: Regression, tuned: Tuned) -> Float64[Tensor, "parameters parameters"]:
    """A root of the inverse curvature of the log marginal likelihood."""
    size = len(tuned.logs)
    curvature = torch.zeros(size, size, dtype=torch.float64)
    for k in range(size):
        step = torch.zeros(size, dtype=torch.float64)
        step[k] = _STEP
        _, ahead = evidence_and_gradient(regression, tuned.prior, tuned.logs + step)
        _, behind = evidence_and_gradient(regression, tuned.prior, tuned.logs - step)
        curvature[k] = (behind - ahead) / (2 * _STEP)
    values, vectors = torch.linalg.eigh((curvature + curvature.T) / 2)
    return vectors / values.clamp(min=_WEAKEST_CURVATURE).sqrt()
