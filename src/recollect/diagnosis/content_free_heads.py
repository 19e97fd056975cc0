"""Attention by age alone: how many heads it needs, for one white input and a short horizon."""

from collections.abc import Sequence

from torch.nn import functional

from recollect.diagnosis.answer import Construction, Recommendation, SizedFloor, answer
from recollect.diagnosis.question import Question
from recollect.floors import AlibiHeads, Fit, Problem, RecurrenceBound

_LONGEST = 512
_MOST_HEADS = 16
_LENGTHS = (4, 5, 6, 8, 12, 16)
"""Quarters of the memory's lags: how much has been read where errors are looked at."""


def recommend_heads(question: Question, bounds_of: Sequence[RecurrenceBound]) -> list[Recommendation]:
    """Heads of trained slopes: at one position each is a real pole, so recurrences bound them.

    Constructed with the fixed slopes of ALiBi, which such heads begin from, and gains by least squares at the
    last position. What a softmax weighs depends on how much it has read: the error is the largest over
    sequences up to four times as long.
    """
    metric = question.metric
    if not metric.is_white or metric.num_inputs > 1 or not question.remembers:
        return []
    if len(question.memory) > _LONGEST:
        return []
    problem = Problem(question.memory[:, 0].clone())
    sizes = range(1, min(len(bounds_of), _MOST_HEADS) + 1)
    best: tuple[float, Construction | None] = (float("inf"), None)
    sized = []
    for size, bound in zip(sizes, bounds_of, strict=False):
        [floor] = AlibiHeads(feed_through=True).floors(problem, [size])
        if floor.fit is not None:
            best = min(best, (_largest_cost(question, floor.fit), floor.fit), key=lambda built: built[0])
        predicted = question.total(best[0])
        sized.append(SizedFloor(size, question.total(bound.lower), predicted, heads_model(size), best[1]))
    why = "at one position a head is a real state; built with fixed slopes, trained ones may need fewer"
    return [answer("alibi", "heads", sized, question.reach, 1, why)]


def _largest_cost(question: Question, fit: Fit) -> float:
    """Of the taps at several lengths of what has been read; lags beyond the memory are to be zero."""
    variance, lags = float(question.metric.autocovariance[0, 0, 0]), len(question.memory)
    costs = []
    for length in (lags * part // 4 for part in _LENGTHS):
        taps = fit.taps(length)
        wanted = functional.pad(question.memory[:, 0], (0, length - lags))
        costs.append(variance * float((wanted - taps).square().sum()))
    return max(costs)


def heads_model(num_heads: int) -> dict[str, object]:
    """One channel a head."""
    options = {"num_heads": num_heads, "positions": "alibi", "content": False}
    return {"mixer": "attention", "dim": num_heads, "options": options}
