"""A number with what the data leave open about it."""

from dataclasses import dataclass

from recollect.core.plain import finite


@dataclass(frozen=True)
class Interval:
    """A value between two bounds that hold the truth at the confidence that was asked.

    Attributes:
        value: the estimate.
        lower: at most the value; `-inf` or 0 where nothing bounds it from below.
        upper: at least the value; `inf` where nothing bounds it from above.
    """

    value: float
    lower: float
    upper: float

    def document(self) -> dict[str, float | None]:
        """Plain JSON: None where a number is not finite.

        Example:
            >>> Interval(2.0, 0.0, float("inf")).document()
            {'value': 2.0, 'lower': 0.0, 'upper': None}
        """
        return {"value": finite(self.value), "lower": finite(self.lower), "upper": finite(self.upper)}

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.lower:.3g}, {self.upper:.3g}]"
