"""Test-time regression: regression weights x function class x test-time optimizer make a layer.

The space of Wang, Shi, Fox 2025 (arXiv:2501.12352).
"""

from recollect.regression.description import Description
from recollect.regression.diagnosis import Diagnosis, diagnose
from recollect.regression.features import FEATURES
from recollect.regression.function_classes import (
    MLP,
    KernelRidge,
    Linear,
    LocalConstant,
    LocalLinear,
    LocalPolynomial,
)
from recollect.regression.layer import LayerState, RegressionLayer
from recollect.regression.named import CATALOG
from recollect.regression.optimizers import Exact, OneStep, Sgd
from recollect.regression.weights import (
    ConstantDecay,
    GatedDecay,
    Importance,
    Memory,
    Similarity,
    Uniform,
    WeightProduct,
    Window,
)

__all__ = [
    "CATALOG",
    "FEATURES",
    "MLP",
    "ConstantDecay",
    "Description",
    "Diagnosis",
    "Exact",
    "GatedDecay",
    "Importance",
    "KernelRidge",
    "LayerState",
    "Linear",
    "LocalConstant",
    "LocalLinear",
    "LocalPolynomial",
    "Memory",
    "OneStep",
    "RegressionLayer",
    "Sgd",
    "Similarity",
    "Uniform",
    "WeightProduct",
    "Window",
    "catalog",
    "diagnose",
]

catalog = CATALOG
"""The named layers, as users write it: `regression.catalog["mamba2"](dim=64)`."""
