r"""The delta rule on a state that decays.

$$S_t = e^{g_t} S_{t-1} + \beta_t k_t (v_t - e^{g_t} S_{t-1}^\top k_t)^\top, \qquad o_t = S_t^\top q_t$$

As test-time regression of $v$ on $k$: uniform regression weights, a linear function class that is shrunk
towards zero before each position, and one step of stochastic gradient descent for each position (Gated
DeltaNet, Yang et al. 2024, arXiv:2412.06464).
"""

import torch
from torch import Tensor

from recollect.core.shapes import HeadDecay, HeadState, Keys, Queries, StepSizes, Values
from recollect.ops.chunks import merge_chunks, split_chunks
from recollect.ops.delta_chunks import chunks_under_head_decay, delta_chunks
from recollect.ops.delta_steps import delta_steps
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.samples import B, H, log_decay, queries_keys_values, step_sizes
from recollect.ops.segments import in_segments
from recollect.ops.spec import OpSpec


def gated_delta_rule(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    beta: StepSizes,
    *,
    scale: float | None = None,
    initial_state: HeadState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, HeadState | None]:
    r"""Delta rule after a decay: $S_t = e^{g_t} S_{t-1} + \beta_t k_t (v_t - e^{g_t} S_{t-1}^\top k_t)^\top$.

    Work O(T (C + K) (K + V)) per head in the chunkwise form with chunks of C, which takes T / C sequential
    steps. The error is taken after the decay (Comba and RWKV-7 take it before), and $o_t = S_t^\top q_t$ is
    retrieved after the update.

    Args:
        q: queries.
        k: keys, as they are (a layer normalises them, an op never does; stable while `beta |k|^2 < 2`).
        v: values.
        g: logarithm of the decay of a head, at most 0.
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
        >>> k, v = torch.ones(1, 2, 1, 1), torch.tensor([4.0, 0.0]).reshape(1, 2, 1, 1)
        >>> half = torch.full((1, 2, 1), 0.5)
        >>> o, _ = gated_delta_rule(k, k, v, half.log(), half)
        >>> o.flatten()
        tensor([2.0000, 0.5000])
    """
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v, "g": g, "beta": beta},
        lambda batch: k.new_zeros(batch, k.shape[-2], k.shape[-1], v.shape[-1]),
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        chunk_size=chunk_size,
    )


def _reference(
    q: Queries, k: Keys, v: Values, g: HeadDecay, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation, position by position."""
    outputs = []
    for t in range(q.shape[1]):
        state = g[:, t, :, None, None].exp() * state
        error = v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], state)
        state = state + torch.einsum("bh,bhk,bhv->bhkv", beta[:, t], k[:, t], error)
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    return torch.stack(outputs, dim=1), state


def _recurrent(
    q: Queries, k: Keys, v: Values, g: HeadDecay, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation with views of all positions taken once."""
    return delta_steps(q, k.unsqueeze(2), v.unsqueeze(2), beta.unsqueeze(2), g.exp().unsqueeze(-1), state)


def _parallel(
    q: Queries, k: Keys, v: Values, g: HeadDecay, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """All positions at once: the chunkwise form with one chunk, O(T^2)."""
    return _chunkwise(q, k, v, g, beta, state, chunk_size=q.shape[1])


def _chunkwise(
    q: Queries, k: Keys, v: Values, g: HeadDecay, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """All chunks of a segment at once; between chunks and segments through the state."""
    return in_segments(_chunks, (q, k, v, g, beta), state, min(chunk_size, q.shape[1]))


def _chunks(
    q: Queries, k: Keys, v: Values, g: HeadDecay, beta: StepSizes, state: HeadState, size: int
) -> tuple[Values, HeadState]:
    """The errors written in a chunk by one triangular solve; between chunks through the state."""
    length = q.shape[1]
    q, k, v, g, beta = (split_chunks(x, size) for x in (q, k, v, g, beta))
    chunks = chunks_under_head_decay(q, k, g, beta)
    outputs, state = delta_chunks(chunks, beta.unsqueeze(-1) * v, state)
    return merge_chunks(outputs, length), state


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise, "parallel": _parallel}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "g": log_decay(rng, B, length, H),
        "beta": step_sizes(rng, B, length, H),
    }


SPEC = OpSpec(
    op=gated_delta_rule,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "beta": 1},
)
