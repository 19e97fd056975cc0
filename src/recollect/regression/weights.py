r"""First axis: regression weights, how much each association counts.

$$m_t = \arg\min_{m} \sum_{i \le t} w_i^{(t)} \lVert v_i - m(k_i) \rVert^2$$

Weights multiply: `GatedDecay() * Importance()`. A weight that depends on the age `t - i` alone is a memory
function.
"""

from abc import abstractmethod
from typing import Annotated, Any, Literal, final

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from recollect.core import Config
from recollect.memory import MemoryFunction

Per = Literal["head", "channel"]
Kernel = Literal["exponential", "gaussian", "laplace", "polynomial", "compact"]


class AbstractWeights(Config):
    """One factor of the regression weights, or their product."""

    kind: Any

    @property
    @abstractmethod
    def equation(self) -> str:
        """The weight of association i at position t, in plain text."""

    @property
    def factors(self) -> tuple["AbstractWeights", ...]:
        """What the weight is a product of."""
        return (self,)

    def __mul__(self, other: "AbstractWeights") -> "WeightProduct":
        return WeightProduct.model_validate({"of": (*self.factors, *other.factors)})


@final
class Uniform(AbstractWeights):
    """Every association counts alike.

    Example:
        >>> Uniform().equation
        '1'
    """

    kind: Literal["uniform"] = "uniform"

    @property
    def equation(self) -> str:
        return "1"


@final
class ConstantDecay(AbstractWeights):
    """Older associations count less, by a factor for each position that does not depend on the input.

    Attributes:
        decay: the factor of every head, in (0, 1]; RetNet's `1 - 2^(-5 - h)` if `None`; ALiBi's
            `exp(-2^(-8h/H))` for `alibi`; for `ring`, squares evenly between 0.4^2 and 0.99^2 (LRU).
        learned: whether training moves it (one number a head, or a channel).
        per: one factor a head, or one a key channel.
        scales_writes: multiply what is written by `sqrt(1 - gamma^2)`, which keeps the variance of the state
            at that of a white input.

    Example:
        >>> ConstantDecay(decay=0.9).equation
        'gamma^(t-i)'
    """

    kind: Literal["constant_decay"] = "constant_decay"
    decay: Annotated[float, Field(gt=0, le=1)] | Literal["alibi", "ring"] | None = None
    learned: bool = False
    per: Per = "head"
    scales_writes: bool = False

    @property
    def equation(self) -> str:
        if self.per == "head":
            return "gamma^(t-i)" + (" sqrt(1 - gamma^2)" if self.scales_writes else "")
        writes = " (1 - Gamma^2)^(1/2)" if self.scales_writes else ""
        return f"Gamma^(t-i){writes}, a factor for each key channel"


@final
class GatedDecay(AbstractWeights):
    r"""Older associations count less, by factors that are computed from the input.

    | parametrisation | log-decay `g` |
    |---|---|
    | `sigmoid` | `logsigmoid(W x + b) / temperature` |
    | `softplus` | `-exp(a) softplus(W x + b)`, of Mamba, Mamba-2 and the gated delta rule |
    | `exponential` | `-exp(W x + b)`, of RWKV-6 |
    | `lower_bound` | `log(f_0 + (1 - f_0) sigmoid(W x + b))`, of HGRN |

    Attributes:
        per: one decay a head, or one a key channel.
        parametrisation: how the decay is computed.
        temperature: divides the log-decay of `sigmoid`: the larger, the longer the memory.
        rank: inner width of `W` as a product of two matrices; full if `None`.
        lower_bound: `f_0`, in [0, 1).
        scales_writes: multiply what is written by `softplus(W x + b)`, the step of a discretised system,
            which is then one number a head (Mamba, Mamba-2); with the others, by `1 - e^g` (HGRN).
        soft_cap: replace `W x + b` by `c tanh((W x + b) / c)`.
        initial_bias: `b` starts evenly between these two over heads and channels; a start of the
            parametrisation's own if `None`.

    Example:
        >>> GatedDecay(per="channel").equation
        'prod_{i<j<=t} diag(e^g_j)'
        >>> GatedDecay(scales_writes=True).equation
        'prod_{i<j<=t} e^g_j (1 - e^g_i)'
    """

    kind: Literal["gated_decay"] = "gated_decay"
    per: Per = "head"
    parametrisation: Literal["sigmoid", "softplus", "exponential", "lower_bound"] = "sigmoid"
    temperature: PositiveFloat = 16.0
    rank: PositiveInt | None = None
    lower_bound: Annotated[float, Field(ge=0, lt=1)] = 0.0
    scales_writes: bool = False
    soft_cap: PositiveFloat | None = None
    initial_bias: tuple[float, float] | None = None

    @property
    def equation(self) -> str:
        per_head = self.per == "head"
        decay = "prod_{i<j<=t} e^g_j" if per_head else "prod_{i<j<=t} diag(e^g_j)"
        if not self.scales_writes:
            return decay
        if self.parametrisation == "softplus":
            return f"{decay} softplus(W x_i + b)"
        return f"{decay} (1 - e^g_i)" if per_head else f"{decay} diag(1 - e^g_i)"


