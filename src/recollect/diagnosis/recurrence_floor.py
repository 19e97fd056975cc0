r"""What linear recurrences with m states must miss, for any input: white, coloured, one or several.

For white input the theorems of `recollect.floors` hold as they are. For a coloured one, compare it with
filtered white noise (`autoregression`): an error e costs at least $\lambda$ times what it costs there, and
there a recurrence of m states is followed by a filter of q, whose modes are known. So

$$\min_{m\ \text{states}} e^\top R\, e \;\ge\;
  \max_q\, \lambda_q \min_{m\ \text{states and}\ q\ \text{modes}} \sum_s |(g_q * \rho) M - \hat\rho|_s^2,$$

where the right side is bounded by the Hankel blocks of the filtered target with these modes projected out
(`joint_recurrence_bounds`). q = 0 is the bound by the least eigenvalue of R. The filter is one for all
inputs, so it commutes with the recurrence, and its modes stand once behind the output. A feed-through passes
the filter as a multiple of g, whose later taps are among the modes; the tap at lag 0 stays free. Errors at
lags beyond a horizon T only add: at T < L the metric is the least cost of an error given at the first T lags.

Derived for this project; checked against a search over models under R.
"""

from collections.abc import Sequence

from recollect.diagnosis.autoregression import FilteredNoise
from recollect.diagnosis.input_metric import InputMetric, Memory
from recollect.floors.joint_recurrence_bound import joint_recurrence_bounds
from recollect.floors.problem import Problem
from recollect.floors.recurrence_bound import RecurrenceBound, recurrence_bounds

_ORDERS = (0, 1, 2, 4)
"""Orders q of the filters that are compared with."""

_LARGEST_FORM = 1024
"""Lags times inputs of the quadratic forms whose eigenvalues are found."""


def recurrence_costs(
    memory: Memory, metric: InputMetric, sizes: Sequence[int], horizon: int
) -> list[RecurrenceBound]:
    """For each number of real states, in the order given, a cost that no recurrence is below.

    With a feed-through: the present input reaches the output past the states. Never rising with the size.
    `lower` is $e^\\top R e$ itself, not over the target's power.

    Args:
        memory: the target, at lags 0..L-1 of each input.
        metric: of as many lags and inputs.
        sizes: numbers of real states, at least 1.
        horizon: T, the lags that are looked at.
    """
    if metric.is_white:
        return _under_noise(FilteredNoise.of(metric, 0, horizon), memory[:horizon], sizes, 1.0, searched=True)
    horizon = max(2, min(horizon, _LARGEST_FORM // metric.num_inputs))
    target = memory[:horizon]
    noises = [FilteredNoise.of(metric, order, horizon) for order in _ORDERS if order < metric.num_lags]
    form = metric.of_first_lags(horizon)
    ratios = [noise.least_ratio(form) for noise in noises]
    found = [
        _under_noise(noise, target, sizes, ratio, searched=False)
        for noise, ratio in zip(noises, ratios, strict=True)
    ]
    if metric.num_inputs == 1:
        # The search over weights takes most of the time: the first comparison gets it, and the one that is
        # best most often.
        by_size = [[bound.lower for bound in bounds] for bounds in zip(*found, strict=True)]
        best = [lowers.index(max(lowers)) for lowers in by_size]
        for place in {0, max(sorted(set(best)), key=best.count)}:
            found.append(_under_noise(noises[place], target, sizes, ratios[place], searched=True))
    return [max(bounds, key=lambda bound: bound.lower) for bounds in zip(*found, strict=True)]


def _under_noise(
    noise: FilteredNoise, memory: Memory, sizes: Sequence[int], ratio: float, *, searched: bool
) -> list[RecurrenceBound]:
    """The bound by one comparison, `ratio` times that for white input and the filter's states more."""
    target = noise.whiten(memory[..., None])[..., 0]
    energy = float(target.square().sum())
    if not energy > Problem.smallest_energy:
        return [RecurrenceBound(0.0, "nothing is remembered") for _ in sizes]
    if searched and target.shape[1] == 1:
        larger = [size + noise.order for size in sizes]
        bounds = recurrence_bounds(Problem(target[:, 0].clone()), larger, feed_through=True)
    else:
        bounds = joint_recurrence_bounds(target, sizes, feed_through=True, free=noise.free_responses)
    how = "" if noise.order == 0 and ratio == 1.0 else _how(noise.order, ratio)
    return [RecurrenceBound(bound.lower * energy * ratio, bound.how + how) for bound in bounds]


def _how(order: int, ratio: float) -> str:
    if order == 0:
        return f", times the least eigenvalue of the input's covariance ({ratio:.2g} of its variance)"
    return f", of the target behind the input's own filter of {order}, times {ratio:.2g} for what that leaves"
