r"""How far back a memory function reaches, and over how many taps, when it is known up to errors.

The horizon $H_q$ is the smallest number of lags R with
$D_R = \sum_{s<R} \rho_s^2 - q \sum_s \rho_s^2 \ge 0$. $D_R$ rises with R, so an estimate of it with a
standard error bounds the horizon: with one-sided bounds of $D_R$ at each R, the first R at which
the upper bound is not negative is a lower bound of $H_q$, and the last R at which the lower one is
negative, plus one, an upper bound. Each can fail only by the failure of one single bound, at the true
horizon or right before it (Fieller's construction, here for a ratio of energies).
"""

import torch
from jaxtyping import Float64
from scipy.stats import t as student
from torch import Tensor

from recollect.probing.profile.energies import Energies
from recollect.probing.profile.interval import Interval


def horizon(energies: Energies, q: float, confidence: float) -> Interval:
    """H_q in lags, counted as `recollect.memory.energy_horizon` counts; 0 where there is no memory at all."""
    if energies.errors_are == "posterior":
        return _posterior_horizon(energies, q, confidence)
    # Counting is between the first and the last crossing of a noisy estimate.
    excess = _excess(energies.mean[None], q)[0]
    deviation = _excess(energies.deviations, q).square().mean(0).sqrt()
    reach = _quantile(confidence, len(energies.deviations)) * deviation
    lags = len(excess)
    possible = (excess + reach >= 0).nonzero()
    short = (excess - reach < 0).nonzero()
    lower = float(possible[0]) if len(possible) else float(lags)
    return Interval(
        # A lower bound of 0 is a total energy that is not told from 0: no memory was found.
        value=float((excess < 0).sum()) if lower > 0 else 0.0,
        lower=lower,
        upper=float(short[-1] + 1) if len(short) else 0.0,
    )


def effective_taps(energies: Energies) -> float:
    r"""$(\sum_s \rho_s^2)^2 / \sum_s \rho_s^4$, cleared of the noise; 0 where there is no memory at all."""
    if energies.errors_are == "posterior":
        drawn = energies.mean + energies.deviations
        return float((drawn.sum(1).square() / drawn.square().sum(1)).nan_to_num().median())
    # A square of an estimate is too large by the estimate's variance.
    total = energies.mean.sum().square() - energies.deviations.sum(1).square().mean()
    squares = (energies.mean.square() - energies.spread.square()).sum()
    if not (total > 0 and squares > 0 and energies.mean.sum() > 0):
        return 0.0
    return min(float(total / squares), float(len(energies.mean)))


def _posterior_horizon(energies: Energies, q: float, confidence: float) -> Interval:
    """The truth's horizon in each draw of it."""
    drawn = (_excess(energies.mean + energies.deviations, q) < 0).sum(1).double()
    tail = (1 - confidence) / 2
    return Interval(
        value=float(drawn.quantile(0.5, interpolation="nearest")),
        lower=float(drawn.quantile(tail, interpolation="lower")),
        upper=float(drawn.quantile(1 - tail, interpolation="higher")),
    )


def _excess(energy: Float64[Tensor, "draws lags"], q: float) -> Float64[Tensor, "draws lags"]:
    """D_R at R = 0..T-1; D_T is not negative."""
    cumulative = energy.cumsum(1)
    before = torch.nn.functional.pad(cumulative[:, :-1], (1, 0))
    # The slack keeps a share that is met exactly from being missed by rounding.
    return before - q * (1 - 1e-12) * cumulative[:, -1:]


def _quantile(confidence: float, draws: int) -> float:
    return float(student.ppf((1 + confidence) / 2, max(draws - 1, 1)))
