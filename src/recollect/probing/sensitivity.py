r"""How the risk of a long memory depends on the numbers that are trained.

A memory function $k(s) = \sum_i c_i \lambda_i^s$ with real poles has the Gauss-Newton matrix
$J^\top J$, $J = \partial k / \partial (c, \lambda)$, which is half the Hessian of the risk
$\sum_s (\rho_s - k_s)^2$ where the error is zero. Summed over all lags, with $q = \lambda_i \lambda_j$:

$$\sum_s \frac{\partial k}{\partial c_i} \frac{\partial k}{\partial c_j} = \frac{1}{1 - q}, \qquad
\sum_s \frac{\partial k}{\partial c_i} \frac{\partial k}{\partial \lambda_j}
= \frac{c_j \lambda_i}{(1 - q)^2}, \qquad
\sum_s \frac{\partial k}{\partial \lambda_i} \frac{\partial k}{\partial \lambda_j}
= \frac{c_i c_j (1 + q)}{(1 - q)^3}$$

They diverge as the memory gets long. What is trained is not $\lambda$ but $w$ with $\lambda = f(w)$, and
$f$ decides how much of the divergence is left (StableSSM, arXiv:2311.14495).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import lookup
from recollect.models.parametrisation import from_modulus, modulus

Gain = Literal["one", "unit_state", "tied"]
"""What the residue of a mode is: 1; or $\\sqrt{1 - \\lambda^2}$, which gives its state unit variance under
white input, as a number of its own or computed from the pole at every step."""

GAINS: tuple[Gain, ...] = ("one", "unit_state", "tied")


@dataclass(frozen=True)
class PoleMap:
    """A pole as a function of the number that is trained.

    Attributes:
        pole: $f$, elementwise.
        inverse: the number of a pole between 0 and 1.
        formula: $f$ in LaTeX.
    """

    pole: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    formula: str


POLE_MAPS = {
    "direct": PoleMap(lambda w: modulus(w, "direct"), lambda x: from_modulus(x, "direct"), "w"),
    "exp": PoleMap(lambda w: modulus(w, "exp"), lambda x: from_modulus(x, "exp"), "e^{-e^w}"),
    "softplus": PoleMap(
        lambda w: modulus(w, "softplus"), lambda x: from_modulus(x, "softplus"), "1/(1 + e^w)"
    ),
    "stable": PoleMap(
        lambda w: modulus(w, "stable"), lambda x: from_modulus(x, "stable"), r"1 - 1/(w^2 + \tfrac12)"
    ),
    "tanh": PoleMap(torch.tanh, torch.atanh, r"\tanh w"),
}
"""Those of `recollect.models` (the LRU's modulus is `exp`), and tanh, with which a tied gain is sensitive by
exactly 1 at every pole."""


@dataclass(frozen=True)
class Sensitivity:
    """One row of the table: the squared sensitivity of the risk to the trained number, at one modulus.

    Attributes:
        parametrisation: a key of `POLE_MAPS`.
        modulus: of the pole.
        one, unit_state, tied: the value for each `Gain`.
    """

    parametrisation: str
    modulus: float
    one: float
    unit_state: float
    tied: float


def gauss_newton(
    poles: Float64[Tensor, " N"], residues: Float64[Tensor, " N"]
) -> Float64[Tensor, "parameters parameters"]:
    r"""$J^\top J$ of $\sum_i c_i \lambda_i^s$ over infinitely many lags; residues first, then poles; O(N^2).

    Args:
        poles: $\lambda_i$, real, between -1 and 1.
        residues: $c_i$, one for each pole.

    Raises:
        ValueError: a pole on the unit circle or outside.

    Example:
        >>> half = torch.tensor([0.5], dtype=torch.float64)
        >>> gauss_newton(half, 3 * half).diagonal()
        tensor([1.3333, 6.6667], dtype=torch.float64)
    """
    if not bool((poles.abs() < 1).all()):
        raise ValueError(
            f"expected poles between -1 and 1, got one of modulus {float(poles.abs().max()):g}: the sums "
            "diverge from 1 on."
        )
    q = poles[:, None] * poles
    of_residues = 1 / (1 - q)
    mixed = residues * poles[:, None] * of_residues**2
    of_poles = residues[:, None] * residues * (1 + q) * of_residues**3
    return torch.cat([torch.cat([of_residues, mixed], 1), torch.cat([mixed.T, of_poles], 1)])


def sensitivity(at: float, parametrisation: str, gain: Gain = "one") -> float:
    r"""$\sum_s (\partial k_s / \partial w)^2$ of one mode $k_s = c \lambda^s$, $\lambda = f(w)$.

    $$\left(\frac{d\lambda}{dw}\right)^2 \cdot \frac{1 + q}{(1 - q)^3}, \quad
    \left(\frac{d\lambda}{dw}\right)^2 \cdot \frac{1 + q}{(1 - q)^2}, \quad
    \left(\frac{d\lambda}{dw}\right)^2 \cdot \frac{1}{(1 - q)^2}, \qquad q = \lambda^2$$

    for a gain of `one`, `unit_state` and `tied`: a tied gain keeps the memory function at norm 1 and takes
    away the part of its change that lies along itself.

    Args:
        at: the modulus, between 0 and 1.
        parametrisation: a key of `POLE_MAPS`.
        gain: what the residue is.

    Raises:
        ConfigError: an unknown parametrisation.
        ValueError: another modulus.

    Example:
        >>> [f"{sensitivity(0.999, name):.3g}" for name in ("direct", "exp", "stable")]
        ['2.5e+08', '250', '1']
    """
    if not 0 < at < 1:
        raise ValueError(f"expected a modulus between 0 and 1, got {at}: the sums diverge from 1 on.")
    q = at * at
    slope = _slope(at, lookup(POLE_MAPS, parametrisation, "parametrisation"))
    blocks = {"one": (1 + q) / (1 - q) ** 3, "unit_state": (1 + q) / (1 - q) ** 2, "tied": 1 / (1 - q) ** 2}
    return slope**2 * blocks[gain]


def sensitivity_table(
    moduli: Sequence[float], parametrisations: Sequence[str] = tuple(POLE_MAPS)
) -> list[Sensitivity]:
    """A row for each parametrisation and modulus.

    Example:
        >>> [round(row.tied, 3) for row in sensitivity_table([0.9, 0.999], ["exp", "tanh"])]
        [0.249, 0.25, 1.0, 1.0]
    """
    return [
        Sensitivity(name, at, **{gain: sensitivity(at, name, gain) for gain in GAINS})
        for name in parametrisations
        for at in moduli
    ]


def _slope(at: float, pole_map: PoleMap) -> float:
    """Derivative of the pole by the trained number, where the pole is `at`."""
    w = pole_map.inverse(torch.tensor(at, dtype=torch.float64))
    slope = torch.func.grad(pole_map.pole)(w)
    assert isinstance(slope, Tensor)
    return float(slope)
