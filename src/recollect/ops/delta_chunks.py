r"""Chunks of a delta rule at once, by the WY representation of a product of Householder-like matrices.

A delta rule writes errors: $S_t = A_t S_{t-1} + k_t u_t^\top$ with
$u_t = \beta_t (v_t - (A_t S_{t-1})^\top k_t)$, where $A_t$ is a diagonal decay. Within a chunk that starts at
$S_0$ the errors solve a unit lower triangular system,

$$(I + M)\, U = \mathrm{diag}(\beta) V - \hat K S_0,$$

where $M_{ij} = \beta_i k_i^\top A_i \cdots A_{j+1} k_j$ for $j < i$, and $\beta_i A_i \cdots A_1 k_i$ are the
rows of $\hat K$. One solve for both right-hand sides gives $U = \bar U - W S_0$ before $S_0$ is known, so
that the loop over chunks only multiplies (Yang et al. 2024, arXiv:2406.06484; arXiv:2412.06464 with decay).
"""

from typing import NamedTuple

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadState
from recollect.ops.chunks import decay_within


class DeltaChunk(NamedTuple):
    """Chunks of `S` writes and `C` reads (`S = C` unless a position writes more than once)."""

    scores: Float[Tensor, "B H N C S"]
    """Queries by keys, decayed, 0 where the write is later than the read."""

    overlaps: Float[Tensor, "B H N S S"]
    """Keys times step sizes by keys, decayed; only what is below the diagonal counts."""

    queries: Float[Tensor, "B H N C K"]
    """Queries as they read the state before the chunk: decayed since its start."""

    reads: Float[Tensor, "B H N S K"]
    """Keys times step sizes as they read the state before the chunk: decayed since its start."""

    writes: Float[Tensor, "B H N S K"]
    """Keys as they are left in the state after the chunk: decayed until its end."""

    decay: Float[Tensor, "B H N K"] | Float[Tensor, "B H N 1"]
    """Decay of the state over the whole chunk, for each key channel or for all."""


def delta_chunks(
    chunks: DeltaChunk, v: Float[Tensor, "B H N S V"], state: HeadState
) -> tuple[Float[Tensor, "B H N C V"], HeadState]:
    """Outputs of all chunks, and the state after the last; the only loop goes over chunks.

    Work O(S (S + K + V) + S K V) for each chunk and head. `v` are the values times their step sizes.
    """
    known = torch.cat([v, chunks.reads], dim=-1)
    solved = solve_unit_lower(chunks.overlaps, known)
    errors, corrections = solved.split([v.shape[-1], chunks.reads.shape[-1]], dim=-1)
    before, errors, state = _carry(errors, corrections, chunks.writes.mT, chunks.decay.unsqueeze(-1), state)
    return chunks.queries @ before + chunks.scores @ errors, state


def chunks_under_head_decay(
    q: Float[Tensor, "B H N C K"],
    k: Float[Tensor, "B H N S K"],
    g: Float[Tensor, "B H N C"],
    beta: Float[Tensor, "B H N S"],
) -> DeltaChunk:
    """Chunks whose positions decay all channels alike; a position decays once, then writes `S / C` times."""
    num_steps = k.shape[-2] // q.shape[-2]
    since_start, between = g.cumsum(-1).exp(), decay_within(g)
    until_end = between[..., -1, :]
    between = repeat(between, "... c d -> ... c (d n)", n=num_steps)
    stepped = k * beta.unsqueeze(-1)
    return DeltaChunk(
        scores=(q @ k.mT) * between,
        overlaps=(stepped @ k.mT) * repeat(between, "... c s -> ... (c n) s", n=num_steps),
        queries=q * since_start.unsqueeze(-1),
        reads=stepped * repeat(since_start, "... c -> ... (c n) 1", n=num_steps),
        writes=k * repeat(until_end, "... c -> ... (c n) 1", n=num_steps),
        decay=since_start[..., -1:],
    )


def solve_unit_lower(
    system: Float[Tensor, "B H N S S"], known: Float[Tensor, "B H N S W"]
) -> Float[Tensor, "B H N S W"]:
    """`X` with `(I + tril(system, -1)) X = known`; solved as `X^T (I + ...)^T = known^T`, which is faster."""
    return torch.linalg.solve_triangular(system.mT, known.mT, upper=True, left=False, unitriangular=True).mT


def _carry(
    errors: Float[Tensor, "B H N S V"],
    corrections: Float[Tensor, "B H N S K"],
    writes: Float[Tensor, "B H N K S"],
    decay: Float[Tensor, "B H N _ 1"],
    state: HeadState,
) -> tuple[Float[Tensor, "B H N K V"], Float[Tensor, "B H N S V"], HeadState]:
    """States before each chunk, the errors written given them, and the state after the last."""
    before, written = [], []
    for chunk in zip(*(x.unbind(2) for x in (errors, corrections, writes, decay)), strict=True):
        error, correction, write, factor = chunk
        before.append(state)
        error = error - correction @ state
        state = factor * state + write @ error
        written.append(error)
    return torch.stack(before, dim=2), torch.stack(written, dim=2), state
