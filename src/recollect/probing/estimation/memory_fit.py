"""From records to the posterior of their memory functions, the colour of the noise found on the way."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64

from recollect.probing.estimation.evidence import Tuned, tune
from recollect.probing.estimation.memory_beyond import earlier_inputs, well_supported
from recollect.probing.estimation.mixture import Mixture, draw_priors
from recollect.probing.estimation.moments import NormalEquations
from recollect.probing.estimation.noise import fit_autoregression, power_gain, variance_inflation
from recollect.probing.estimation.posterior import (
    Posterior,
    condition_on_others,
    posterior,
    retune,
    scaled_regression,
    search_priors,
)
from recollect.probing.estimation.prediction import filtered
from recollect.probing.estimation.prior_search import Choice, Delay, starts
from recollect.probing.estimation.priors import Prior
from recollect.probing.estimation.problem import Problem, pose
from recollect.probing.estimation.records import Records

_SAME_COLOUR = 0.02
"""Autoregressions whose taps differ by less are the same."""

_ROUNDING = 1e-12
"""Of the target's variance: noise below it is that of the sums."""

_NEAR = 10.0
"""Priors that explain the data so much worse, in log marginal likelihood, have no part in the average."""

_COMPONENTS, _FEW_COMPONENTS, _MANY_COLUMNS = 32, 6, 1000
"""Components of the average over hyperparameters."""


_SAME_COLOUR = 0.02
"""Autoregressions whose taps differ by less are the same."""


_NEAR = 10.0
"""Priors that explain the data so much worse, in log marginal likelihood, have no part in the average."""


@dataclass(frozen=True, eq=False)
class First:
    """A problem, priors tuned to it for a start, and whether the memory goes on beyond the lags."""

    problem: Problem
    scouts: tuple[Tuned, ...]
    goes_on: bool


@dataclass(frozen=True, eq=False)
class MemoryFit:
    """A posterior, and what it was found from.

    Attributes:
        posterior: of the memory functions, at the best hyperparameters.
        mixture: averaged over hyperparameters.
        evidences: log marginal likelihood of each prior by name.
        problem: the records as they were fitted.
        goes_on: whether the memory goes on beyond the lags.
        intercept: of the prediction in the records as they came.
        residual: there, NaN where nothing is predicted.
        noise_variance: there.
    """

    posterior: Posterior
    mixture: Mixture
    evidences: dict[str, float]
    problem: Problem
    goes_on: bool
    intercept: float
    residual: Float64[np.ndarray, " n"]
    noise_variance: float


def fit_memory(records: Records, lags: int, *, prior: str, noise: str, delays: Sequence[Delay]) -> MemoryFit:
    """Priors, colour of the noise and posterior, for a given number of lags."""
    first = first_problem(records, lags, noise)
    problem = first.problem
    tuned, choices, evidences = search_priors(problem.equations, first.scouts, prior, delays)
    belief = posterior(problem.equations, tuned)
    if noise != "white" and not first.goes_on:
        again = _recoloured(problem, records, belief.memory)
        if again is not problem:
            problem = again
            regression, _ = scaled_regression(problem.equations, lags)
            belief = posterior(problem.equations, retune(regression, tuned, lags, steps=20))
    mixture = _mixture(problem.equations, belief.tuned, choices)
    intercept, residual, beyond = _residual(records, mixture.memory, problem.goes_on)
    if first.goes_on:
        explained = problem.records.target - residual
        mixture = mixture.widened(variance_inflation(explained * (residual - beyond), records.spans))
    white = belief.noise_variance * power_gain(problem.colour) + float(np.nanvar(beyond))
    return MemoryFit(
        posterior=belief,
        mixture=mixture,
        evidences=evidences,
        problem=problem,
        goes_on=first.goes_on,
        intercept=intercept,
        residual=residual,
        # A fitted autoregression is more stable than a noise that is nearly a random walk.
        noise_variance=max(white, float(np.nanvar(residual))) if len(problem.colour) else white,
    )


