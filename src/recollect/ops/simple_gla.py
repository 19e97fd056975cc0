r"""Linear attention with a scalar decay per head and position.

$$S_t = e^{g_t} S_{t-1} + k_t v_t^\top, \qquad o_t = S_t^\top q_t$$

As test-time regression of $v$ on $k$: gated exponential decay as regression weights, a linear function class,
and one gradient step from zero. Called simple gated linear attention, or the recurrence of Mamba-2
(Dao and Gu 2024, arXiv:2405.21060); RetNet (arXiv:2307.08621) is the case of constant $g$.
"""

import torch
from torch import Tensor

from recollect.core.shapes import HeadDecay, HeadState, Keys, Queries, Values
from recollect.ops.chunks import carry, decay_within, merge_chunks, split_chunks
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.samples import B, H, log_decay, queries_keys_values
from recollect.ops.segments import in_segments
from recollect.ops.spec import OpSpec


def simple_gla(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    *,
    scale: float | None = None,
    initial_state: HeadState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, HeadState | None]:
    r"""Linear attention with a scalar decay: $S_t = e^{g_t} S_{t-1} + k_t v_t^\top$, $o_t = S_t^\top q_t$.

    Work O(T (C + K) V) per head in the chunkwise form with chunks of C, which takes T / C sequential steps.
    Retrieves after the decay and the write.

    Args:
        q: queries.
        k: keys, as they are (a layer normalises them, an op never does).
        v: values.
        g: logarithm of the decay, at most 0.
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
        >>> o, _ = simple_gla(q, k, k, torch.full((1, 3, 1), 0.5).log())
        >>> o.flatten()
        tensor([1.0000, 1.5000, 1.7500])
    """
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v, "g": g},
        lambda batch: k.new_zeros(batch, k.shape[2], k.shape[3], v.shape[3]),
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        chunk_size=chunk_size,
    )


def _reference(
    q: Queries, k: Keys, v: Values, g: HeadDecay, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation, position by position."""
    outputs = []
    for t in range(q.shape[1]):
        write = torch.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
        state = g[:, t, :, None, None].exp() * state + write
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    return torch.stack(outputs, dim=1), state


def _recurrent(
    q: Queries, k: Keys, v: Values, g: HeadDecay, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation with views taken once: a slice inside the loop makes its gradient quadratic in T."""
    outputs = []
    columns = q.unsqueeze(-2), k.unsqueeze(-1), v.unsqueeze(-2), g.exp()[..., None, None]
    for q_t, k_t, v_t, decay in zip(*(x.unbind(1) for x in columns), strict=True):
        state = torch.addcmul(k_t * v_t, decay, state)
        outputs.append((q_t @ state).squeeze(-2))
    return torch.stack(outputs, dim=1), state


def _parallel(
    q: Queries, k: Keys, v: Values, g: HeadDecay, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """All positions at once: the chunkwise form with one chunk, O(T^2)."""
    return _chunkwise(q, k, v, g, state, chunk_size=q.shape[1])


def _chunkwise(
    q: Queries, k: Keys, v: Values, g: HeadDecay, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """Inside a chunk as attention with a mask of decays; between chunks through the state."""
    return in_segments(_chunks, (q, k, v, g), state, min(chunk_size, q.shape[1]))


def _chunks(
    q: Queries, k: Keys, v: Values, g: HeadDecay, state: HeadState, size: int
) -> tuple[Values, HeadState]:
    length = q.shape[1]
    q, k, v, g = (split_chunks(x, size) for x in (q, k, v, g))
    since_start, between = g.cumsum(-1).exp(), decay_within(g)
    writes = (k * between[..., -1, :, None]).mT @ v
    before, state = carry(since_start[..., -1], writes, state)
    outputs = ((q @ k.mT) * between) @ v + (q * since_start[..., None]) @ before
    return merge_chunks(outputs, length), state


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise, "parallel": _parallel}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {"g": log_decay(rng, B, length, H)}


SPEC = OpSpec(
    op=simple_gla,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1},
)
