r"""The delta rule: what is written is the error of what was recalled.

$$S_t = S_{t-1} + \beta_t k_t (v_t - S_{t-1}^\top k_t)^\top, \qquad o_t = S_t^\top q_t$$

As test-time regression of $v$ on $k$: uniform regression weights, a linear function class, and stochastic
gradient descent on $\tfrac12 |v_t - S^\top k_t|^2$ with one step of size $\beta_t$ for each position
(DeltaNet: Schlag et al. 2021, arXiv:2102.11174; its chunks: Yang et al. 2024, arXiv:2406.06484).
"""

import torch
from torch import Tensor

from recollect.core.shapes import HeadState, Keys, Queries, StepSizes, Values
from recollect.ops.chunks import merge_chunks, split_chunks
from recollect.ops.delta_chunks import DeltaChunk, delta_chunks
from recollect.ops.delta_steps import delta_steps
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.samples import B, H, queries_keys_values, step_sizes
from recollect.ops.segments import in_segments
from recollect.ops.spec import OpSpec


def delta_rule(
    q: Queries,
    k: Keys,
    v: Values,
    beta: StepSizes,
    *,
    scale: float | None = None,
    initial_state: HeadState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, HeadState | None]:
    r"""Delta rule: $S_t = S_{t-1} + \beta_t k_t (v_t - S_{t-1}^\top k_t)^\top$, $o_t = S_t^\top q_t$.

    Work O(T (C + K) (K + V)) per head in the chunkwise form with chunks of C, which takes T / C sequential
    steps. Retrieves after the update. Small steps make it linear attention times `beta`; with `beta = 1` and
    orthonormal keys it recalls every value exactly.

    Args:
        q: queries.
        k: keys, as they are (a layer normalises them, an op never does; stable while `beta |k|^2 < 2`).
        v: values.
        beta: step sizes.
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
        >>> k = torch.eye(2)[[0, 1, 0]].reshape(1, 3, 1, 2)  # the first key returns with another value
        >>> v = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
        >>> _, state = delta_rule(k, k, v, torch.ones(1, 3, 1), output_final_state=True)
        >>> state.flatten()
        tensor([3., 2.])
    """
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v, "beta": beta},
        lambda batch: k.new_zeros(batch, k.shape[-2], k.shape[-1], v.shape[-1]),
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        chunk_size=chunk_size,
    )


def _reference(
    q: Queries, k: Keys, v: Values, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation, position by position."""
    outputs = []
    for t in range(q.shape[1]):
        error = v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], state)
        state = state + torch.einsum("bh,bhk,bhv->bhkv", beta[:, t], k[:, t], error)
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    return torch.stack(outputs, dim=1), state


def _recurrent(
    q: Queries, k: Keys, v: Values, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation with views of all positions taken once."""
    return delta_steps(q, k.unsqueeze(2), v.unsqueeze(2), beta.unsqueeze(2), None, state)


def _parallel(
    q: Queries, k: Keys, v: Values, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """All positions at once: the chunkwise form with one chunk, O(T^2)."""
    return _chunkwise(q, k, v, beta, state, chunk_size=q.shape[1])


def _chunkwise(
    q: Queries, k: Keys, v: Values, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """All chunks of a segment at once; between chunks and segments through the state."""
    return in_segments(_chunks, (q, k, v, beta), state, min(chunk_size, q.shape[1]))


def _chunks(
    q: Queries, k: Keys, v: Values, beta: StepSizes, state: HeadState, size: int
) -> tuple[Values, HeadState]:
    """The errors written in a chunk by one triangular solve; between chunks through the state."""
    length = q.shape[1]
    q, k, v, beta = (split_chunks(x, size) for x in (q, k, v, beta))
    step = beta.unsqueeze(-1)
    reads, undecayed = step * k, torch.ones_like(k[..., 0, :1])
    chunks = DeltaChunk((q @ k.mT).tril(), reads @ k.mT, queries=q, reads=reads, writes=k, decay=undecayed)
    outputs, state = delta_chunks(chunks, step * v, state)
    return merge_chunks(outputs, length), state


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise, "parallel": _parallel}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {"beta": step_sizes(rng, B, length, H)}


SPEC = OpSpec(
    op=delta_rule,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "beta": 1},
)
