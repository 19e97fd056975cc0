"""What is said about one family of models."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from recollect.core import ConfigError
from recollect.diagnosis.costs import multiply_adds
from recollect.diagnosis.joint_filter import JointFilter
from recollect.diagnosis.shared_poles import SharedPoles
from recollect.floors import Fit
from recollect.models import ModelConfig

Construction = Fit | SharedPoles | JointFilter
"""An explicit model: of one input a `Fit`, of several the poles or the filter that they share."""


@dataclass(frozen=True)
class SizedFloor:
    """One size of a family.

    Attributes:
        size: in the family's unit.
        floor: total NMSE that no model of this size is below.
        predicted: total NMSE of `fit`; None where none was built at this size.
        model: configuration of a model of this size that can hold the fit.
        fit: the construction.
    """

    size: int
    floor: float
    predicted: float | None
    model: dict[str, Any] | None = field(default=None, repr=False)
    fit: Construction | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Recommendation:
    """The smallest size of a family that reaches an error.

    Attributes:
        family: a name in `recollect.floors.MODEL_CLASSES`.
        unit: what sizes count.
        size: the smallest that was shown to suffice; None where none was found or nothing is searched.
        floor: proven lower bound of the total NMSE at `size`, noise included; None where nothing binds.
        predicted: total NMSE of the construction at `size`, noise included.
        impossible_below: every smaller size is proven unable; None where that excludes none.
        binding: whether a theorem bounds the family.
        why: the theorem, or the reason why there is none.
        state_size: scalars carried from one position to the next, by a model of `size`.
        cost_per_step: its multiply-adds a position.
        by_size: rising sizes, the neighbours of `size` among them.
        model: configuration data of a model of `size`, for `ModelConfig.parse`; where nothing binds, a hint.
    """

    family: str
    unit: str
    size: int | None
    floor: float | None
    predicted: float | None
    impossible_below: int | None
    binding: bool
    why: str
    state_size: int | None
    cost_per_step: int | None
    by_size: tuple[SizedFloor, ...]
    model: dict[str, Any] | None

    @property
    def fit(self) -> Construction | None:
        """The construction at `size`."""
        return None if self.size is None else self.at(self.size).fit

    def at(self, size: int) -> SizedFloor:
        """One of the sizes in `by_size`.

        Raises:
            ConfigError: another size.
        """
        for sized in self.by_size:
            if sized.size == size:
                return sized
        raise ConfigError(f"{self.family} was not looked at with {size} {self.unit}.")

    def neighbour(self, step: int) -> SizedFloor | None:
        """The next larger (1) or smaller (-1) size in `by_size`; None at its ends."""
        sizes = [sized.size for sized in self.by_size]
        if self.size is None:
            return None
        place = sizes.index(self.size) + step
        return self.by_size[place] if 0 <= place < len(sizes) else None


def answer(
    family: str, unit: str, sized: Iterable[SizedFloor], reach: float, num_inputs: int, why: str
) -> Recommendation:
    """The recommendation that follows from floors and constructions by size."""
    by_size = tuple(sorted(sized, key=lambda one: one.size))
    best = next((one for one in by_size if one.predicted is not None and one.predicted <= reach), None)
    unable = [one.size for one in by_size if one.floor > reach]
    impossible_below = max(unable) + 1 if unable else None
    config = None if best is None or best.model is None else ModelConfig.parse(best.model)
    return Recommendation(
        family=family,
        unit=unit,
        size=None if best is None else best.size,
        floor=None if best is None else best.floor,
        predicted=None if best is None else best.predicted,
        impossible_below=impossible_below,
        binding=True,
        why=why if best is not None else f"{why}; no size that was looked at reaches {reach:.3g}",
        state_size=None if config is None else config.build(num_inputs, 1, seed=0).state_size(1),
        cost_per_step=None if config is None else multiply_adds(config, num_inputs),
        by_size=by_size,
        model=None if best is None else best.model,
    )
