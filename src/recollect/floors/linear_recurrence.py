"""The floor of linear recurrences with m states: a weighted Hankel bound, and the best recurrence found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from recollect.floors.floor import Floor
from recollect.floors.problem import Problem
from recollect.floors.recurrence_bound import recurrence_bounds
from recollect.floors.recurrence_fit import PoleKind, fit_recurrences
from recollect.floors.static_readout import static_readout_bounds


@final
@dataclass(frozen=True)
class LinearRecurrence:
    """Linear recurrences, stable or not: linear RNN, SSM, LRU, S4D (as channels times states).

    `size` counts real states: a complex one that is read through its real part counts 2.

    Attributes:
        feed_through: whether the present input also reaches the output past the states.
        poles: `real` restricts the construction; the bound holds for complex poles, so for these too.
        diagonal: leaves shift registers out of the construction: SSMs, S4D and LRU are none.
        readout: `static` for any function of the states and the present input, for Gaussian input; the
            construction stays linear.

    Example:
        >>> from recollect.memory import Polynomial
        >>> problem = Problem(Polynomial(alpha=1.1).values(64))
        >>> [floor] = LinearRecurrence().floors(problem, [4])
        >>> 1e-7 < floor.lower < floor.attained < 1e-4
        True
    """

    feed_through: bool = False
    poles: PoleKind = "complex"
    diagonal: bool = False
    readout: Literal["linear", "static"] = "linear"
    unit: str = "real states"

    def floors(self, problem: Problem, sizes: Sequence[int]) -> list[Floor]:
        """Bounds by `recurrence_bounds` or `static_readout_bounds`, constructions by `fit_recurrences`.

        Raises:
            ConfigError: a size below 1.
        """
        bounds_of = recurrence_bounds if self.readout == "linear" else static_readout_bounds
        bounds = bounds_of(problem, sizes, feed_through=self.feed_through)
        fits = fit_recurrences(
            problem, sizes, feed_through=self.feed_through, poles=self.poles, diagonal=self.diagonal
        )
        return [
            Floor(size, bound.lower, problem.nmse(fit.taps(problem.length)), fit, bound.how)
            for size, bound, fit in zip(sizes, bounds, fits, strict=True)
        ]
