"""Families that no theorem bounds: said so, with a width to begin from."""

from recollect.diagnosis.answer import Recommendation
from recollect.floors import NoFloor, find_class

UNBOUNDED = ("rnn", "lstm", "gru", "attention", "mamba2", "gated_deltanet")
"""Of the families without a floor, those that are named."""

_MULTIPLE, _WIDEST = 8, 128


def recommend_unbounded(linear: Recommendation) -> list[Recommendation]:
    """No size is claimed; the configuration is a hint: twice as wide as the linear recurrence has states."""
    states = linear.size or linear.impossible_below or _MULTIPLE
    width = min(_WIDEST, max(_MULTIPLE, -(-2 * states // _MULTIPLE) * _MULTIPLE))
    return [_unbounded(family, width) for family in UNBOUNDED]


def _unbounded(family: str, width: int) -> Recommendation:
    found = find_class(family)
    reason = found.reason if isinstance(found, NoFloor) else "none is claimed"
    return Recommendation(
        family=family,
        unit="units",
        size=None,
        floor=None,
        predicted=None,
        impossible_below=None,
        binding=False,
        why=f"no floor: {reason}; a width of {width} is a hint, not a bound",
        state_size=None,
        cost_per_step=None,
        by_size=(),
        model={"mixer": family, "dim": width},
    )
