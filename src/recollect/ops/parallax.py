r"""Parallax: local linear attention whose slope is given instead of solved for.

$$o_t = \sum_{i \le t} p_i^{(t)} \bigl[1 - r_t^\top (k_i - \bar k_t)\bigr] v_i, \qquad
\bar k_t = \sum_{i \le t} p_i^{(t)} k_i$$

with the normalised weights $p^{(t)}$ of `kernel_attn`. As test-time regression of $v$ on $k$: the same
weights, affine functions around each query, and a tilt $r_t$ that is learned. With
$r_t = (\mathrm{Cov}_p(k) + \lambda I)^{-1} (\bar k_t - q_t)$ it is local linear attention; with $r_t = 0$ a
weighted mean (Zuo et al. 2026, arXiv:2605.29157).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadDecay, Keys, Queries, Values
from recollect.ops.associations import Associations
from recollect.ops.dispatch import key_scale
from recollect.ops.local_fit import tilted_mean
from recollect.ops.local_regression import local_forms, read_locally
from recollect.ops.samples import B, H, K, log_decay, normal, queries_keys_values
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


def parallax(
    q: Queries,
    k: Keys,
    v: Values,
    r: Float[Tensor, "B T H K"],
    *,
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
    chunk_size: int = 128,
) -> tuple[Values, Associations | None]:
    r"""Weighted mean with a given tilt: $o_t = \sum_i p_i^{(t)} [1 - r_t^\top (k_i - \bar k_t)] v_i$.

    Work O(T^2 (3 K + V)) per head; memory like `kernel_attn`, whose weights it has.

    Args:
        q: queries.
        k: keys.
        v: values.
        r: the tilt at each position, `(B, T, H, K)`.
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
        ValueError: an unknown form or kernel, a bandwidth, power or window out of range, or boundaries that
            do not fit.

    Example:
        >>> q, k = torch.zeros(1, 2, 1, 1), torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)
        >>> parallax(q, k, k, torch.ones(1, 2, 1, 1))[0].flatten()  # (1.5 * 1 + 0.5 * 2) / 2 at the second
        tensor([1.0000, 1.2500])
    """
    weights = similarity(kernel, key_scale(scale, q), bandwidth, power)
    return read_locally(
        FORMS, form, {"q": q, "r": r}, k, v, g, log_importance, initial_state, cu_seqlens, output_final_state,
        window=window, chunk_size=chunk_size, kernel=weights,
    )  # fmt: skip


def _definition(
    q: Float[Tensor, "B H 1 K"],
    r: Float[Tensor, "B H 1 K"],
    k: Float[Tensor, "B H S K"],
    v: Float[Tensor, "B H S V"],
    log_weights: Float[Tensor, "B H 1 S"],
    *,
    kernel: Similarity,
) -> Float[Tensor, "B H 1 V"]:
    """The equation for one query."""
    p = normalised_similarities(q, k, log_weights, kernel)
    mean = torch.einsum("bhcs,bhsk->bhck", p, k)
    tilt = 1 - torch.einsum("bhck,bhsk->bhcs", r, k - mean)
    return torch.einsum("bhcs,bhsv->bhcv", p * tilt, v)


def _estimate(
    q: Float[Tensor, "B H C K"],
    r: Float[Tensor, "B H C K"],
    k: Float[Tensor, "B H S K"],
    v: Float[Tensor, "B H S V"],
    log_weights: Scores,
    *,
    kernel: Similarity,
) -> Float[Tensor, "B H C V"]:
    """The same for a block of queries, without a tensor of all differences."""
    p = normalised(log_similarity(q, k, kernel) + log_weights, kernel)
    return tilted_mean(p, r, p @ k, k, v)


FORMS = local_forms(_definition, _estimate)


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "r": normal(rng, B, length, H, K),
        "g": log_decay(rng, B, length, H),
        "log_importance": normal(rng, B, length, H),
        "bandwidth": 1.5 + normal(rng, H).abs(),
    }


SPEC = OpSpec(
    op=parallax,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "r": 1, "g": 1, "log_importance": 1},
    settings=({}, {"window": 3}, {"kernel": "compact"}),
    scales_queries=False,
)
