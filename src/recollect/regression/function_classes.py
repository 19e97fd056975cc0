"""Second axis: the functions among which a regression looks for the map from keys to values."""

from abc import abstractmethod
from typing import Annotated, Any, Literal, final

from pydantic import Field, PositiveFloat, PositiveInt

from recollect.core import Config

FeatureName = Literal[
    "none",
    "elu",
    "relu",
    "softmax",
    "favor",
    "random_fourier",
    "cosine",
    "dct",
    "taylor",
    "squared",
    "hedgehog",
]


class AbstractFunctionClass(Config):
    """What kind of function maps keys to values."""

    kind: Any

    @property
    @abstractmethod
    def equation(self) -> str:
        """The function, in plain text."""


@final
class Linear(AbstractFunctionClass):
    """Linear in features of the key: `m(k) = S^T phi(k)`.

    Attributes:
        features: the feature map `phi` of `recollect.regression.FEATURES`; `none` is the key itself.
        options: arguments of the feature map, such as `num_features` or `max_length`.

    Example:
        >>> Linear(features="elu").equation
        'S^T phi(k), phi = elu'
    """

    kind: Literal["linear"] = "linear"
    features: FeatureName = "none"
    options: dict[str, int | float | bool] = Field(default_factory=dict)

    @property
    def equation(self) -> str:
        return "S^T k" if self.features == "none" else f"S^T phi(k), phi = {self.features}"


@final
class MLP(AbstractFunctionClass):
    """A network of two layers whose start is learned: `m(k) = W_2^T gelu(W_1^T k + b_1) + b_2`.

    Attributes:
        depth: 1 for a linear map with a bias, 2 for one hidden layer.
        expansion: hidden width over key dimension.
        layer_norm: normalise what the network says.
        residual: add the key to it (needs value dimension = key dimension).

    Example:
        >>> MLP(layer_norm=True, residual=True).equation
        'k + LN(W_2^T gelu(W_1^T k + b_1) + b_2)'
    """

    kind: Literal["mlp"] = "mlp"
    depth: Literal[1, 2] = 2
    expansion: PositiveInt = 4
    layer_norm: bool = False
    residual: bool = False

    @property
    def equation(self) -> str:
        inner = "W^T k + b" if self.depth == 1 else "W_2^T gelu(W_1^T k + b_1) + b_2"
        normed = f"LN({inner})" if self.layer_norm else inner
        return f"k + {normed}" if self.residual else normed


@final
class LocalConstant(AbstractFunctionClass):
    """A constant around each query: a weighted mean of the values.

    Example:
        >>> LocalConstant().equation
        'c(q)'
    """

    kind: Literal["local_constant"] = "local_constant"

    @property
    def equation(self) -> str:
        return "c(q)"


@final
class LocalLinear(AbstractFunctionClass):
    """An affine function around each query: `m(k) = c(q) + A(q)^T (k - q)`, read at `k = q`.

    Attributes:
        slope: `solved`, or `learned`: the direction that a slope would correct for is computed from the input
            (Parallax).

    Example:
        >>> LocalLinear().equation
        'c(q) + A(q)^T (k - q)'
    """

    kind: Literal["local_linear"] = "local_linear"
    slope: Literal["solved", "learned"] = "solved"

    @property
    def equation(self) -> str:
        return "c(q) + A(q)^T (k - q)" + (", slope learned" if self.slope == "learned" else "")


@final
class LocalPolynomial(AbstractFunctionClass):
    """A polynomial of the second degree around each query.

    Attributes:
        degree: 0, 1 or 2.

    Example:
        >>> LocalPolynomial().equation
        'polynomial of degree 2 in k - q'
    """

    kind: Literal["local_polynomial"] = "local_polynomial"
    degree: Literal[0, 1, 2] = 2

    @property
    def equation(self) -> str:
        return f"polynomial of degree {self.degree} in k - q"


@final
class KernelRidge(AbstractFunctionClass):
    """Functions of a reproducing kernel: `m(k) = sum_i a_i kappa(k, k_i)`.

    Attributes:
        kernel: `gaussian`, `laplace` or `exponential`; a kernel that is positive definite.
        bandwidth: its width `h`.

    Example:
        >>> KernelRidge().equation
        'sum_i a_i kappa(k, k_i), gaussian, h = 1'
    """

    kind: Literal["kernel"] = "kernel"
    kernel: Literal["gaussian", "laplace", "exponential"] = "gaussian"
    bandwidth: PositiveFloat = 1.0

    @property
    def equation(self) -> str:
        return f"sum_i a_i kappa(k, k_i), {self.kernel}, h = {self.bandwidth:g}"


LOCAL = (LocalConstant, LocalLinear, LocalPolynomial)
"""Classes that are fitted around each query."""

FunctionClass = Annotated[
    Linear | MLP | LocalConstant | LocalLinear | LocalPolynomial | KernelRidge, Field(discriminator="kind")
]
"""Any function class; as a pydantic field parsed from `{"kind": "linear", "features": "elu"}`."""
