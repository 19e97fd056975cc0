r"""Several delta rules for each position, on a state that decays once.

$$S_{t,0} = e^{g_t} S_{t-1,n}, \qquad
S_{t,j} = S_{t,j-1} + \beta_{t,j} k_{t,j} (v_{t,j} - S_{t,j-1}^\top k_{t,j})^\top, \qquad
o_t = S_{t,n}^\top q_t$$

for $j = 1, \dots, n$: the state is multiplied by a product of $n$ generalised Householder matrices, which can
be a rotation where a single one cannot. As test-time regression of $v$ on $k$: uniform regression weights, a
linear function class that is shrunk towards zero before each position, and $n$ steps of stochastic gradient
descent for each position (DeltaProduct, Siems et al. 2025, arXiv:2502.10297).
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadDecay, HeadState, Queries, Values
from recollect.ops.chunks import merge_chunks, split_chunks
from recollect.ops.delta_chunks import chunks_under_head_decay, delta_chunks
from recollect.ops.delta_steps import delta_steps
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.samples import B, H, K, V, log_decay, normal, step_sizes, unit
from recollect.ops.segments import in_segments
from recollect.ops.spec import OpSpec

_NUM_SAMPLE_STEPS = 2

_Keys = Float[Tensor, "B T steps H K"]
_Values = Float[Tensor, "B T steps H V"]
_StepSizes = Float[Tensor, "B T steps H"]
_LAYOUTS = {"k": "B T steps H K", "v": "B T steps H V", "beta": "B T steps H"}


def gated_delta_product(
    q: Queries,
    k: Float[Tensor, "B writes H K"],
    v: Float[Tensor, "B writes H V"],
    g: HeadDecay,
    beta: Float[Tensor, "B writes H"],
    *,
    num_steps: int | None = None,
    scale: float | None = None,
    initial_state: HeadState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, HeadState | None]:
    r"""Decay once, then `num_steps` delta rules, then read; see the equation of this module.

    Work O(n T (C + K) (K + V)) per head in the chunkwise form with chunks of C writes, which takes n T / C
    sequential steps. Retrieves after the last update of a position.

    Args:
        q: queries.
        k: keys, as they are (a layer normalises them, an op never does; stable while `beta |k|^2 < 2`); step
            `j` of position `t` is entry `t * num_steps + j`.
        v: values, in the same order.
        g: logarithm of the decay of a head, at most 0, once for each position.
        beta: step sizes, in the order of the keys.
        num_steps: delta rules for each position; that of the lengths of `k` and `q` if `None`.
        scale: factor of the queries, `K**-0.5` if `None`.
        initial_state: state before the first position, zero if `None`.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`, as positions of q.
        form: `reference`, `recurrent`, `chunkwise` or `parallel`.
        chunk_size: writes that the chunkwise form treats at once, rounded down to whole positions.

    Returns:
        Outputs `(B, T, H, V)`, and the final state or `None`.

    Raises:
        ValueError: `k`, `v` or `beta` that is not `num_steps` times as long as `q`, an unknown form, or
            boundaries that do not fit.

    Example:
        >>> k = torch.eye(2).reshape(1, 2, 1, 2)  # both are written at the only position
        >>> v, q = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1), torch.ones(1, 1, 1, 2)
        >>> g, beta = torch.zeros(1, 1, 1), torch.ones(1, 2, 1)
        >>> gated_delta_product(q, k, v, g, beta, num_steps=2, scale=1.0)[0].item()
        3.0
    """
    steps = max(1, k.shape[1] // max(1, q.shape[1])) if num_steps is None else num_steps
    for name, x in (("k", k), ("v", v), ("beta", beta)):
        if x.shape[1] != steps * q.shape[1]:
            raise ValueError(
                f"{name}: expected num_steps={steps} entries for {q.shape[1]} positions, got "
                f"{x.shape[1]}. Step j of position t is entry t * num_steps + j."
            )
    keys, values, sizes = (rearrange(x, "b (t s) ... -> b t s ...", s=steps) for x in (k, v, beta))
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": keys, "v": values, "g": g, "beta": sizes},
        lambda batch: k.new_zeros(batch, k.shape[2], k.shape[3], v.shape[3]),
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        layouts=_LAYOUTS,
        chunk_size=chunk_size,
    )


def _reference(
    q: Queries, k: _Keys, v: _Values, g: HeadDecay, beta: _StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation, position by position and step by step."""
    outputs = []
    for t in range(q.shape[1]):
        state = g[:, t, :, None, None].exp() * state
        for j in range(k.shape[2]):
            error = v[:, t, j] - torch.einsum("bhk,bhkv->bhv", k[:, t, j], state)
            state = state + torch.einsum("bh,bhk,bhv->bhkv", beta[:, t, j], k[:, t, j], error)
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    return torch.stack(outputs, dim=1), state


def _recurrent(
    q: Queries, k: _Keys, v: _Values, g: HeadDecay, beta: _StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The equation with views of all positions taken once."""
    return delta_steps(q, k, v, beta, g.exp().unsqueeze(-1), state)


def _parallel(
    q: Queries, k: _Keys, v: _Values, g: HeadDecay, beta: _StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """All positions at once: the chunkwise form with one chunk, O(n^2 T^2)."""
    return _chunkwise(q, k, v, g, beta, state, chunk_size=q.shape[1] * k.shape[2])


def _chunkwise(
    q: Queries, k: _Keys, v: _Values, g: HeadDecay, beta: _StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """All chunks of a segment at once; between chunks and segments through the state."""
    return in_segments(_chunks, (q, k, v, g, beta), state, min(max(1, chunk_size // k.shape[2]), q.shape[1]))


def _chunks(
    q: Queries, k: _Keys, v: _Values, g: HeadDecay, beta: _StepSizes, state: HeadState, size: int
) -> tuple[Values, HeadState]:
    """The errors written in a chunk by one triangular solve; between chunks through the state."""
    length, steps = k.shape[1:3]
    q, g = (split_chunks(x, size) for x in (q, g))
    k, v, beta = (split_chunks(rearrange(x, "b t s ... -> b (t s) ..."), size * steps) for x in (k, v, beta))
    chunks = chunks_under_head_decay(q, k, g, beta)
    outputs, state = delta_chunks(chunks, beta.unsqueeze(-1) * v, state)
    return merge_chunks(outputs, length), state


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise, "parallel": _parallel}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    writes = _NUM_SAMPLE_STEPS * length
    return {
        "q": normal(rng, B, length, H, K),
        "k": unit(normal(rng, B, writes, H, K)),
        "v": normal(rng, B, writes, H, V),
        "g": log_decay(rng, B, length, H),
        "beta": step_sizes(rng, B, writes, H),
    }


SPEC = OpSpec(
    op=gated_delta_product,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": _NUM_SAMPLE_STEPS, "v": _NUM_SAMPLE_STEPS, "g": 1, "beta": _NUM_SAMPLE_STEPS},
)
