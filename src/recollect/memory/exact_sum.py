r"""Memory functions that are sums of exponentials exactly, and those sums."""

import cmath

import torch

from recollect.core import ConfigError
from recollect.memory.algebra import AbstractMemoryFunction, Product, Sum
from recollect.memory.damped_cosine import DampedCosine
from recollect.memory.exponential import Exponential
from recollect.memory.exponential_sum import ExponentialSum
from recollect.memory.sine import Sine

Terms = dict[complex, complex]
r"""Residues by their poles (imaginary parts >= 0), for $\mathrm{Re} \sum_\lambda c_\lambda \lambda^k$."""


def exponential_sum_of(function: AbstractMemoryFunction, *, dt: float = 1.0) -> ExponentialSum | None:
    r"""The sum of exponentials that equals `function` at `s = dt * k`, or None where none does.

    Exponentials, damped cosines and sines are such sums, and so are sums and products of them.

    Example:
        >>> from recollect.memory import DampedCosine, Polynomial
        >>> exponential_sum_of(DampedCosine(alpha=0.1, frequency=0.5)).num_states
        2
        >>> exponential_sum_of(Polynomial(alpha=1.1)) is None
        True
    """
    if not dt > 0:
        raise ConfigError(f"expected dt > 0, got {dt}.")
    terms = _terms(function, dt)
    if terms is None:
        return None
    poles = torch.tensor(list(terms), dtype=torch.complex128)
    return ExponentialSum(poles, torch.tensor(list(terms.values()), dtype=torch.complex128))


def _terms(function: AbstractMemoryFunction, dt: float) -> Terms | None:
    match function:
        case Exponential(alpha=alpha):
            return _collect([(cmath.exp(-alpha * dt), 1 + 0j)])
        case DampedCosine(alpha=alpha, frequency=frequency, phase=phase):
            return _collect([(cmath.exp((-alpha + 1j * frequency) * dt), cmath.exp(1j * phase))])
        case Sine(frequency=frequency, phase=phase):
            return _collect([(cmath.exp(1j * frequency * dt), -1j * cmath.exp(1j * phase))])
        case Sum():
            return _sum(function, dt)
        case Product():
            return _product(function, dt)
        case _:
            return None


def _sum(function: Sum, dt: float) -> Terms | None:
    parts = [_terms(term, dt) for term in function.terms]
    weighted = zip(function.coefficients, parts, strict=True)
    known = [(c, part) for c, part in weighted if part is not None]
    if len(known) < len(parts):
        return None
    return _collect([(pole, c * residue) for c, part in known for pole, residue in part.items()])


def _product(function: Product, dt: float) -> Terms | None:
    total: Terms = {1 + 0j: 1 + 0j}
    for factor in function.factors:
        part = _terms(factor, dt)
        if part is None:
            return None
        total = _multiply(total, part)
    return total


def _multiply(left: Terms, right: Terms) -> Terms:
    """Re a Re b = Re(a b) / 2 + Re(a conj b) / 2, term by term."""
    pairs = []
    for a, c in left.items():
        for b, d in right.items():
            pairs += [(a * b, c * d / 2), (a * b.conjugate(), c * d.conjugate() / 2)]
    return _collect(pairs)


def _collect(pairs: list[tuple[complex, complex]]) -> Terms:
    """Terms with equal poles added, each with its conjugate: neither changes the real part."""
    terms: Terms = {}
    for pole, residue in pairs:
        if pole.imag < 0:
            pole, residue = pole.conjugate(), residue.conjugate()
        terms[pole] = terms.get(pole, 0) + residue
    return {pole: residue if pole.imag else complex(residue.real) for pole, residue in terms.items()}
