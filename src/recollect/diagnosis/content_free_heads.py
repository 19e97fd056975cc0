"""Attention by age alone: how many heads it needs, for one white input and a short horizon."""

from collections.abc import Sequence

from recollect.diagnosis.answer import Construction, Recommendation, SizedFloor, answer
from recollect.diagnosis.question import Question
from recollect.floors import AlibiHeads, Problem, RecurrenceBound

_LONGEST = 512
_MOST_HEADS = 16


def recommend_heads(question: Question, bounds_of: Sequence[RecurrenceBound]) -> list[Recommendation]:
    """Heads of trained slopes: at one position each is a real pole, so recurrences bound them.

    Constructed with the fixed slopes of ALiBi, which such heads begin from, and gains by least squares.
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
        # Gains that nearly cancel lose digits: the error of the taps themselves counts.
        if floor.fit is not None:
            taps = floor.fit.taps(len(question.memory))
            best = min(
                best, (metric.cost(question.memory - taps[:, None]), floor.fit), key=lambda built: built[0]
            )
        predicted = question.total(best[0])
        sized.append(SizedFloor(size, question.total(bound.lower), predicted, heads_model(size), best[1]))
    why = "at one position a head is a real state; built with fixed slopes, trained ones may need fewer"
    return [answer("alibi", "heads", sized, question.reach, 1, why)]


def heads_model(num_heads: int) -> dict[str, object]:
    """One channel a head."""
    options = {"num_heads": num_heads, "positions": "alibi", "content": False}
    return {"mixer": "attention", "dim": num_heads, "options": options}
