r"""Local polynomial attention: around each query a polynomial is fitted, and read at the query.

$$\min_{c, A} \sum_{i \le t} p_i^{(t)} \lVert v_i - c - A^\top \phi(k_i - q_t) \rVert^2
+ \lambda \lVert A \rVert^2, \qquad o_t = c$$

with the normalised weights $p^{(t)}$ of `kernel_attn` and the monomials $\phi$ of degree 1 up to the degree
chosen: none (degree 0, a weighted mean, `kernel_attn`), $x_a$ (degree 1, `local_linear_attn`), and $x_a x_b$
for $b \le a$ besides (degree 2). As test-time regression of $v$ on $k$: similarity to the query, decay and
importance as regression weights, polynomials around each query, solved exactly (Fan and Gijbels 1996, *Local
Polynomial Modelling and Its Applications*; as attention in the spirit of arXiv:2510.01450).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadDecay, Keys, Queries, Values
from recollect.ops.associations import Associations
from recollect.ops.dispatch import key_scale
from recollect.ops.local_fit import (
    check_ridge,
    intercept,
    pair_products,
    solved_slope,
)
from recollect.ops.local_regression import local_forms, read_locally
from recollect.ops.samples import B, H, log_decay, normal, queries_keys_values
from recollect.ops.similarity import (
    PerHead,
    Scores,
    Similarity,
    log_similarity,
    normalised,
    normalised_similarities,
    similarity,
)
from recollect.ops.spec import OpSpec


def local_polynomial_attn(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    degree: int = 2,
    ridge: PerHead = 0.1,
    kernel: str = "exponential",
    bandwidth: PerHead = 1.0,
    power: int = 2,
    g: HeadDecay | None = None,
    log_importance: Float[Tensor, "B T H"] | None = None,
    window: int | None = None,
    scale: float | None = None,
    initial_state: Associations | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 16,
) -> tuple[Values, Associations | None]:
    r"""Local polynomial regression: $o_t = c$ of the best $c + A^\top \phi(k - q_t)$ near the query.

    With P monomials (0, K, or K + K (K + 1) / 2) work O(T^2 P^2 + T P^3) per head, and memory O(T P C)
    without gradients, O(T^2 P) with them: for small K. `local_linear_attn` is the cheaper way to degree 1.

    Args:
        q: queries; the points at which functions are read, as they are: `scale` is for the similarity only.
        k: keys.
        v: values.
        degree: 0, 1 or 2.
        ridge: $\lambda > 0$ on the coefficients $A$, not on $c$; a number or `(H,)`.
        kernel: similarity of query and key that weighs, as in `kernel_attn`.
        bandwidth: of the kernel.
        power: of the polynomial kernel.
        g: logarithm of a decay, or `None`.
        log_importance: logarithm of each association's own weight, or `None`.
        window: associations that count at most, all if `None`.
        scale: factor of inner products in the similarity, `K**-0.5` if `None`.
        initial_state: associations before the first position, none if `None`.
        output_final_state: return the associations after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent`, `parallel` or `chunkwise`.
        chunk_size: queries that the chunkwise form treats at once.

    Returns:
        Outputs `(B, T, H, V)`, and the final state (all associations, or the last `window - 1`) or `None`.

    Raises:
        ValueError: an unknown form or kernel, a degree, ridge, bandwidth, power or window out of range, or
            boundaries that do not fit.

    Example:
        >>> k = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64).reshape(1, 3, 1, 1)
        >>> q = torch.full_like(k, 3.0)  # beyond all keys
        >>> local_polynomial_attn(q, k, k**2, ridge=1e-9)[0].flatten()[-1].round(decimals=4)
        tensor(9., dtype=torch.float64)
    """
    check_ridge(ridge)
    if degree not in (0, 1, 2):
        raise ValueError(f"degree={degree}: expected 0, 1 or 2; degree 3 has K^3 / 6 coefficients a query.")
    weights = similarity(kernel, key_scale(scale, q), bandwidth, power)
    return read_locally(
        FORMS, form, {"q": q}, k, v, g, log_importance, initial_state, cu_seqlens, output_final_state,
        window=window, chunk_size=chunk_size, kernel=weights, degree=degree, ridge=ridge,
    )  # fmt: skip


def _definition(
    q: Float[Tensor, "B H 1 K"],
    k: Float[Tensor, "B H S K"],
    v: Float[Tensor, "B H S V"],
    log_weights: Float[Tensor, "B H 1 S"],
    *,
    kernel: Similarity,
    degree: int,
    ridge: PerHead,
) -> Float[Tensor, "B H 1 V"]:
    """The normal equations of the least-squares problem for one query."""
    p = normalised_similarities(q, k, log_weights, kernel)
    return intercept(p, _monomials(k - q, degree), v, ridge)


def _estimate(
    q: Float[Tensor, "B H C K"],
    k: Float[Tensor, "B H S K"],
    v: Float[Tensor, "B H S V"],
    log_weights: Scores,
    *,
    kernel: Similarity,
    degree: int,
    ridge: PerHead,
) -> Float[Tensor, "B H C V"]:
    """A tilted mean whose tilt is solved for, in monomials about each query."""
    p = normalised(log_similarity(q, k, kernel) + log_weights, kernel)
    if degree == 0:
        return p @ v
    x = _monomials(k.unsqueeze(2) - q.unsqueeze(3), degree)
    mean = torch.einsum("bhcs,bhcsp->bhcp", p, x)
    centred = x - mean.unsqueeze(3)
    covariance = (p.unsqueeze(-1) * centred).mT @ centred
    slope = solved_slope(covariance, mean, ridge)
    tilt = 1 - torch.einsum("bhcp,bhcsp->bhcs", slope, centred)
    return (p * tilt) @ v


def _monomials(x: Float[Tensor, "*B K"], degree: int) -> Float[Tensor, "*B P"]:
    """Those of degree 1 up to the degree given; none for degree 0."""
    return torch.cat([x[..., :0], *(x, pair_products(x))[:degree]], dim=-1)


FORMS = local_forms(_definition, _estimate)


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "g": log_decay(rng, B, length, H),
        "log_importance": normal(rng, B, length, H),
        "ridge": 0.1 + normal(rng, H).abs(),
    }


SPEC = OpSpec(
    op=local_polynomial_attn,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "log_importance": 1},
    settings=({}, {"window": 3, "degree": 0}, {"kernel": "gaussian", "degree": 1}),
    scales_queries=False,
)
