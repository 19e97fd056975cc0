r"""The posterior of the memory functions of all inputs, and the search for the priors of each.

With several inputs, the hyperparameters of one are searched with the others integrated out under their own
priors, which leaves a regression on that input alone,

$$S_i = G_{ii} - G_{io} (G_{oo} + W_o)^{-1} G_{oi},\quad
  b_i - G_{io} (G_{oo} + W_o)^{-1} b_o,\quad y^\top y - b_o^\top (G_{oo} + W_o)^{-1} b_o ,$$

so each step climbs the marginal likelihood of all the data. For p inputs and L lags a round costs
O(p (p L)^3) and is cheap beside the searches, O(L^3) for each evaluation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from recollect.probing.estimation.evidence import Regression, Tuned, add_bands, residual_energy, tune
from recollect.probing.estimation.moments import NormalEquations
from recollect.probing.estimation.prior_search import Choice, Delay, choose_prior


@dataclass(frozen=True, eq=False)
class Posterior:
    """A Gaussian over memory functions, in units of the data.

    Attributes:
        memory: the mean, `[lag, input]`.
        factor: lower Cholesky factor of the precision of the scaled memory, relative to the noise variance.
        units: one over the deviation of each column.
        noise_variance: of the white noise.
        degrees: its degrees of freedom.
        evidence: log marginal likelihood.
        tuned: prior of each input.
    """

    memory: Float64[np.ndarray, "lags p"]
    factor: Float64[Tensor, "columns columns"]
    units: Float64[np.ndarray, " columns"]
    noise_variance: float
    degrees: int
    evidence: float
    tuned: tuple[Tuned, ...]

    @cached_property
    def unit_variances(self) -> Float64[np.ndarray, " columns"]:
        """Of the scaled memory, relative to the noise variance."""
        (invert_triangle,) = get_lapack_funcs(("trtri",), (self.factor.numpy(),))
        inverse, _ = invert_triangle(self.factor.numpy(), lower=1)
        return np.square(inverse).sum(0)

    @property
    def standard_errors(self) -> Float64[np.ndarray, "lags p"]:
        lags, p = self.memory.shape
        return (np.sqrt(self.noise_variance * self.unit_variances) * self.units).reshape(p, lags).T

    def draws(self, count: int, seed: int) -> Float64[np.ndarray, "count lags p"]:
        """Memory functions from the posterior."""
        lags, p = self.memory.shape
        generator = torch.Generator().manual_seed(seed)
        normal = torch.randn(len(self.factor), count, generator=generator, dtype=torch.float64)
        steps = torch.linalg.solve_triangular(self.factor.T, normal, upper=True).T.numpy()
        scaled = steps * math.sqrt(self.noise_variance) * self.units
        return self.memory + scaled.reshape(count, p, lags).transpose(0, 2, 1)


def scaled_regression(
    equations: NormalEquations, lags: int
) -> tuple[Regression, Float64[np.ndarray, " columns"]]:
    """In units where each input and the target have variance one; and one over the inputs' deviations."""
    inputs = np.sqrt(np.repeat(equations.gram.diagonal()[::lags], lags) / equations.count)
    target = math.sqrt(equations.energy / equations.count)
    regression = Regression(
        gram=torch.from_numpy(equations.gram / np.outer(inputs, inputs)),
        cross=torch.from_numpy(equations.cross / (inputs * target)),
        energy=float(equations.count),
        degrees=equations.degrees,
    )
    return regression, 1 / inputs


