r"""Memory functions as pure mathematics: values, horizons, ranks, and sums of exponentials.

A memory function $\rho$ generates targets, weights regressions, and is what a probe measures in a
trained model or in data. Everything here is float64.
"""

from recollect.memory.airy import Airy
from recollect.memory.algebra import AbstractMemoryFunction, Normalisation, Product, Sum
from recollect.memory.closed_forms import airy_tail, exponential_horizon, polynomial_tail
from recollect.memory.damped_cosine import DampedCosine
from recollect.memory.empirical import Empirical
from recollect.memory.energy import effective_taps, energy_horizon, tail_energy
from recollect.memory.exact_sum import exponential_sum_of
from recollect.memory.exponential import Exponential
from recollect.memory.exponential_fit import fit_exponential_sum
from recollect.memory.exponential_sum import ExponentialSum
from recollect.memory.families import FAMILIES, MemoryFunction
from recollect.memory.gaussian_bump import GaussianBump
from recollect.memory.hankel import hankel_matrix, hankel_rank, hankel_singular_values
from recollect.memory.impulse import Impulse
from recollect.memory.inversion import from_horizon
from recollect.memory.polynomial import Polynomial
from recollect.memory.sign_changes import sign_changes
from recollect.memory.sine import Sine
from recollect.memory.summary import MemorySummary, summary
from recollect.memory.tensor_train import tensor_train_ranks

__all__ = [
    "FAMILIES",
    "AbstractMemoryFunction",
    "Airy",
    "DampedCosine",
    "Empirical",
    "Exponential",
    "ExponentialSum",
    "GaussianBump",
    "Impulse",
    "MemoryFunction",
    "MemorySummary",
    "Normalisation",
    "Polynomial",
    "Product",
    "Sine",
    "Sum",
    "airy_tail",
    "effective_taps",
    "energy_horizon",
    "exponential_horizon",
    "exponential_sum_of",
    "fit_exponential_sum",
    "from_horizon",
    "hankel_matrix",
    "hankel_rank",
    "hankel_singular_values",
    "polynomial_tail",
    "sign_changes",
    "summary",
    "tail_energy",
    "tensor_train_ranks",
]