def first_problem(records: Records, lags: int, noise: str) -> First:
    """With or without memory beyond the lags, each with the colour that its noise shows in a first fit.

    Noise made of earlier inputs also has a colour; an information criterion tells which it is. If the memory
    goes on, nothing is filtered: what is left fades slowly, its filter is almost a difference, and
    differences do not show the level of a memory that is cut off. Free regressors stay where the record is
    long for them.
    """
    plain = pose(records, lags, np.zeros(0), goes_on=False)
    longer = pose(records, lags, np.zeros(0), goes_on=True)
    scouts = scout(plain.equations, lags)
    rivals = [plain, longer]
    if noise != "white":
        rivals = [_recoloured(one, records, posterior(one.equations, scouts).memory) for one in rivals]
    if _information(rivals[0], scouts) <= _information(rivals[1], scouts):
        return First(rivals[0], scouts, goes_on=False)
    return First(longer if well_supported(records.spans, lags) else plain, scouts, goes_on=True)


def _information(problem: Problem, scouts: Sequence[Tuned]) -> float:
    """Deviance, log n for each number of the colour, as where its order is chosen, 2 for a free regressor."""
    free = 0 if problem.free is None else problem.free.shape[1]
    rows = len(problem.records.inputs)
    noise = posterior(problem.equations, scouts).noise_variance
    noise = max(noise, _ROUNDING * problem.equations.energy / rows)
    return rows * math.log(noise) + math.log(rows) * len(problem.colour) + 2 * free


def _recoloured(problem: Problem, records: Records, memory: Float64[np.ndarray, "lags p"]) -> Problem:
    """The same problem where the noise left by `memory` has the colour assumed, else a new one."""
    lags = len(memory)
    _, residual, beyond = _residual(records, memory, problem.goes_on)
    known = tuple((start + lags - 1, stop) for start, stop in records.spans if stop - start >= lags)
    colour = fit_autoregression(residual - beyond, known)
    size = max(len(colour), len(problem.colour))
    gap = np.pad(colour, (0, size - len(colour))) - np.pad(problem.colour, (0, size - len(problem.colour)))
    if np.abs(gap).max(initial=0.0) < _SAME_COLOUR:
        return problem
    return pose(records, lags, colour, goes_on=problem.goes_on)


def scout(equations: NormalEquations, lags: int, family: str = "heavy_dc") -> tuple[Tuned, ...]:
    """One flexible family for all inputs, tuned once in turn."""
    regression, _ = scaled_regression(equations, lags)
    prior = Prior(family)
    p = len(equations.cross) // lags
    return tuple(retune(regression, [Tuned(prior, starts(prior, lags), 0.0)] * p, lags, steps=30))


def _mixture(equations: NormalEquations, tuned: Sequence[Tuned], choices: Sequence[Choice]) -> Mixture:
    """Hyperparameters of each input drawn with the others' at their best; few where each costs much."""
    lags = len(equations.cross) // len(tuned)
    regression, _ = scaled_regression(equations, lags)
    count = _COMPONENTS if len(equations.cross) <= _MANY_COLUMNS else _FEW_COMPONENTS
    generator = torch.Generator().manual_seed(0)
    drawn = []
    for which, choice in enumerate(choices):
        part = condition_on_others(regression, tuned, lags, which)
        # The colour of the noise and the other inputs' priors may have changed since the choice.
        near = [one for one in choice.found if one.score(lags) > choice.best.score(lags) - _NEAR]
        found = [tune(part, one.prior, one.logs, steps=6) for one in near]
        drawn.append(draw_priors(part, found, count, generator))
    return Mixture(tuple(posterior(equations, priors) for priors in zip(*drawn, strict=True)))


def _residual(
    records: Records, memory: Float64[np.ndarray, "lags p"], goes_on: bool
) -> tuple[float, Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """The intercept, what is left of the target, and of that what earlier inputs explain."""
    assert records.target is not None
    left = records.target - filtered(records.inputs, memory, records.spans).sum(1)
    intercept = float(np.nanmean(left))
    left = left - intercept
    beyond = np.where(np.isnan(left), np.nan, 0.0)
    if goes_on:
        inputs = records.inputs - records.inputs.mean(0)
        columns = earlier_inputs(inputs, records.spans, len(memory))
        known = ~np.isnan(left)
        slopes, *_ = np.linalg.lstsq(columns[known], left[known], rcond=None)
        beyond[known] = columns[known] @ slopes
    return intercept, left, beyond
