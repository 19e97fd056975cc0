"""Every family by name, and the type that a config field uses to hold any of them."""

from typing import Annotated

from pydantic import Field

from recollect.memory.airy import Airy
from recollect.memory.algebra import AbstractMemoryFunction, Product, Sum
from recollect.memory.damped_cosine import DampedCosine
from recollect.memory.empirical import Empirical
from recollect.memory.exponential import Exponential
from recollect.memory.gaussian_bump import GaussianBump
from recollect.memory.impulse import Impulse
from recollect.memory.polynomial import Polynomial
from recollect.memory.sine import Sine

FAMILIES: dict[str, type[AbstractMemoryFunction]] = {
    "exponential": Exponential,
    "polynomial": Polynomial,
    "impulse": Impulse,
    "airy": Airy,
    "gaussian_bump": GaussianBump,
    "damped_cosine": DampedCosine,
    "sine": Sine,
    "sum": Sum,
    "product": Product,
    "empirical": Empirical,
}

MemoryFunction = Annotated[
    Exponential
    | Polynomial
    | Impulse
    | Airy
    | GaussianBump
    | DampedCosine
    | Sine
    | Sum
    | Product
    | Empirical,
    Field(discriminator="family"),
]
"""Any memory function; as a pydantic field it is parsed from `{"family": "impulse", "alpha": 16}`."""

# Sums and products hold memory functions of every family, their own included: now all are known.
Sum.model_rebuild(_types_namespace={"MemoryFunction": MemoryFunction})
Product.model_rebuild(_types_namespace={"MemoryFunction": MemoryFunction})
