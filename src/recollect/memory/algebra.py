r"""Memory functions and their algebra: values on a grid, sums and products.

A memory function $\rho$ says how a target depends on the past, $y_t = \sum_s \rho(s)\, x_{t-s}$
(Jiang, Bao, Wang, Li 2025, arXiv:2506.05678). Memory functions are closed under `f + g`, `2 * f` and
`f * g`; the type and its two combinations refer to one another, so they share this file.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

import torch
from jaxtyping import Float64
from pydantic import AfterValidator, model_validator
from torch import Tensor

from recollect.core import Config, ConfigError

if TYPE_CHECKING:
    from recollect.memory.families import MemoryFunction

Normalisation = Literal["none", "l1", "l2"]

_ORDERS = {"l1": 1, "l2": 2}


class AbstractMemoryFunction(Config):
    r"""A function $\rho(s)$ of the lag $s \ge 0$, evaluated in float64.

    A concrete family adds its parameters as fields, its name as the literal field `family`, and
    `__call__`. Where it has a field `alpha`, that field sets the strength of the dependence.
    """

    family: Any

    @abstractmethod
    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        """rho at the lags `s`: a uniform grid that starts at 0."""

    def values(
        self, length: int, *, dt: float = 1.0, normalisation: Normalisation = "none"
    ) -> Float64[Tensor, " T"]:
        """rho at `s = dt * k`, k = 0..length-1, scaled so that its l1 or l2 norm over these lags is 1.

        Raises:
            ConfigError: `length < 1`, `dt <= 0`, or a norm asked of values that are all zero.
        """
        if length < 1 or not dt > 0:
            raise ConfigError(f"expected length >= 1 and dt > 0, got length={length} and dt={dt}.")
        # Two points at least: an impulse reads the grid's spacing from them.
        taps = self(dt * torch.arange(max(length, 2), dtype=torch.float64))[:length]
        if normalisation == "none":
            return taps
        if not taps.any():
            raise ConfigError(
                f"cannot normalise {self.label}: it is zero at every lag below {length} (dt={dt}); "
                f"take a larger `length`, or another alpha."
            )
        # Scaling by the largest tap first keeps the squares of very small taps from underflowing.
        taps = taps / taps.abs().max()
        return taps / torch.linalg.vector_norm(taps, _ORDERS[normalisation])

    @property
    def label(self) -> str:
        """Short text for tables, e.g. `impulse(alpha=16)`: required fields, and others than the default."""
        shown = [
            f"{name}={getattr(self, name):g}"
            for name, field in type(self).model_fields.items()
            if name != "family" and (field.is_required() or getattr(self, name) != field.default)
        ]
        return f"{self.family}({', '.join(shown)})"

    def __add__(self, other: "AbstractMemoryFunction") -> "Sum":
        parts = [_as_sum(self), _as_sum(other)]
        return Sum(
            terms=tuple(term for part in parts for term in part.terms),
            coefficients=tuple(weight for part in parts for weight in part.coefficients),
        )

    def __mul__(self, other: "AbstractMemoryFunction | float | int") -> "Sum | Product":
        if isinstance(other, AbstractMemoryFunction):
            return Product.parse({"factors": (*_factors(self), *_factors(other))})
        part = _as_sum(self)
        return Sum(terms=part.terms, coefficients=tuple(other * weight for weight in part.coefficients))

    __rmul__ = __mul__


def _not_empty(parts: tuple[AbstractMemoryFunction, ...]) -> tuple[AbstractMemoryFunction, ...]:
    # Field(min_length=1) would also complain, beside the real reason, when the only part is misspelt.
    if not parts:
        raise ValueError("expected at least one memory function")
    return parts


@final
class Sum(AbstractMemoryFunction):
    r"""Several memories at once, `sum_i c_i f_i(s)`; `f + g` and `2 * f` in Python.

    Several ways to depend on the past at once, such as a fading memory plus a bump at a far lag.
    The dependence is as long as that of its longest term with a coefficient other than zero.
    Provenance: sums such as $e^{-t} + e^{-(t-9)^2}$ occur in earlier public code of the authors of
    arXiv:2506.05678; the general form is ours.

    Attributes:
        terms: the functions $\rho_i$.
        coefficients: the numbers $c_i$, one for each term; all 1 if absent.

    Example:
        >>> from recollect.memory import Exponential, Impulse
        >>> (Exponential(alpha=0.5) + 2 * Impulse(alpha=3)).label
        'exponential(alpha=0.5) + 2 impulse(alpha=3)'
    """

    family: Literal["sum"] = "sum"
    terms: Annotated[tuple["MemoryFunction", ...], AfterValidator(_not_empty)]
    coefficients: tuple[float, ...]

    @model_validator(mode="before")
    @classmethod
    def _spell_out_coefficients(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "coefficients" in data:
            return data
        terms = data.get("terms")
        return {**data, "coefficients": (1.0,) * (len(terms) if isinstance(terms, list | tuple) else 0)}

    @model_validator(mode="after")
    def _one_coefficient_for_each_term(self) -> "Sum":
        if len(self.coefficients) != len(self.terms):
            raise ValueError(
                f"`coefficients` needs {len(self.terms)} numbers, one for each term, "
                f"and has {len(self.coefficients)}"
            )
        return self

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        weighted = [c * term(s) for c, term in zip(self.coefficients, self.terms, strict=True)]
        return torch.stack(weighted).sum(0)

    @property
    def label(self) -> str:
        return " + ".join(
            term.label if c == 1 else f"{c:g} {_in_parentheses(term)}"
            for c, term in zip(self.coefficients, self.terms, strict=True)
        )


@final
class Product(AbstractMemoryFunction):
    r"""One memory modulated by another, `f(s) g(s)`; `f * g` in Python.

    One memory modulated by another, such as a power law that oscillates. The dependence reaches no
    further than that of its shortest factor. Provenance: ours.

    Attributes:
        factors: the functions $\rho_i$.

    Example:
        >>> from recollect.memory import Polynomial, Sine
        >>> (Polynomial(alpha=1.1) * Sine(frequency=0.5)).label
        'polynomial(alpha=1.1) * sine(frequency=0.5)'
    """

    family: Literal["product"] = "product"
    factors: Annotated[tuple["MemoryFunction", ...], AfterValidator(_not_empty)]

    def __call__(self, s: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        return torch.stack([factor(s) for factor in self.factors]).prod(0)

    @property
    def label(self) -> str:
        return " * ".join(_in_parentheses(factor) for factor in self.factors)


def _as_sum(function: AbstractMemoryFunction) -> Sum:
    return function if isinstance(function, Sum) else Sum.parse({"terms": (function,)})


def _factors(function: AbstractMemoryFunction) -> tuple[AbstractMemoryFunction, ...]:
    return function.factors if isinstance(function, Product) else (function,)


def _in_parentheses(function: AbstractMemoryFunction) -> str:
    return f"({function.label})" if isinstance(function, Sum) else function.label
