"""What a regression layer is, in words and numbers."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from recollect.regression.optimizers import OneStep, Sgd
from recollect.regression.problem import Composition

if TYPE_CHECKING:
    from recollect.regression.layer import RegressionLayer


@dataclass(frozen=True)
class Description:
    """A layer as a point of the space; `str` of it is a table for reading.

    Attributes:
        title: its name, or the three kinds.
        weights: the regression weight of association i at position t.
        function_class: the functions to choose from.
        optimizer: the update.
        retrieval: whether a position is answered after its association was learned, or before.
        runs: the op or the general path that solves it, with its forms for whole sequences and single steps.
        cost: work for a sequence in the letters of the axis legend, C the chunk.
        state_size: scalars carried after one position.
        state_growth: scalars more at each position from there on.
        citation: where it was published.
    """

    title: str
    weights: str
    function_class: str
    optimizer: str
    retrieval: str
    runs: str
    cost: str
    state_size: int
    state_growth: int
    citation: str

    @classmethod
    def of(cls, layer: "RegressionLayer") -> "Description":
        """The description of a layer."""
        composition, solver = layer.composition, layer.solver
        forms = f"whole sequences {solver.forms[-1]}"
        if "recurrent" in solver.forms:
            forms += ", single steps recurrent"
        weights = composition.weights.equation
        if layer.constants.memory_description:
            weights += f" ({layer.constants.memory_description})"
        return cls(
            title=layer.title or f"{composition.label} regression",
            weights=weights,
            function_class=composition.function_class.equation,
            optimizer=composition.optimizer.equation,
            retrieval=_retrieval(composition),
            runs=f"{solver.name}; {forms}",
            cost=solver.cost,
            state_size=layer.state_size(1),
            state_growth=layer.state_size(2) - layer.state_size(1),
            citation=layer.citation or "none: a composition of arXiv:2501.12352",
        )

    def __str__(self) -> str:
        width = max(len(field.name) for field in fields(self))
        return "\n".join(
            f"{field.name.replace('_', ' '):<{width}}  {getattr(self, field.name)}" for field in fields(self)
        )


def _retrieval(composition: Composition) -> str:
    optimizer = composition.optimizer
    if not isinstance(optimizer, OneStep | Sgd) or optimizer.retrieve == "after":
        return "after the association of its position"
    bonus = ", which then counts by a bonus" if isinstance(optimizer, OneStep) and optimizer.bonus else ""
    return f"before the association of its position{bonus}"
