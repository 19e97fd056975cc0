r"""Kimi delta attention: the delta rule on a state whose key channels decay each at their own rate.

$$\bar S_t = \mathrm{diag}(e^{g_t}) S_{t-1}, \qquad
S_t = \bar S_t + \beta_t k_t (v_t - \bar S_t^\top k_t)^\top, \qquad o_t = S_t^\top q_t$$

As test-time regression of $v$ on $k$: uniform regression weights, a linear function class whose key channels
are each shrunk towards zero before each position, and one step of stochastic gradient descent for each
position (Kimi Linear, arXiv:2510.26692). `gated_delta_rule` is the case of channels that decay alike.
"""

import torch
from torch import Tensor

from recollect.core.shapes import ChannelDecay, HeadState, Keys, Queries, StepSizes, Values
from recollect.ops.arguments import PER_CHANNEL
from recollect.ops.chunks import merge_chunks, split_chunks
from recollect.ops.decayed_scores import chunk_length, decayed_scores
from recollect.ops.delta_chunks import DeltaChunk, delta_chunks
from recollect.ops.delta_steps import delta_steps
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.samples import B, H, K, log_decay, queries_keys_values, step_sizes
from recollect.ops.segments import in_segments
from recollect.ops.spec import OpSpec


def kda(
    q: Queries,
    k: Keys,
    v: Values,
    g: ChannelDecay,
    beta: StepSizes,
    *,
    scale: float | None = None,
    initial_state: HeadState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, HeadState | None]:
    r"""Delta rule after a decay of each key channel; see the equation of this module.

    Work O(T (C + K) (K + V)) per head in the chunkwise form with chunks of C, which takes T / C sequential
    steps. Retrieves after the update.

    Args:
        q: queries.
        k: keys, as they are (a layer normalises them, an op never does; stable while `beta |k|^2 < 2`).
        v: values.
        g: logarithm of the decay of each key channel, at most 0, of any strength.
        beta: step sizes.
        scale: factor of the queries, `K**-0.5` if `None`.
        initial_state: state before the first position, zero if `None`.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent`, `chunkwise` or `parallel`.
        chunk_size: positions that the chunkwise form treats at once, rounded up to a power of two.

    Returns:
        Outputs `(B, T, H, V)`, and the final state or `None`.

    Raises:
        ValueError: an unknown form, or boundaries that do not fit.

    Example:
        >>> k = torch.eye(2).reshape(1, 2, 1, 2)  # two keys, of which the first channel fades
        >>> v, g = torch.ones(1, 2, 1, 1), torch.tensor([0.5, 1.0]).log().expand(1, 2, 1, 2)
        >>> _, state = kda(k, k, v, g, torch.ones(1, 2, 1), output_final_state=True)
        >>> state.flatten()
        tensor([0.5000, 1.0000])
    """
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v, "g": g, "beta": beta},
        lambda batch: k.new_zeros(batch, k.shape[-2], k.shape[-1], v.shape[-1]),
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        layouts=PER_CHANNEL,
        chunk_size=chunk_size,
    )


def _reference(
    q: Queries, k: Keys, v: Values, g: ChannelDecay, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation, position by position."""
    outputs = []
    for t in range(q.shape[1]):
        state = g[:, t, :, :, None].exp() * state
        error = v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], state)
        state = state + torch.einsum("bh,bhk,bhv->bhkv", beta[:, t], k[:, t], error)
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    return torch.stack(outputs, dim=1), state


def _recurrent(
    q: Queries, k: Keys, v: Values, g: ChannelDecay, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation with views of all positions taken once."""
    return delta_steps(q, k.unsqueeze(2), v.unsqueeze(2), beta.unsqueeze(2), g.exp(), state)


def _parallel(
    q: Queries, k: Keys, v: Values, g: ChannelDecay, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """All positions at once: the chunkwise form with one chunk, O(T^2)."""
    return _chunkwise(q, k, v, g, beta, state, chunk_size=q.shape[1])


def _chunkwise(
    q: Queries, k: Keys, v: Values, g: ChannelDecay, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """All chunks of a segment at once; between chunks and segments through the state."""
    return in_segments(_chunks, (q, k, v, g, beta), state, chunk_length(min(chunk_size, q.shape[1])))


def _chunks(
    q: Queries, k: Keys, v: Values, g: ChannelDecay, beta: StepSizes, state: HeadState, size: int
) -> tuple[Values, HeadState]:
    """The errors written in a chunk by one triangular solve; between chunks through the state."""
    length = q.shape[1]
    q, k, v, g, beta = (split_chunks(x, size) for x in (q, k, v, g, beta))
    step = beta.unsqueeze(-1)
    block = decayed_scores(torch.stack([q, step * k], dim=-2), k, g)
    (scores, overlaps), (queries, reads) = block.scores.unbind(-2), block.rows.unbind(-2)
    chunks = DeltaChunk(scores, overlaps, queries, reads, writes=block.keys, decay=block.decay)
    outputs, state = delta_chunks(chunks, step * v, state)
    return merge_chunks(outputs, length), state


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise, "parallel": _parallel}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "g": log_decay(rng, B, length, H, K),
        "beta": step_sizes(rng, B, length, H),
    }


SPEC = OpSpec(
    op=kda,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "beta": 1},
)
