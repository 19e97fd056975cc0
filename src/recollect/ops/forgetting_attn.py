r"""Forgetting attention: softmax attention whose weights decay.

$$o_t = \sum_{i \le t} p_i^{(t)} v_i, \qquad
p^{(t)} = \mathrm{softmax}_{i \le t} (q_t^\top k_i + G_t - G_i), \qquad G_t = \sum_{j \le t} g_j$$

As test-time regression of $v$ on $k$: similarity times gated decay as regression weights, a function class of
constants around each query, solved exactly (Lin et al. 2025, arXiv:2503.02130). A constant $g$, one for each
head, is ALiBi (arXiv:2108.12409).
"""

import torch
from torch import Tensor

from recollect.core.shapes import HeadDecay, Keys, Queries, Values
from recollect.ops.associations import Associations
from recollect.ops.kernel_attn import kernel_attn
from recollect.ops.samples import B, H, log_decay, queries_keys_values
from recollect.ops.spec import OpSpec


def forgetting_attn(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    *,
    window: int | None = None,
    scale: float | None = None,
    initial_state: Associations | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 128,
) -> tuple[Values, Associations | None]:
    r"""Softmax attention with decays: $o_t = \sum_i \mathrm{softmax}_i(q_t^\top k_i + G_t - G_i)\, v_i$.

    `kernel_attn` with the exponential kernel, whose cost and remaining arguments it has.

    Args:
        q: queries.
        k: keys.
        v: values.
        g: logarithm of the decay of earlier weights, at most 0.
        window: how many associations count, the present one included; all if `None`.
        scale: factor of the queries, `K**-0.5` if `None`.
        initial_state: associations before the first position, none if `None`.
        output_final_state: return the associations after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent`, `parallel` or `chunkwise`.
        chunk_size: queries that the chunkwise form treats at once.

    Returns:
        Outputs `(B, T, H, V)`, and the final state (all associations, or the last `window - 1`) or `None`.

    Raises:
        ValueError: an unknown form, a window below 1, or boundaries that do not fit.

    Example:
        >>> q, v = torch.zeros(1, 2, 1, 1), torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1)
        >>> forgetting_attn(q, q, v, torch.full((1, 2, 1), 0.5).log())[0].flatten()  # weights 1/2 and 1
        tensor([0.0000, 0.6667])
    """
    return kernel_attn(
        q,
        k,
        v,
        kernel="exponential",
        g=g,
        window=window,
        scale=scale,
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        form=form,
        chunk_size=chunk_size,
    )


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {"g": log_decay(rng, B, length, H)}


SPEC = OpSpec(
    op=forgetting_attn,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1},
    settings=({}, {"window": 3}),
)
