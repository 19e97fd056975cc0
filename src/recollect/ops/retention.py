r"""Retention: linear attention with a constant decay for each head.

$$S_t = \gamma_h S_{t-1} + k_t v_t^\top, \qquad o_t = S_t^\top q_t, \qquad \gamma_h = 1 - 2^{-5-h}$$

As test-time regression: a constant decay as regression weights, a linear function class, one gradient step
from zero (RetNet, Sun et al. 2023, arXiv:2307.08621, without its rotations and output norm).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadState, Keys, Queries, Values
from recollect.ops.samples import H, queries_keys_values
from recollect.ops.samples import log_decay as sample_log_decay
from recollect.ops.simple_gla import simple_gla
from recollect.ops.spec import OpSpec


def retention(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    log_decay: Float[Tensor, " H"] | None = None,
    scale: float | None = None,
    initial_state: HeadState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, HeadState | None]:
    r"""Retention: $S_t = \gamma_h S_{t-1} + k_t v_t^\top$, $o_t = S_t^\top q_t$.

    `simple_gla` with a decay that does not change, whose cost and remaining arguments it has.

    Args:
        q: queries.
        k: keys.
        v: values.
        log_decay: logarithm of each head's decay; that of RetNet, `log(1 - 2^(-5 - h))`, if `None`.
        scale: factor of the queries, `K**-0.5` if `None`.
        initial_state: state before the first position, zero if `None`.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent`, `chunkwise` or `parallel`.
        chunk_size: positions that the chunkwise form treats at once.

    Returns:
        Outputs `(B, T, H, V)`, and the final state or `None`.

    Raises:
        ValueError: an unknown form, shapes that do not agree, or boundaries that do not fit.

    Example:
        >>> q = k = torch.ones(1, 2, 1, 1)
        >>> retention(q, k, k)[0].flatten()  # 1 - 2**-5 of the first is left
        tensor([1.0000, 1.9688])
    """
    decay = retention_decay(q.shape[2], k) if log_decay is None else log_decay
    if decay.shape != q.shape[2:3]:
        raise ValueError(
            f"log_decay: expected one for each of H={q.shape[2]} heads, got {tuple(decay.shape)}."
        )
    return simple_gla(
        q,
        k,
        v,
        decay.expand(q.shape[:3]),
        scale=scale,
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        form=form,
        chunk_size=chunk_size,
    )


def retention_decay(num_heads: int, like: Tensor) -> Float[Tensor, " H"]:
    """RetNet's `log(1 - 2^(-5 - h))` for heads `h = 0, 1, ...`, in the dtype and on the device of `like`."""
    heads = torch.arange(num_heads, dtype=torch.float64, device=like.device)
    return torch.log1p(-(2.0 ** (-5 - heads))).to(like.dtype)


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {"log_decay": sample_log_decay(rng, H)}


SPEC = OpSpec(
    op=retention,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1},
)