def condition_on_others(regression: Regression, tuned: Sequence[Tuned], lags: int, which: int) -> Regression:
    """What is left for one input when the others are integrated out under their priors."""
    if len(tuned) == 1:
        return regression
    own = torch.zeros(len(regression.cross), dtype=torch.bool)
    own[which * lags : (which + 1) * lags] = True
    others = [one for i, one in enumerate(tuned) if i != which]
    factor = torch.linalg.cholesky(_add_precisions(regression.gram[~own][:, ~own], others, lags))
    across = torch.cat([regression.gram[~own][:, own], regression.cross[~own, None]], dim=1)
    whitened = torch.linalg.solve_triangular(factor, across, upper=False)
    taken = whitened.T @ whitened
    return Regression(
        gram=regression.gram[own][:, own] - taken[:-1, :-1],
        cross=regression.cross[own] - taken[:-1, -1],
        energy=residual_energy(regression, float(taken[-1, -1])),
        degrees=regression.degrees,
    )


def _add_precisions(
    gram: Float64[Tensor, "columns columns"], tuned: Sequence[Tuned], lags: int
) -> Float64[Tensor, "columns columns"]:
    result = gram.clone()
    for i, one in enumerate(tuned):
        block = slice(i * lags, (i + 1) * lags)
        result[block, block] = add_bands(gram[block, block], one.precision(lags)[0])
    return result


def posterior(equations: NormalEquations, tuned: Sequence[Tuned]) -> Posterior:
    """With given priors."""
    lags = len(equations.cross) // len(tuned)
    regression, units = scaled_regression(equations, lags)
    factor = torch.linalg.cholesky(_add_precisions(regression.gram, tuned, lags))
    whitened = torch.linalg.solve_triangular(factor, regression.cross[:, None], upper=False)
    mean = torch.linalg.solve_triangular(factor.T, whitened, upper=True)[:, 0].numpy()
    left = residual_energy(regression, float(whitened.square().sum()))
    log_determinant = sum(float(one.precision(lags)[1]) for one in tuned)
    n = regression.degrees
    scale = equations.energy / equations.count
    # The density is of the target in its own units.
    log_ratio = 2 * float(factor.diagonal().log().sum()) - log_determinant
    evidence = -0.5 * (n * (math.log(2 * math.pi * scale * left / n) + 1) + log_ratio)
    return Posterior(
        memory=(mean * units * math.sqrt(scale)).reshape(len(tuned), lags).T,
        factor=factor,
        units=units,
        noise_variance=scale * left / n,
        degrees=n,
        evidence=evidence,
        tuned=tuple(tuned),
    )


def search_priors(
    equations: NormalEquations, first: Sequence[Tuned], prior: str, delays: Sequence[Delay]
) -> tuple[tuple[Tuned, ...], list[Choice], dict[str, float]]:
    """A prior for each input, what it was chosen from, and evidences by name.

    With several inputs an evidence is that of the data when each input has its best prior of that name, to
    first order: the differences of one input at a time are added. Names far behind are not searched out.

    Args:
        equations: the problem.
        first: a flexible prior for each input, to begin with.
        prior: a name of `PRIORS`, or "auto".
        delays: of each input, or "auto".
    """
    lags = len(equations.cross) // len(first)
    regression, _ = scaled_regression(equations, lags)
    tuned = list(first)
    choices: list[Choice] = []
    for which, delay in enumerate(delays):
        choices.append(choose_prior(condition_on_others(regression, tuned, lags, which), prior, delay))
        tuned[which] = choices[-1].best
    if len(tuned) > 1:
        tuned = retune(regression, tuned, lags, steps=10)
    return tuple(tuned), choices, _evidences(posterior(equations, tuned).evidence, choices)


def retune(regression: Regression, tuned: Sequence[Tuned], lags: int, *, steps: int) -> list[Tuned]:
    """The search gone on with for each input in turn."""
    result = list(tuned)
    for which, one in enumerate(tuned):
        part = condition_on_others(regression, result, lags, which)
        result[which] = tune(part, one.prior, one.logs, steps=steps)
    return result


def _evidences(best: float, choices: Sequence[Choice]) -> dict[str, float]:
    names = dict.fromkeys(name for choice in choices for name in choice.evidences)
    return {
        name: best
        + sum(choice.evidences[name] - choice.best.evidence for choice in choices if name in choice.evidences)
        for name in names
    }
