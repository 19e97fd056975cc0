r"""The delta rule with momentum: errors go into a momentum, and the momentum into the state.

$$M_t = \mu_t M_{t-1} + \beta_t k_t (v_t - S_t'^\top k_t)^\top, \qquad S_t' = e^{g_t} S_{t-1}, \qquad
S_t = S_t' + M_t, \qquad o_t = S_t^\top q_t$$

As test-time regression of $v$ on $k$: uniform regression weights, a linear function class that is shrunk
towards zero before each position, and stochastic gradient descent with momentum, one step for each position:
the linear memory of Titans (Behrouz et al. 2024, arXiv:2501.00663) in the order of Gated DeltaNet
(arXiv:2412.06464), which is the case of $\mu = 0$.

Within a chunk that starts at $S_0, M_0$, with the coefficients of `momentum_chunks`, the errors
$u_t = \beta_t (v_t - S_t'^\top k_t)$ solve a unit lower triangular system,

$$(I + L)\, U = \mathrm{diag}(\beta) (V - \mathrm{diag}(\alpha) K S_0 - \mathrm{diag}(\beta') K M_0), \qquad
L_{ij} = \beta_i c'_{ij} k_i^\top k_j,$$

where $\alpha, \beta', c'$ are those of the state after a position's decay, before its momentum is added.
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadDecay, HeadState, Keys, Queries, StepSizes, Values
from recollect.ops.chunks import merge_chunks, split_chunks
from recollect.ops.delta_chunks import solve_unit_lower
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.momentum_chunks import MomentumChunks, momentum_chunks
from recollect.ops.samples import B, H, log_decay, queries_keys_values, step_sizes
from recollect.ops.spec import OpSpec


class MomentumState(NamedTuple):
    """A linear memory and what still moves it."""

    memory: HeadState
    """What is read, `o = memory^T q`."""

    momentum: HeadState
    """The last update of the memory."""


def momentum_delta_rule(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    beta: StepSizes,
    momentum: StepSizes,
    *,
    scale: float | None = None,
    initial_state: MomentumState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, MomentumState | None]:
    r"""Delta rule whose errors go into a momentum, which moves the state: $S_t = e^{g_t} S_{t-1} + M_t$.

    The error is taken of the decayed state $S_t' = e^{g_t} S_{t-1}$, and $o_t = S_t^\top q_t$ is retrieved
    after the update. `momentum = 0` is `gated_delta_rule`. Work O(T (C (C + K + V) + K V)) per head in the
    chunkwise form with chunks of C, which takes T / C sequential steps.

    Args:
        q: queries.
        k: keys, as they are (a layer normalises them, an op never does; a key that is repeated is learned
            while `beta |k|^2 < 2 (1 + momentum)`).
        v: values.
        g: logarithm of the decay of a head, at most 0; the momentum does not decay by it.
        beta: step sizes.
        momentum: share of the last update that is repeated, in [0, 1).
        scale: factor of the queries, `K**-0.5` if `None`.
        initial_state: memory and momentum before the first position, zero if `None`.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent`, `chunkwise` or `parallel`.
        chunk_size: positions that the chunkwise form treats at once.

    Returns:
        Outputs `(B, T, H, V)`, and the final state or `None`.

    Raises:
        ValueError: an unknown form, or boundaries that do not fit.

    Example:
        >>> k, v = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1), torch.full((1, 2, 1, 1), 4.0)
        >>> half = torch.full((1, 2, 1), 0.5)
        >>> _, state = momentum_delta_rule(k, k, v, 0 * half, half, half, output_final_state=True)
        >>> state.memory.item(), state.momentum.item()  # the second position only repeats half a step
        (3.0, 1.0)
    """

    def empty(batch: int) -> MomentumState:
        zeros = k.new_zeros(batch, k.shape[-2], k.shape[-1], v.shape[-1])
        return MomentumState(zeros, zeros)

    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v, "g": g, "beta": beta, "momentum": momentum},
        empty,
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        chunk_size=chunk_size,
    )


def _reference(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    beta: StepSizes,
    momentum: StepSizes,
    state: MomentumState,
    *,
    chunk_size: int,
) -> tuple[Values, MomentumState]:
    """The equations, position by position."""
    memory, moving = state
    outputs = []
    for t in range(q.shape[1]):
        memory = g[:, t, :, None, None].exp() * memory
        error = v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], memory)
        write = torch.einsum("bh,bhk,bhv->bhkv", beta[:, t], k[:, t], error)
        moving = momentum[:, t, :, None, None] * moving + write
        memory = memory + moving
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], memory))
    return torch.stack(outputs, dim=1), MomentumState(memory, moving)


def _recurrent(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    beta: StepSizes,
    momentum: StepSizes,
    state: MomentumState,
    *,
    chunk_size: int,
) -> tuple[Values, MomentumState]:
    """The equations with views taken once: a slice inside the loop makes its gradient quadratic in T."""
    heads = q.shape[0], q.shape[2]
    rows = (rearrange(x, "b t h d -> t (b h) 1 d").unbind() for x in (q, k, v))
    writes = rearrange(beta.unsqueeze(-1) * k, "b t h k -> t (b h) k 1").unbind()
    factors = (rearrange(x, "b t h -> t (b h) 1 1").unbind() for x in (g.exp(), momentum))
    memory, moving = (x.flatten(0, 1) for x in state)
    outputs = []
    for query, key, value, write, decay, kept in zip(*rows, writes, *factors, strict=True):
        memory = decay * memory
        error = torch.baddbmm(value, key, memory, alpha=-1)
        moving = torch.baddbmm(kept * moving, write, error)
        memory = memory + moving
        outputs.append(query @ memory)
    read = rearrange(torch.stack(outputs), "t (b h) 1 v -> b t h v", h=heads[1])
    return read, MomentumState(memory.unflatten(0, heads), moving.unflatten(0, heads))


def _parallel(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    beta: StepSizes,
    momentum: StepSizes,
    state: MomentumState,
    *,
    chunk_size: int,
) -> tuple[Values, MomentumState]:
    """All positions at once: the chunkwise form with one chunk, O(T^2) memory."""
    return _chunkwise(q, k, v, g, beta, momentum, state, chunk_size=q.shape[1])


def _chunkwise(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    beta: StepSizes,
    momentum: StepSizes,
    state: MomentumState,
    *,
    chunk_size: int,
) -> tuple[Values, MomentumState]:
    """The errors written in a chunk by one triangular solve; between chunks through memory and momentum.

    Memory and momentum are stacked along the keys: one memory of 2 K channels, read and written at once.
    """
    length = q.shape[1]
    sequences = q, k, v, g, beta, momentum, torch.ones_like(g)
    q, k, v, g, beta, momentum, present = (split_chunks(x, min(chunk_size, length)) for x in sequences)
    chunk = momentum_chunks(g, momentum, present)
    step = beta.unsqueeze(-1)
    stepped = step * k
    reads = _beside(stepped, chunk.decay, chunk.drift_before)
    system = (stepped @ k.mT) * chunk.writes_before
    known = torch.cat([step * v, reads], dim=-1)
    solved = solve_unit_lower(system, known)
    errors, corrections = solved.split([v.shape[-1], reads.shape[-1]], dim=-1)
    writes = _beside(k, chunk.writes[..., -1, :], chunk.momenta[..., -1, :]).mT
    before, errors, state = _carry(errors, corrections, writes, _transitions(chunk), state)
    queries = _beside(q, chunk.decay, chunk.drift)
    outputs = queries @ before + ((q @ k.mT) * chunk.writes) @ errors
    return merge_chunks(outputs, length), state


def _beside(
    x: Float[Tensor, "B H N C K"], memory: Float[Tensor, "B H N C"], momentum: Float[Tensor, "B H N C"]
) -> Float[Tensor, "B H N C channels"]:
    """`x` as it meets the memory, beside `x` as it meets the momentum."""
    return torch.cat([x * memory.unsqueeze(-1), x * momentum.unsqueeze(-1)], dim=-1)


def _transitions(chunk: MomentumChunks) -> Float[Tensor, "B H N 2 2"]:
    """What a whole chunk makes of memory and momentum, beside what it writes."""
    decay, drift, momentum = (x[..., -1] for x in (chunk.decay, chunk.drift, chunk.momentum))
    rows = torch.stack([decay, drift], dim=-1), torch.stack([torch.zeros_like(decay), momentum], dim=-1)
    return torch.stack(rows, dim=-2)


def _carry(
    errors: Float[Tensor, "B H N C V"],
    corrections: Float[Tensor, "B H N C channels"],
    writes: Float[Tensor, "B H N channels C"],
    transitions: Float[Tensor, "B H N 2 2"],
    state: MomentumState,
) -> tuple[Float[Tensor, "B H N channels V"], Float[Tensor, "B H N C V"], MomentumState]:
    """Memory over momentum before each chunk, the errors written given them, and the state after the last."""
    stacked = torch.cat(list(state), dim=-2)
    before, written = [], []
    chunks = zip(*(x.unbind(2) for x in (errors, corrections, writes, transitions)), strict=True)
    for error, correction, write, transition in chunks:
        before.append(stacked)
        written.append(error - correction @ stacked)
        kept = transition @ stacked.unflatten(-2, (2, -1)).flatten(-2)
        stacked = kept.view_as(stacked) + write @ written[-1]
    memory, momentum = stacked.chunk(2, dim=-2)
    return torch.stack(before, dim=2), torch.stack(written, dim=2), MomentumState(memory, momentum)


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise, "parallel": _parallel}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "g": log_decay(rng, B, length, H),
        "beta": step_sizes(rng, B, length, H),
        "momentum": step_sizes(rng, B, length, H),
    }


SPEC = OpSpec(
    op=momentum_delta_rule,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "beta": 1, "momentum": 1},
)
