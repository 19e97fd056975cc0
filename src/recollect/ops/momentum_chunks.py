r"""Sums with momentum, all positions of a chunk at once.

What is written goes into a momentum, and the momentum into a memory that decays:

$$M_t = \mu_t M_{t-1} + w_t, \qquad S_t = e^{g_t} S_{t-1} + M_t$$

so that $S_t = \sum_{j \le t} c_{tj} w_j + \alpha_t S_0 + \beta_t M_0$. With the lower triangular matrices of
what is left of a momentum, $P_{tj} = \mu_t \cdots \mu_{j+1}$, and of a memory, $A_{tj} = e^{g_t + \cdots +
g_{j+1}}$, the coefficients are $c = A P$: sums of products of numbers in $[0, 1]$. No product is ever
divided by another, so nothing cancels or overflows however far the products have fallen.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.ops.chunks import decay_within

ChunkVector = Float[Tensor, "*B C"]
ChunkMatrix = Float[Tensor, "*B C C"]


class MomentumChunks(NamedTuple):
    """Coefficients at each position of a chunk that starts with memory `S` and momentum `M`."""

    decay: ChunkVector
    """Of `S` in the memory."""

    drift: ChunkVector
    """Of `M` in the memory."""

    momentum: ChunkVector
    """Of `M` in the momentum."""

    writes: ChunkMatrix
    """Of the write of a column in the memory at a row."""

    momenta: ChunkMatrix
    """Of the write of a column in the momentum at a row."""

    drift_before: ChunkVector
    """Of `M` in the memory after a position's decay, before its momentum is added."""

    writes_before: ChunkMatrix
    """Of the write of a column in the memory of a row after its decay, before its momentum is added."""


def momentum_chunks(g: ChunkVector, momentum: ChunkVector, present: ChunkVector) -> MomentumChunks:
    r"""The coefficients of $M_t = \mu_t M_{t-1} + w_t$, $S_t = e^{g_t} S_{t-1} + M_t$ in chunks of C.

    Cost O(C^3) for a chunk.

    Args:
        g: logarithm of the decay, 0 where a position is missing.
        momentum: share of the momentum that is kept, 0 where a position is missing.
        present: 1, or 0 where a position is missing; memory and momentum stay as they are there.

    Example:
        >>> half = torch.full((3,), 0.5)
        >>> momentum_chunks(torch.zeros(3), half, torch.ones(3)).writes
        tensor([[1.0000, 0.0000, 0.0000],
                [1.5000, 1.0000, 0.0000],
                [1.7500, 1.5000, 1.0000]])
    """
    kept = momentum + (1 - present)
    momenta = products_between(kept)
    added = momenta * present.unsqueeze(-1)
    before = decay_within(g).tril(-1) @ added
    writes, first = before + added, kept[..., :1]
    return MomentumChunks(
        decay=g.cumsum(-1).exp(),
        drift=first * writes[..., 0],
        momentum=first * momenta[..., 0],
        writes=writes,
        momenta=momenta,
        drift_before=first * before[..., 0],
        writes_before=before,
    )


def products_between(factors: ChunkVector) -> ChunkMatrix:
    r"""$f_i f_{i-1} \cdots f_{j+1}$ for $j \le i$ (1 on the diagonal), else 0; factors may be 0.

    Row $i$ is $f_i$ times row $i - 1$ plus a 1: a triangular system whose solution by substitution only
    multiplies and adds.

    Example:
        >>> products_between(torch.tensor([5.0, 0.5, 0.0]))
        tensor([[1.0000, 0.0000, 0.0000],
                [0.5000, 1.0000, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """
    system = torch.diag_embed(-factors[..., 1:], offset=-1)
    identity = torch.eye(factors.shape[-1], dtype=factors.dtype, device=factors.device)
    identity = identity.expand(system.shape)
    return torch.linalg.solve_triangular(system, identity, upper=False, unitriangular=True)
