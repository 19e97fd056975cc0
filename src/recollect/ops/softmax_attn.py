r"""Softmax attention.

$$o_t = \sum_{i \le t} p_i^{(t)} v_i, \qquad p^{(t)} = \mathrm{softmax}_{i \le t} (q_t^\top k_i)$$

As test-time regression of $v$ on $k$: similarity $e^{q^\top k}$ as regression weights, a function class of
constants around each query, solved exactly: the regression of Nadaraya and Watson. With keys of constant norm
the weights are Gaussian in $q - k$ (Vaswani et al. 2017, arXiv:1706.03762; as regression arXiv:2501.12352).
"""

import torch
from torch import Tensor

from recollect.core.shapes import Keys, Queries, Values
from recollect.ops.associations import Associations
from recollect.ops.kernel_attn import kernel_attn
from recollect.ops.samples import queries_keys_values
from recollect.ops.spec import OpSpec


def softmax_attn(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    window: int | None = None,
    scale: float | None = None,
    initial_state: Associations | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 128,
) -> tuple[Values, Associations | None]:
    r"""Softmax attention: $o_t = \sum_{i \le t} \mathrm{softmax}_i(q_t^\top k_i)\, v_i$.

    `kernel_attn` with the exponential kernel and without decay, whose cost and remaining arguments it has.

    Args:
        q: queries.
        k: keys.
        v: values.
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
        >>> q, v = torch.zeros(1, 3, 1, 1), torch.tensor([0.0, 1.0, 2.0]).reshape(1, 3, 1, 1)
        >>> softmax_attn(q, q, v)[0].flatten()  # equal weights
        tensor([0.0000, 0.5000, 1.0000])
    """
    return kernel_attn(
        q,
        k,
        v,
        kernel="exponential",
        window=window,
        scale=scale,
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        form=form,
        chunk_size=chunk_size,
    )


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length)


SPEC = OpSpec(
    op=softmax_attn,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1},
    settings=({}, {"window": 3}),
)
