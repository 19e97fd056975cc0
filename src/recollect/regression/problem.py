"""What a layer hands to whatever solves its regression: everything that was computed from the input."""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import ChannelDecay, HeadDecay, Queries, StepSizes
from recollect.regression.function_classes import FunctionClass
from recollect.regression.optimizers import Sgd, TestTimeOptimizer
from recollect.regression.weights import (
    AbstractWeights,
    ConstantDecay,
    GatedDecay,
    Memory,
    Similarity,
    Window,
)

EntryKeys = Float[Tensor, "B entries H K"]
"""Keys, several for each position where an optimizer takes several steps."""

EntryValues = Float[Tensor, "B entries H V"]
EntrySteps = Float[Tensor, "B entries H"]


class Associations(NamedTuple):
    """The sequences of a regression: axis 0 is the batch, axis 1 the time.

    Attributes:
        q: where the regressor is read.
        k: keys, or features of keys.
        v: values.
        g: logarithm of the decay that acts before each position, or `None`.
        log_importance: logarithm of the weight that is each association's own, or `None`.
        step: step size of an online optimizer, before its rule and the weight, or `None`.
        momentum: share of the last update that is kept, or `None`.
        slope: Parallax's direction, or `None`.

    With several steps a position, k, v and step have that many entries for each position.
    """

    q: Queries
    k: EntryKeys
    v: EntryValues
    g: HeadDecay | ChannelDecay | None = None
    log_importance: HeadDecay | None = None
    step: EntrySteps | None = None
    momentum: StepSizes | None = None
    slope: Queries | None = None


class Constants(NamedTuple):
    """What does not depend on the input.

    Attributes:
        ridge: strength of the prior, or `None`.
        bandwidth: width of the similarity, or `None`.
        poles: of a memory function as a sum of exponentials, or `None`.
        residues: that belong to the poles.
        taps: of a memory function that is no such sum, or `None`.
        start: parameters of a network at the first position, `(H, ...)` each, or `None`.
        norm: gain and bias of the network's layer norm, `(H, V)` each, or `None`.
        bonus: weight of the present association for each key channel, or `None`.
    """

    ridge: Float[Tensor, "H K"] | None = None
    bandwidth: Float[Tensor, " H"] | None = None
    poles: Tensor | None = None
    residues: Tensor | None = None
    taps: Float[Tensor, " S"] | None = None
    start: tuple[Tensor, ...] | None = None
    norm: tuple[Tensor, Tensor] | None = None
    bonus: Float[Tensor, "H K"] | None = None


@dataclass(frozen=True)
class HeadSizes:
    """Numbers of heads, key channels (of the features, where there are any) and value channels."""

    num_heads: int
    key_dim: int
    value_dim: int


@dataclass(frozen=True)
class Composition:
    """A point of the space: regression weights x function class x test-time optimizer."""

    weights: AbstractWeights
    function_class: FunctionClass
    optimizer: TestTimeOptimizer

    @property
    def label(self) -> str:
        """The kinds of the three choices."""
        return f"{self.weights.kind} x {self.function_class.kind} x {self.optimizer.kind}"

    @property
    def decay(self) -> str:
        """How the weights decay by themselves: `none`, `head` or `channel`."""
        decays = [f for f in self.weights.factors if isinstance(f, ConstantDecay | GatedDecay)]
        if not decays:
            return "none"
        return "channel" if any(decay.per == "channel" for decay in decays) else "head"

    @property
    def parameters_decay(self) -> bool:
        """Whether the parameters of an online learner shrink: by the weights, or by weight decay."""
        shrinks = isinstance(self.optimizer, Sgd) and self.optimizer.weight_decay != 0
        return shrinks or self.decay != "none"

    @property
    def window(self) -> int | None:
        """How many associations count at most."""
        sizes = [factor.size for factor in self.weights.factors if isinstance(factor, Window)]
        return min(sizes) if sizes else None

    @property
    def memory(self) -> Memory | None:
        """The memory function among the weights."""
        return next((f for f in self.weights.factors if isinstance(f, Memory)), None)

    @property
    def similarity(self) -> Similarity | None:
        """The similarity among the weights."""
        return next((f for f in self.weights.factors if isinstance(f, Similarity)), None)

    @property
    def is_multiplicative(self) -> bool:
        """Whether a weight is a product over the positions since: one state then serves every query."""
        return self.window is None and self.memory is None and self.similarity is None
