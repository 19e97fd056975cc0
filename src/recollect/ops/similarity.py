r"""How much an association counts for a query, by the similarity of its key to the query.

| kernel | $s(q, k)$ | positive definite |
|---|---|---|
| `exponential` | $e^{x}$, $x = \mathrm{scale}\, q^\top k / h$ | yes |
| `gaussian` | $e^{-\lVert q - k \rVert^2 / 2 h^2}$ | yes |
| `laplace` | $e^{-\lVert q - k \rVert / h}$ | yes |
| `polynomial` | $(1 + x)^{p}$, $p$ even, so that it is not negative | yes |
| `compact` | $(1 - \lVert q - k \rVert^2 / h^2)_+^3$ (triweight), 0 from a distance $h$ on | no |

All are computed as logarithms, `-inf` for a similarity of 0, so that weights are ratios of exponentials of
differences: nothing overflows, and what is far away for every key is still weighed.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

KERNELS = ("exponential", "gaussian", "laplace", "polynomial", "compact")
VANISHING = ("polynomial", "compact")
"""Kernels that are 0 somewhere: all similarities of a query may be 0."""

PerHead = float | Float[Tensor, " H"]
"""A number, or one for each head."""

Scores = Float[Tensor, "B H C S"]
"""A number for each of `C` queries and `S` associations."""


class Similarity(NamedTuple):
    """A kernel with its parameters: factor of inner products, bandwidth `h`, exponent of `polynomial`."""

    name: str
    scale: float
    bandwidth: PerHead = 1.0
    power: int = 2


def similarity(kernel: str, scale: float, bandwidth: PerHead, power: int) -> Similarity:
    """A kernel with its parameters, checked.

    Raises:
        ValueError: an unknown kernel, a bandwidth that is not positive, a power that is not even.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel={kernel!r}: expected one of {', '.join(KERNELS)}.")
    if isinstance(bandwidth, float) and bandwidth <= 0:
        raise ValueError(
            f"bandwidth={bandwidth}: expected a positive number, or a tensor with one for each head."
        )
    if power < 2 or power % 2:
        raise ValueError(f"power={power}: expected a positive even number, so that no weight is negative.")
    return Similarity(kernel, scale, bandwidth, power)


def similarities(
    q: Float[Tensor, "B H 1 K"], k: Float[Tensor, "B H S K"], kernel: Similarity
) -> Float[Tensor, "B H 1 S"]:
    """The table above, for one query."""
    width = per_head(kernel.bandwidth)
    product = kernel.scale * torch.einsum("bhck,bhsk->bhcs", q, k) / width
    distance = torch.linalg.vector_norm(q - k, dim=-1).unsqueeze(-2) / width
    match kernel.name:
        case "exponential":
            return product.exp()
        case "polynomial":
            return (1 + product) ** kernel.power
        case "gaussian":
            return (-0.5 * distance**2).exp()
        case "laplace":
            return (-distance).exp()
        case _:
            return (1 - distance**2).clamp(min=0) ** 3


def normalised_similarities(
    q: Float[Tensor, "B H 1 K"],
    k: Float[Tensor, "B H S K"],
    log_weights: Float[Tensor, "B H 1 S"],
    kernel: Similarity,
) -> Float[Tensor, "B H 1 S"]:
    """Similarities times weights, divided by their sum unless that is 0, for one query."""
    weights = similarities(q, k, kernel) * log_weights.exp()
    total = weights.sum(-1, keepdim=True)
    return weights / total.masked_fill(total == 0, 1.0)


def log_similarity(q: Float[Tensor, "B H C K"], k: Float[Tensor, "B H S K"], kernel: Similarity) -> Scores:
    """Logarithms of the similarities of all queries to all keys."""
    width = per_head(kernel.bandwidth)
    match kernel.name:
        case "exponential":
            return (q * (kernel.scale / width)) @ k.mT
        case "polynomial":
            return kernel.power * _log_or_nothing((1 + (q * (kernel.scale / width)) @ k.mT).abs())
        case "gaussian":
            return squared_distance(q, k) * (-0.5 / width**2)
        case "laplace":
            return _distance(q, k) / -width
        case _:
            return 3 * _log_or_nothing(1 - squared_distance(q, k) / width**2)


def normalised(logits: Scores, kernel: Similarity) -> Scores:
    """Weights that sum to 1 for each query, or are all 0 where every similarity is 0: so is then the mean."""
    if kernel.name not in VANISHING:
        return torch.softmax(logits, dim=-1)
    alone = logits.detach().amax(-1, keepdim=True) == -torch.inf
    return torch.softmax(logits.masked_fill(alone, 0.0), dim=-1).masked_fill(alone, 0.0)


def per_head(x: PerHead) -> float | Float[Tensor, "H 1 1"]:
    """A number for each head, to be broadcast over `(B, H, C, S)`."""
    return x[:, None, None] if isinstance(x, Tensor) else x


def squared_distance(q: Float[Tensor, "B H C K"], k: Float[Tensor, "B H S K"]) -> Scores:
    """Squared distances through inner products, which needs no tensor of all differences."""
    return (_squares(q, k) - 2 * q @ k.mT).clamp(min=0)


def _distance(q: Float[Tensor, "B H C K"], k: Float[Tensor, "B H S K"]) -> Scores:
    """Distances, 0 with a gradient of 0 where they are below what rounding leaves of a distance of 0."""
    squared = squared_distance(q, k)
    coincide = squared <= 4 * torch.finfo(q.dtype).eps * _squares(q, k).detach()
    return squared.masked_fill(coincide, 1.0).sqrt().masked_fill(coincide, 0.0)


def _squares(q: Float[Tensor, "B H C K"], k: Float[Tensor, "B H S K"]) -> Scores:
    """`|q|^2 + |k|^2` for all pairs."""
    return q.square().sum(-1)[..., :, None] + k.square().sum(-1)[..., None, :]


def _log_or_nothing(x: Scores) -> Scores:
    """The logarithm, `-inf` with a gradient of 0 where `x` is not positive."""
    nothing = x <= 0
    return x.masked_fill(nothing, 1.0).log().masked_fill(nothing, -torch.inf)
