r"""Linear attention.

$$S_t = S_{t-1} + k_t v_t^\top, \qquad o_t = S_t^\top q_t$$

As test-time regression of $v$ on $k$: uniform regression weights, a linear function class, and one gradient
step from zero, which leaves out the covariance of the keys: exact where the keys are orthonormal
(Katharopoulos et al. 2020, arXiv:2006.16236, without its feature map and normaliser).
"""

from torch import Tensor

from recollect.core.shapes import HeadState, Keys, Queries, Values
from recollect.ops.samples import queries_keys_values
from recollect.ops.simple_gla import simple_gla
from recollect.ops.spec import OpSpec


def linear_attn(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    scale: float | None = None,
    initial_state: HeadState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, HeadState | None]:
    r"""Linear attention: $S_t = S_{t-1} + k_t v_t^\top$, $o_t = S_t^\top q_t$, without normaliser.

    `simple_gla` without decay, whose cost and remaining arguments it has.

    Args:
        q: queries.
        k: keys; a feature map, if any, was applied.
        v: values.
        scale: factor of the queries, `K**-0.5` if `None`.
        initial_state: state before the first position, zero if `None`.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent`, `chunkwise` or `parallel`.
        chunk_size: positions that the chunkwise form treats at once.

    Returns:
        Outputs `(B, T, H, V)`, and the final state or `None`.

    Raises:
        ValueError: an unknown form, or boundaries that do not fit.

    Example:
        >>> q = k = torch.ones(1, 3, 1, 1)
        >>> linear_attn(q, k, k)[0].flatten()
        tensor([1., 2., 3.])
    """
    return simple_gla(
        q,
        k,
        v,
        k.new_zeros(k.shape[:3]),
        scale=scale,
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        form=form,
        chunk_size=chunk_size,
    )


SPEC = OpSpec(
    op=linear_attn,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=queries_keys_values,
    sequences={"q": 1, "k": 1, "v": 1},
)
