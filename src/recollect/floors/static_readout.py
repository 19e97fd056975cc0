r"""One linear recurrence read by any static function, under Gaussian input.

At position t the state is a linear map of the inputs, so target and state are jointly Gaussian, and the best
readout $E[y_t \mid z_t]$ is linear. Its coefficients may depend on t: from zero state they do, through the
effective gain of a nonlinear function of a state that has not settled. Each position alone therefore obeys
the bound of equal lag weights over the lags that it has seen,

$$E (y_t - g(z_t))^2 \ge \min_{m\ \text{states}} \sum_{s \le t} (\rho_s - \hat\rho_s)^2 =: e_t,$$

but their mean does not obey that of the window, which asks for one readout at all positions. As $e_t$ does
not fall with t, bounds at a few positions serve all those that follow, as a staircase.

It does not hold for other inputs: one state can pack bits of +-1. Derived for this project.
"""

from collections.abc import Sequence

from recollect.floors.problem import Problem
from recollect.floors.recurrence_bound import RecurrenceBound, recurrence_bounds

_STEPS = 12


def static_readout_bounds(
    problem: Problem, sizes: Sequence[int], *, feed_through: bool = False
) -> list[RecurrenceBound]:
    """Lower bounds of the NMSE of a linear recurrence and any static readout, for Gaussian input.

    `uniform` reads the last position alone, where a nonlinear readout gains nothing. `window` averages the
    positions: some sixteen horizons are bounded, which costs about four times the longest.

    Args:
        problem: taps and weighting.
        sizes: numbers of real states, at least 1.
        feed_through: whether the readout sees the present input too.

    Raises:
        ConfigError: a size below 1.

    Example:
        >>> delay = Problem(torch.tensor([0.0, 0.0, 0.0, 1.0] + [0.0] * 4, dtype=torch.float64))
        >>> round(static_readout_bounds(delay, [2])[0].lower, 6)
        0.5
    """
    at_the_end = Problem(problem.rho)
    last = recurrence_bounds(at_the_end, sizes, feed_through=feed_through)
    if problem.weighting == "uniform":
        return [RecurrenceBound(bound.lower, f"{bound.how}; Gaussian input, any readout") for bound in last]
    horizons = _horizons(problem.length)
    totals = [0.0] * len(sizes)
    for horizon, following in zip(horizons, [*horizons[1:], problem.length + 1], strict=True):
        prefix = problem.up_to(horizon - 1)
        if prefix is None:
            continue
        whole = horizon == problem.length
        bounds = last if whole else recurrence_bounds(prefix, sizes, feed_through=feed_through)
        for place, bound in enumerate(bounds):
            totals[place] += bound.lower * prefix.energy * (following - horizon)
    how = f"equal lag weights at each of {len(horizons)} positions; Gaussian input, any readout"
    slack = 1.0 - 8 * problem.length * 2.0**-52
    return [RecurrenceBound(total * slack / (problem.length * problem.energy), how) for total in totals]


def _horizons(length: int) -> list[int]:
    """Evenly spaced up to the whole, and a few shorter ones: position t sees t + 1 lags."""
    even = {-(-length * step // _STEPS) for step in range(1, _STEPS + 1)}
    short = {length // (_STEPS * 2**halving) for halving in range(1, 5)}
    return sorted(horizon for horizon in even | short if horizon > 0)
