r"""Laws of keys that are given to a regressor: how far from orthonormal they are.

With values that are independent of the keys, what linear attention adds to an answer is governed by one
number, the *interference* of the law: $\frac1n \sum_j \sum_{i \ne j} E (k_i^\top k_j)^2$ of keys of norm 1.
"""

import math
from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float64
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from recollect.core import Config, derive_seed, integers, normal
from recollect.core.shapes import Indices

Keys = Float64[Tensor, "B n K"]


class AbstractKeyLaw(Config):
    """A law of keys of norm 1. The first keys of an example do not depend on how many are drawn.

    Attributes:
        is_isotropic: whether the keys of one example have no directions of their own.
        least_dim: channels that a key needs.
    """

    is_isotropic: ClassVar[bool] = False
    least_dim: ClassVar[int] = 1

    law: Any

    @property
    def label(self) -> str:
        """The law, and its parameters."""
        given = ", ".join(f"{name}={value:g}" for name, value in self.model_dump(exclude={"law"}).items())
        return f"{self.law}({given})" if given else str(self.law)

    @abstractmethod
    def draw(self, seed: int, indices: Indices, pairs: int, dim: int) -> Keys:
        """`pairs` keys of `dim` channels for each example."""

    @abstractmethod
    def interference(self, pairs: int, dim: int) -> float:
        """Expected sum of the squared products of a key with all others."""


class Orthonormal(AbstractKeyLaw):
    """A random orthonormal basis; beyond `dim` keys, one such basis after the other.

    Example:
        >>> k = Orthonormal().draw(0, torch.arange(1), 3, 3)[0]
        >>> torch.allclose(k @ k.T, torch.eye(3).double())
        True
        >>> [Orthonormal().interference(n, 4) for n in (4, 8)]
        [0.0, 1.0]
    """

    is_isotropic: ClassVar[bool] = True

    law: Literal["orthonormal"] = "orthonormal"

    def draw(self, seed: int, indices: Indices, pairs: int, dim: int) -> Keys:
        bases = [_rotations(derive_seed(seed, "basis", i), indices, dim) for i in range(-(-pairs // dim))]
        return torch.cat(bases, dim=1)[:, :pairs]

    def interference(self, pairs: int, dim: int) -> float:
        full, rest = divmod(pairs, dim)
        # A key meets those of other bases, at 1 / dim each.
        met = full * dim * (pairs - dim) + rest * (pairs - rest)
        return met / (pairs * dim)


class Sphere(AbstractKeyLaw):
    """Independent keys, uniform on the sphere.

    Example:
        >>> Sphere().interference(9, 4)
        2.0
    """

    is_isotropic: ClassVar[bool] = True

    law: Literal["sphere"] = "sphere"

    def draw(self, seed: int, indices: Indices, pairs: int, dim: int) -> Keys:
        return _unit(_normal(derive_seed(seed, "keys"), indices, pairs, dim))

    def interference(self, pairs: int, dim: int) -> float:
        return (pairs - 1) / dim


class Correlated(AbstractKeyLaw):
    r"""Independent Gaussian keys with variances $i^{-p}$ along axes of each example's own, given norm 1.

    Attributes:
        exponent: `p`; 0 is uniform on the sphere.

    Example:
        >>> round(Correlated(exponent=0).interference(9, 4), 9)
        2.0
    """

    law: Literal["correlated"] = "correlated"
    exponent: NonNegativeFloat = 1.0

    def draw(self, seed: int, indices: Indices, pairs: int, dim: int) -> Keys:
        along = _normal(derive_seed(seed, "keys"), indices, pairs, dim) * self.variances(dim).sqrt()
        return _unit(along) @ _rotations(derive_seed(seed, "axes"), indices, dim)

    def interference(self, pairs: int, dim: int) -> float:
        return (pairs - 1) * float(self.second_moments(dim).square().sum())

    def variances(self, dim: int) -> Float64[Tensor, " K"]:
        """Before the norm is divided out."""
        return torch.arange(1, dim + 1, dtype=torch.float64) ** -self.exponent

    def second_moments(self, dim: int) -> Float64[Tensor, " K"]:
        r"""Eigenvalues of $E\, k k^\top$; their sum is 1.

        With variances $\lambda$ and $z$ standard normal, $E\, \lambda_i z_i^2 / \sum_j \lambda_j z_j^2 =
        \int_0^\infty \frac{\lambda_i}{1 + 2 \lambda_i t} \prod_j (1 + 2 \lambda_j t)^{-1/2} dt$, by the
        trapezoidal rule in $\log t$.
        """
        log_t = torch.linspace(-60, 60, 2401, dtype=torch.float64)
        spread = 1 + 2 * self.variances(dim) * log_t.exp()[:, None]
        density = (log_t[:, None] - 0.5 * spread.log().sum(-1, keepdim=True)).exp() / spread
        return self.variances(dim) * torch.trapezoid(density, log_t, dim=0)


class Clustered(AbstractKeyLaw):
    r"""Keys around centres: $k = \sqrt{1 - s^2}\, c + s\, u$, `u` uniform among directions orthogonal to `c`.

    Centres are uniform on the sphere, each example's own; each key has one of them by chance.

    Attributes:
        num_clusters: number of centres.
        spread: `s`, the sine of the angle between a key and its centre.

    Example:
        >>> k = Clustered(num_clusters=1, spread=0.1).draw(0, torch.arange(1), 2, 4)[0]
        >>> bool(k[0] @ k[1] > 0.98)
        True
    """

    least_dim: ClassVar[int] = 2  # in one channel no direction is orthogonal to the centre

    law: Literal["clustered"] = "clustered"
    num_clusters: PositiveInt = 4
    spread: Annotated[float, Field(gt=0, le=1)] = 0.5

    def draw(self, seed: int, indices: Indices, pairs: int, dim: int) -> Keys:
        centres = _unit(_normal(derive_seed(seed, "centres"), indices, self.num_clusters, dim))
        chosen = integers(derive_seed(seed, "clusters"), indices, pairs, self.num_clusters)
        centre = centres.gather(1, chosen[..., None].expand(-1, -1, dim))
        noise = _normal(derive_seed(seed, "keys"), indices, pairs, dim)
        across = noise - (noise * centre).sum(-1, keepdim=True) * centre
        return math.sqrt(1 - self.spread**2) * centre + self.spread * _unit(across)

    def interference(self, pairs: int, dim: int) -> float:
        inside = (1 - self.spread**2) ** 2 + self.spread**4 / (dim - 1)
        return (pairs - 1) * (inside + (self.num_clusters - 1) / dim) / self.num_clusters


KeyLaw = Annotated[Orthonormal | Sphere | Correlated | Clustered, Field(discriminator="law")]
"""Any law of keys; as a pydantic field parsed from `{"law": "correlated", "exponent": 1}`."""


def _normal(seed: int, indices: Indices, rows: int, dim: int) -> Keys:
    return normal(seed, indices, rows * dim).unflatten(1, (rows, dim))


def _unit(x: Keys) -> Keys:
    return x / x.norm(dim=-1, keepdim=True)


def _rotations(seed: int, indices: Indices, dim: int) -> Float64[Tensor, "B K K"]:
    """Uniform orthogonal matrices: of a QR factorisation of Gaussian ones with a positive diagonal of R."""
    q, r = torch.linalg.qr(_normal(seed, indices, dim, dim))
    return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