@final
class Window(AbstractWeights):
    """Only the last associations count.

    Attributes:
        size: how many, the present one included.

    Example:
        >>> Window(size=8).equation
        '1 if t-i < 8 else 0'
    """

    kind: Literal["window"] = "window"
    size: PositiveInt

    @property
    def equation(self) -> str:
        return f"1 if t-i < {self.size} else 0"


@final
class Importance(AbstractWeights):
    """How much an association counts is computed from its input, whatever the step size.

    Attributes:
        activation: `sigmoid`, between 0 and 1, or `exp`, between `e^-15` and `e^15` by a soft cap of its
            argument (mLSTM's input gate).

    Example:
        >>> Importance().equation
        'sigmoid(W x_i + b)'
    """

    kind: Literal["importance"] = "importance"
    activation: Literal["sigmoid", "exp"] = "sigmoid"

    @property
    def equation(self) -> str:
        return f"{self.activation}(W x_i + b)"


@final
class Memory(AbstractWeights):
    """A memory function of the age.

    Runs as a sum of exponentials: exact where the function is one, else fitted over `length` ages with as few
    terms as reach `tolerance` (relative error in l2). Where none does, the weights are the first `length`
    values themselves, and a layer keeps that many associations.

    Attributes:
        function: the memory function.
        tolerance: relative error that a fit may have.
        length: ages that a fit looks at; beyond them the fit goes on by itself.
        max_terms: the largest number of terms tried.

    Example:
        >>> from recollect.memory import Exponential
        >>> Memory(function=Exponential(alpha=0.1)).equation
        'rho(t-i), rho = exponential(alpha=0.1)'
    """

    kind: Literal["memory"] = "memory"
    function: MemoryFunction
    tolerance: PositiveFloat = 1e-3
    length: Annotated[int, Field(ge=4)] = 256
    max_terms: PositiveInt = 16

    @property
    def equation(self) -> str:
        return f"rho(t-i), rho = {self.function.label}"


@final
class Similarity(AbstractWeights):
    r"""Associations count by how near their key is to the query.

    In a class that is linear in features, by how near the features of the key are to those of the query.

    | kernel | weight |
    |---|---|
    | `exponential` | `exp(q.k / sqrt(K))` |
    | `gaussian` | `exp(-|q - k|^2 / 2h^2)` |
    | `laplace` | `exp(-|q - k| / h)` |
    | `polynomial` | `(1 + q.k / sqrt(K))^2` |
    | `compact` | `(1 - |q - k|^2 / h^2)^3` where that is positive, else 0 |

    Attributes:
        kernel: the similarity.
        bandwidth: `h`; for `exponential` and `polynomial` the product is divided by it as well.
        learned: whether training moves the bandwidth, one a head.

    Example:
        >>> Similarity(kernel="gaussian").equation
        's(q_t, k_i), gaussian, h = 1'
    """

    kind: Literal["similarity"] = "similarity"
    kernel: Kernel = "exponential"
    bandwidth: PositiveFloat = 1.0
    learned: bool = False

    @property
    def equation(self) -> str:
        width = "h learned" if self.learned else f"h = {self.bandwidth:g}"
        return f"s(q_t, k_i), {self.kernel}, {width}"


Factor = Annotated[
    Uniform | ConstantDecay | GatedDecay | Window | Importance | Memory | Similarity,
    Field(discriminator="kind"),
]


def _not_empty(factors: tuple[AbstractWeights, ...]) -> tuple[AbstractWeights, ...]:
    if not factors:
        raise ValueError("expected at least one factor")
    return factors


def _one_similarity(factors: tuple[AbstractWeights, ...]) -> tuple[AbstractWeights, ...]:
    for kind in (Similarity, Memory):
        if sum(isinstance(factor, kind) for factor in factors) > 1:
            raise ValueError(f"expected at most one {kind.__name__}: multiply the functions themselves")
    return factors


@final
class WeightProduct(AbstractWeights):
    """The product of several weights; `a * b` in Python.

    Attributes:
        of: the factors.

    Example:
        >>> (GatedDecay() * Similarity()).equation
        'prod_{i<j<=t} e^g_j * s(q_t, k_i), exponential, h = 1'
    """

    kind: Literal["product"] = "product"
    of: Annotated[tuple[Factor, ...], AfterValidator(_not_empty), AfterValidator(_one_similarity)]

    @property
    def equation(self) -> str:
        return " * ".join(factor.equation for factor in self.of)

    @property
    def factors(self) -> tuple[AbstractWeights, ...]:
        return self.of


RegressionWeights = Annotated[
    Uniform | ConstantDecay | GatedDecay | Window | Importance | Memory | Similarity | WeightProduct,
    Field(discriminator="kind"),
]
"""Any regression weights; as a pydantic field parsed from `{"kind": "window", "size": 8}`."""
