"""Linear dilated nets of two taps a level: how wide they must be, for one white input."""

import math
from dataclasses import replace

from recollect.diagnosis.answer import Recommendation, SizedFloor, answer
from recollect.diagnosis.question import Question
from recollect.floors import LinearDilated, Problem

_WIDEST = 8


def recommend_dilated(question: Question) -> list[Recommendation]:
    """None for a coloured input or several: the theorem is about one white input."""
    metric = question.metric
    if not metric.is_white or metric.num_inputs > 1 or not question.remembers:
        return []
    problem = Problem(question.memory[:, 0].clone())
    levels = max(1, (question.horizon - 1).bit_length())
    widths = range(1, _WIDEST + 1)
    floors = LinearDilated(num_levels=levels).floors(problem, widths)
    sized = []
    for width, floor in zip(widths, floors, strict=True):
        lower = question.total(floor.lower * question.power)
        predicted = None if floor.attained is None else question.total(floor.attained * question.power)
        sized.append(SizedFloor(width, lower, predicted, dilated_model(width, levels), floor.fit))
    why = f"ranks of the memory function unfolded by lag, in {levels} levels of two taps without nonlinearity"
    return [answer("linear_tcn", "channels", _rising(sized), question.reach, 1, why)]


def dilated_model(width: int, levels: int) -> dict[str, object]:
    """Without a residual around the block, which would not be of this class."""
    options = {"kernel_size": 2, "num_levels": levels, "activation": "linear"}
    return {"mixer": "tcn", "dim": width, "options": options, "residual": False}


def _rising(sized: list[SizedFloor]) -> list[SizedFloor]:
    """A wider net holds every narrower one."""
    kept: list[SizedFloor] = []
    for one in sized:
        best = min([one, *kept[-1:]], key=_predicted)
        kept.append(replace(one, predicted=best.predicted, fit=best.fit))
    return kept


def _predicted(one: SizedFloor) -> float:
    return math.inf if one.predicted is None else one.predicted
