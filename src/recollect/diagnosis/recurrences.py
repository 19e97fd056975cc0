r"""Linear recurrences: how many states they need.

An LRU (or S4D, or an SSM of complex states) carries two real numbers for each state, so its sizes are even
and its floor is that of as many real states; its construction has one pole for each state, real or one of a
complex pair. A real SSM has one real pole for each. All pass the present input on beside their states.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from recollect.diagnosis.answer import Construction, Recommendation, SizedFloor, answer
from recollect.diagnosis.pole_search import PoleSearch
from recollect.diagnosis.question import Question
from recollect.diagnosis.shared_poles import SharedPoles
from recollect.floors import RecurrenceBound, RecurrenceFit
from recollect.memory import ExponentialSum

_MANY_TIMES = 4
"""A floor is called loose where a size so many times the impossible ones is needed."""

Built = tuple[SharedPoles, float]


def recommend_recurrence(
    question: Question, bounds_of: Sequence[RecurrenceBound], *, real: bool
) -> Recommendation:
    """Sizes are real numbers carried; with `real` from 1 up, otherwise even ones.

    Args:
        question: the target and the error to reach.
        bounds_of: costs that 1, 2, ... real states cannot be below, from `recurrence_costs`.
        real: whether poles are real.
    """
    per_state, num_inputs = (1 if real else 2), question.metric.num_inputs
    # As many real states as lags hold any taps; an odd one is half of a complex state.
    most = min(len(bounds_of), len(question.memory) + per_state - 1) // per_state
    sizes = [per_state * states for states in range(1, most + 1)]
    bounds = [bounds_of[size - 1] for size in sizes]
    floors = {size: question.total(bound.lower) for size, bound in zip(sizes, bounds, strict=True)}
    unable = sum(floor > question.reach for floor in floors.values())
    search = PoleSearch(question.memory, question.metric, question.horizon, real)
    built = smallest_built(search.best, most, unable + 1, question.allowed)
    sized = [
        SizedFloor(size, floors[size], *_described(question, size // per_state, built, num_inputs, real))
        for size in sizes
        if size <= per_state * max(built)
    ]
    deciding = bounds[min(max(unable - 1, 0), most - 1)].how
    found = answer("real_ssm" if real else "lru", "real states", sized, question.reach, num_inputs, deciding)
    return _with_looseness(found)


def smallest_built(
    build: Callable[[int, SharedPoles | None], Built], most: int, first: int, allowed: float
) -> dict[int, Built]:
    """Constructions by number of states, up to the first that costs no more than allowed, and one beyond.

    Sizes rise by half as much again, and the gap in which the first lies is halved; each search begins from
    the next smaller construction, and no construction costs more than a smaller one.

    Args:
        build: a construction of a size, given the smaller one.
        most: the largest size.
        first: the smallest that is not proven unable.
        allowed: the cost.
    """
    built: dict[int, Built] = {}

    def reaches(size: int) -> bool:
        if size not in built:
            smaller = max((other for other in built if other < size), default=None)
            built[size] = build(size, None if smaller is None else built[smaller][0])
        return built[size][1] <= allowed

    low, high = 0, min(most, max(1, (first + 1) // 2))
    while not reaches(high) and high < most:
        low, high = high, min(most, max(high + 1, high * 3 // 2))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    if reaches(high):
        for neighbour in (high - 1, high + 1):
            if 1 <= neighbour <= most:
                reaches(neighbour)
    best: Built | None = None
    for size in sorted(built):
        best = built[size] if best is None or built[size][1] < best[1] else best
        built[size] = best
    return built


def recurrence_model(num_states: int, num_inputs: int, *, real: bool) -> dict[str, object]:
    """As wide as its inputs are many: no more is needed to hold any construction."""
    options: dict[str, object] = {"num_states": num_states}
    options |= {"states": "real", "parametrisation": "stable"} if real else {}
    mixer = "ssm" if real else "lru"
    return {"mixer": mixer, "dim": num_inputs, "options": options, "residual": False}


def _described(
    question: Question, num_states: int, built: dict[int, Built], num_inputs: int, real: bool
) -> tuple[float | None, dict[str, object] | None, Construction | None]:
    """Predicted NMSE, configuration and construction."""
    model = recurrence_model(num_states, num_inputs, real=real)
    if num_states not in built:
        return None, model, None
    fit, cost = built[num_states]
    return question.total(cost), model, _construction(fit)


def _construction(fit: SharedPoles) -> Construction:
    """Of one input as the fit that models of one channel start from."""
    if fit.residues.shape[1] > 1:
        return fit
    return RecurrenceFit(ExponentialSum(fit.poles, fit.residues[:, 0].clone()), float(fit.feed_through[0]))


def _with_looseness(found: Recommendation) -> Recommendation:
    excluded = found.impossible_below or found.by_size[0].size
    if found.size is None or found.size < _MANY_TIMES * excluded:
        return found
    return replace(found, why=f"{found.why} (loose: what lies between is not known)")
