r"""Local linear attention: around each query an affine function is fitted, and read at the query.

$$\min_{c, A} \sum_{i \le t} p_i^{(t)} \lVert v_i - c - A^\top (k_i - q_t) \rVert^2
+ \lambda \lVert A \rVert^2, \qquad o_t = c$$

with the normalised weights $p^{(t)}$ of `kernel_attn`. As test-time regression of $v$ on $k$: similarity to
the query, decay and importance as regression weights, affine functions around each query, solved exactly (Zuo
et al. 2025, arXiv:2510.01450). It is exact where values are affine in keys, also at the edge of the keys,
where a weighted mean is biased.

Written as `parallax` with a tilt that is solved for, $\bar k_t$ and $\mathrm{Cov}_p$ the moments of the keys:

$$r_t = (\mathrm{Cov}_p(k) + \lambda I)^{-1} (\bar k_t - q_t), \qquad
o_t = \sum_{i \le t} p_i^{(t)} \bigl[1 - r_t^\top (k_i - \bar k_t)\bigr] v_i$$
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
    symmetric,
    tilted_mean,
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


def local_linear_attn(
    q: Queries,
    k: Keys,
    v: Values,
    *,
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
    chunk_size: int = 256,
) -> tuple[Values, Associations | None]:
    r"""Local linear regression: $o_t = c$ of the $c + A^\top (k - q_t)$ that fits best near the query.

    Work O(T^2 K^2 / 2 + T K^3) per head: the moments of the keys for each query. Memory of the chunkwise form
    O(T (C + K^2) + C K^2) without gradients, O(T^2 + T K^2) with them.

    Args:
        q: queries; the points at which functions are read, as they are: `scale` is for the similarity only.
        k: keys.
        v: values.
        ridge: $\lambda > 0$ on the slope $A$, not on $c$; a number or `(H,)`.
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
        ValueError: an unknown form or kernel, a ridge, bandwidth, power or window out of range, or boundaries
            that do not fit.

    Example:
        >>> k = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64).reshape(1, 3, 1, 1)
        >>> q = torch.full_like(k, 5.0)  # beyond all keys
        >>> local_linear_attn(q, k, 2 * k + 1, ridge=1e-9)[0].flatten()[1:].round(decimals=4)
        tensor([11., 11.], dtype=torch.float64)
    """
    check_ridge(ridge)
    weights = similarity(kernel, key_scale(scale, q), bandwidth, power)
    return read_locally(
        FORMS, form, {"q": q}, k, v, g, log_importance, initial_state, cu_seqlens, output_final_state,
        window=window, chunk_size=chunk_size, kernel=weights, ridge=ridge,
    )  # fmt: skip


def _definition(
    q: Float[Tensor, "B H 1 K"],
    k: Float[Tensor, "B H S K"],
    v: Float[Tensor, "B H S V"],
    log_weights: Float[Tensor, "B H 1 S"],
    *,
    kernel: Similarity,
    ridge: PerHead,
) -> Float[Tensor, "B H 1 V"]:
    """The normal equations of the least-squares problem for one query."""
    p = normalised_similarities(q, k, log_weights, kernel)
    return intercept(p, k - q, v, ridge)


def _prepare(k: Float[Tensor, "B H S K"], num_earlier: int) -> tuple[Tensor, Tensor]:
    """Keys about the first one of the sequence, and the products of their entries.

    The origin drops out of covariances; near the keys it saves the digits that second moments lose.
    """
    x = k - k[:, :, num_earlier : num_earlier + 1].detach()
    return x, pair_products(x)


def _estimate(
    q: Float[Tensor, "B H C K"],
    k: Float[Tensor, "B H S K"],
    v: Float[Tensor, "B H S V"],
    x: Float[Tensor, "B H S K"],
    pairs: Float[Tensor, "B H S pairs"],
    log_weights: Scores,
    *,
    kernel: Similarity,
    ridge: PerHead,
) -> Float[Tensor, "B H C V"]:
    """A tilted mean whose tilt is solved for; second moments of all queries are one product of matrices."""
    p = normalised(log_similarity(q, k, kernel) + log_weights, kernel)
    mean = p @ x
    second = symmetric(p @ pairs, k.shape[-1])
    covariance = second - mean.unsqueeze(-1) * mean.unsqueeze(-2)
    origin = (k[..., :1, :] - x[..., :1, :]).detach()
    r = solved_slope(covariance, mean - (q - origin), ridge)
    return tilted_mean(p, r, mean, x, v)


FORMS = local_forms(_definition, _estimate, _prepare)


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "g": log_decay(rng, B, length, H),
        "log_importance": normal(rng, B, length, H),
        "ridge": 0.1 + normal(rng, H).abs(),
    }


SPEC = OpSpec(
    op=local_linear_attn,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "log_importance": 1},
    settings=({}, {"window": 3}, {"kernel": "compact", "bandwidth": 3.0}),
    scales_queries=False,
)
