r"""Kernel attention: each query is answered by a mean of the values, weighted by similarity.

$$o_t = \frac{\sum_{i \le t} w_i^{(t)} v_i}{\sum_{i \le t} w_i^{(t)}}, \qquad
w_i^{(t)} = s(q_t, k_i)\, e^{G_t - G_i + b_i}, \qquad G_t = \sum_{j \le t} g_j$$

As test-time regression of $v$ on $k$: similarity to the query, decay and importance $e^{b_i}$ as regression
weights, a function class of constants, solved exactly; the estimator of Nadaraya (1964) and Watson (1964).
Without the denominator and with the Gaussian kernel it is what Skyformer (arXiv:2111.00035) and SOFT
(arXiv:2110.11945) approximate, there without a causal mask.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadDecay, Keys, Queries, Values
from recollect.ops.associations import Associations
from recollect.ops.dispatch import key_scale
from recollect.ops.local_regression import local_forms, read_locally
from recollect.ops.samples import B, H, log_decay, normal, queries_keys_values
from recollect.ops.similarity import (
    PerHead,
    Scores,
    Similarity,
    log_similarity,
    normalised,
    normalised_similarities,
    similarities,
    similarity,
)
from recollect.ops.spec import OpSpec


def kernel_attn(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    kernel: str = "gaussian",
    bandwidth: PerHead = 1.0,
    power: int = 2,
    g: HeadDecay | None = None,
    log_importance: Float[Tensor, "B T H"] | None = None,
    window: int | None = None,
    normalise: bool = True,
    scale: float | None = None,
    initial_state: Associations | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 128,
) -> tuple[Values, Associations | None]:
    r"""Nadaraya-Watson regression: $o_t = \sum_i w_i^{(t)} v_i / \sum_i w_i^{(t)}$.

    Work O(T^2 (K + V)) per head, memory of the chunkwise form O(T C) without gradients and O(T^2) with them;
    both O(T (C + window)) with a window. A query whose similarities are all 0 (`compact`) is answered by 0.

    Args:
        q: queries.
        k: keys.
        v: values.
        kernel: `exponential`, `gaussian`, `laplace`, `polynomial` or `compact` (see `ops.similarity`).
        bandwidth: $h > 0$, a number or `(H,)`; inner products are divided by it, too.
        power: exponent of `polynomial`, positive and even.
        g: logarithm of the decay of earlier weights, at most 0; no decay if `None`.
        log_importance: logarithm $b$, finite, of how much an association counts; all alike if `None`.
        window: how many associations count, the present one included; all if `None`.
        normalise: divide by the sum of the weights.
        scale: factor of inner products (`exponential`, `polynomial`; not of distances), `K**-0.5` if `None`.
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
        >>> k = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1)
        >>> kernel_attn(k, k, k, kernel="compact", bandwidth=1.0)[0].flatten()  # no neighbour but itself
        tensor([0., 1.])
    """
    weights = similarity(kernel, key_scale(scale, q), bandwidth, power)
    return read_locally(
        FORMS, form, {"q": q}, k, v, g, log_importance, initial_state, cu_seqlens, output_final_state,
        window=window, chunk_size=chunk_size, kernel=weights, normalise=normalise,
    )  # fmt: skip


def _definition(
    q: Float[Tensor, "B H 1 K"],
    k: Float[Tensor, "B H S K"],
    v: Float[Tensor, "B H S V"],
    log_weights: Float[Tensor, "B H 1 S"],
    *,
    kernel: Similarity,
    normalise: bool,
) -> Float[Tensor, "B H 1 V"]:
    """The weighted mean, or sum."""
    if normalise:
        weights = normalised_similarities(q, k, log_weights, kernel)
    else:
        weights = similarities(q, k, kernel) * log_weights.exp()
    return torch.einsum("bhcs,bhsv->bhcv", weights, v)


def mean_of_values(
    q: Float[Tensor, "B H C K"],
    k: Float[Tensor, "B H S K"],
    v: Float[Tensor, "B H S V"],
    log_weights: Scores,
    *,
    kernel: Similarity,
    normalise: bool = True,
) -> Float[Tensor, "B H C V"]:
    """The answers to a block of queries, without exponentials of large numbers where they are normalised."""
    logits = log_similarity(q, k, kernel) + log_weights
    return (normalised(logits, kernel) if normalise else logits.exp()) @ v


FORMS = local_forms(_definition, mean_of_values)


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "g": log_decay(rng, B, length, H),
        "log_importance": normal(rng, B, length, H),
        "bandwidth": 1.5 + normal(rng, H).abs(),
    }


SPEC = OpSpec(
    op=kernel_attn,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "log_importance": 1},
    settings=(
        {},
        {"kernel": "exponential", "window": 3},
        {"kernel": "laplace"},
        {"kernel": "polynomial"},
        {"kernel": "compact"},
        {"normalise": False},
    ),
    scales_queries=False,
)
