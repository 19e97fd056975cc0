"""What a regression layer is, in words and numbers."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from recollect.regression.function_classes import LOCAL, KernelRidge, Linear, LocalLinear
from recollect.regression.general.local_fit import degree
from recollect.regression.optimizers import Exact, OneStep, Sgd
from recollect.regression.problem import Composition

if TYPE_CHECKING:
    from recollect.regression.layer import RegressionLayer

FAR = 10**9
"""A position by which every state that stops growing has stopped: its size is a formula."""


@dataclass(frozen=True)
class Description:
    """A layer as a point of the space; `str` of it is a table for reading.

    Attributes:
        title: its name, or the three kinds.
        weights: the regression weight of association i at position t.
        function_class: the functions to choose from.
        optimizer: the update, or what is minimised with the ridge that the function class has.
        retrieval: whether a position is answered after its association was learned, or before.
        runs: the op or the general path that solves it, with its forms for whole sequences and single steps.
        cost: work for a sequence in the letters of the axis legend, C the chunk.
        state_size: scalars carried after one position.
        state_growth: scalars more at each position in the long run, 0 for a window once it is full.
        state_limit: scalars carried in the long run, `None` where they grow with the sequence.
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
    state_limit: int | None
    citation: str

    @classmethod
    def of(cls, layer: "RegressionLayer") -> "Description":
        """The description of a layer."""
        composition, solver = layer.composition, layer.solver
        forms = f"whole sequences {solver.forms[-1]}"
        if "recurrent" in solver.forms:
            forms += ", single steps recurrent"
        growth = layer.state_size(FAR + 1) - layer.state_size(FAR)
        return cls(
            title=layer.title or f"{composition.label} regression",
            weights=_weights(composition, layer.constants.memory_description),
            function_class=composition.function_class.equation,
            optimizer=_update(composition),
            retrieval=_retrieval(composition),
            runs=f"{solver.name}; {forms}",
            cost=solver.cost,
            state_size=layer.state_size(1),
            state_growth=growth,
            state_limit=None if growth else layer.state_size(FAR),
            citation=layer.citation or "none: a composition of arXiv:2501.12352",
        )

    def __str__(self) -> str:
        width = max(len(field.name) for field in fields(self))
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.state_limit is None:
            shown["state_limit"] = "none"
        return "\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in shown.items())


def _weights(composition: Composition, memory: str) -> str:
    equation = composition.weights.equation
    if memory:
        equation += f" ({memory})"
    function = composition.function_class
    if composition.similarity is not None and isinstance(function, Linear) and function.features != "none":
        equation += " (s compares phi(q_t) and phi(k_i))"
    return equation


def _update(composition: Composition) -> str:
    """The update; for a minimiser, of what: the ridge is on other parameters in each class."""
    function, optimizer = composition.function_class, composition.optimizer
    if not isinstance(optimizer, Exact):
        return optimizer.equation
    if isinstance(function, LOCAL):
        share = "p_i = w_i / sum_j w_j"
        if degree(function) == 0:
            return f"{optimizer.equation} = sum_i p_i v_i, {share}"
        if isinstance(function, LocalLinear) and function.slope == "learned":
            return f"sum_i p_i [1 - r_t.(k_i - sum_j p_j k_j)] v_i, {share}, r_t = W x_t"
        return f"argmin sum_i p_i |v_i - m(k_i)|^2 + ridge |all but the constant|^2, {share}"
    decaying = f", prior {optimizer.prior}" if composition.decay != "none" else ""
    penalised = "m" if isinstance(function, KernelRidge) else "S"
    return f"{optimizer.equation} + ridge |{penalised}|^2{decaying}"


def _retrieval(composition: Composition) -> str:
    optimizer = composition.optimizer
    if not isinstance(optimizer, OneStep | Sgd) or optimizer.retrieve == "after":
        return "after the association of its position"
    bonus = ", which then counts by a bonus" if isinstance(optimizer, OneStep) and optimizer.bonus else ""
    return f"before the association of its position{bonus}"
