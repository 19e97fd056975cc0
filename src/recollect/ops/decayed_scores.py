r"""Scores inside a chunk when every key channel has a decay of its own.

$$A_{ij} = \sum_c q_{ic} \, k_{jc} \, e^{G_{ic} - G_{jc}}, \quad j \le i, \qquad G_i = g_1 + \dots + g_i$$

The decay depends on row, column and channel at once, so a single product of matrices gives $A$ only as
$(q e^{G}) (k e^{-G})^\top$, whose second factor overflows. The two halves of a block do without: every row of
the later half sees every column of the earlier half through the boundary $m$ between them, as
$(q_i e^{G_i - G_m}) (k_j e^{G_m - G_j})^\top$ with $j \le m < i$, and both exponents are at most 0. So blocks
are joined in pairs until one is left. What a block needs are its rows decayed since its start and its columns
decayed until its end, and these are products of those of its halves: no exponential but $e^{g}$ is taken,
nothing is subtracted or divided, and decays of any strength, even $e^g = 0$, are exact to rounding.
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

_SHORTEST = 4
"""Positions of the first blocks, whose scores are sums written out: products of smaller matrices are slow."""


class DecayedBlock(NamedTuple):
    """Blocks of `S` positions, with `R` query rows for each position, and what joins them to other blocks."""

    scores: Float[Tensor, "B H N S R S"]
    """Rows by columns, 0 where the column is later than the row."""

    rows: Float[Tensor, "B H N S R K"]
    """Rows decayed since the state before the block."""

    keys: Float[Tensor, "B H N S K"]
    """Columns decayed until the end of the block."""

    decay: Float[Tensor, "B H N K"]
    """Decay of the whole block."""


def decayed_scores(
    rows: Float[Tensor, "B H N C R K"], keys: Float[Tensor, "B H N C K"], g: Float[Tensor, "B H N C K"]
) -> DecayedBlock:
    """Scores of each chunk between its rows and its keys under the log-decay `g`.

    Work O(C (C + log C) R K) for each chunk.

    Args:
        rows: query rows, `R` for each position.
        keys: columns.
        g: logarithm of the decay of each key channel, which acts before its position is read.

    Raises:
        ValueError: a chunk that is not of 1, 2, 4, 8, ... positions (`chunk_length` finds one).
    """
    length = keys.shape[3]
    if length != chunk_length(length):
        raise ValueError(f"expected chunks of 1, 2, 4, 8, ... positions, got {length}; use `chunk_length`.")
    blocks = _written_out(rows, keys, g.exp(), min(length, _SHORTEST))
    while blocks.keys.shape[3] < length:
        blocks = _join_pairs(blocks)
    return blocks


def chunk_length(length: int) -> int:
    """The least power of two that is at least `length`.

    Example:
        >>> [chunk_length(length) for length in (1, 4, 5, 64)]
        [1, 4, 8, 64]
    """
    return 1 << (length - 1).bit_length()


def _written_out(
    rows: Float[Tensor, "B H N C R K"],
    keys: Float[Tensor, "B H N C K"],
    decay: Float[Tensor, "B H N C K"],
    length: int,
) -> DecayedBlock:
    """Blocks of `length` positions, one position after the other."""
    all_rows = rearrange(rows, "b h n (m s) r k -> s b h (n m) r k", s=length)
    all_keys, decays = (rearrange(x, "b h n (m s) k -> s b h (n m) k", s=length) for x in (keys, decay))
    scores, since_start, until_now = [], [], []
    total = torch.ones_like(decays[0])
    for row, key, factor in zip(all_rows, all_keys, decays, strict=True):
        until_now = [*(x * factor for x in until_now), key]
        total = total * factor
        seen = torch.stack([(row * x.unsqueeze(-2)).sum(-1) for x in until_now], dim=-1)
        scores.append(pad(seen, (0, length - len(until_now))))
        since_start.append(row * total.unsqueeze(-2))
    return DecayedBlock(torch.stack(scores, 3), torch.stack(since_start, 3), torch.stack(until_now, 3), total)


def _join_pairs(blocks: DecayedBlock) -> DecayedBlock:
    """Blocks of twice the length: the later half sees the earlier one through the boundary between them."""
    pairs = (rearrange(x, "b h (n two) ... -> two b h n ...", two=2) for x in blocks)
    (early_scores, late_scores), (early_rows, late_rows), (early_keys, late_keys), (early, late) = pairs
    length, num_rows = late_rows.shape[3:5]
    across = late_rows.flatten(3, 4) @ early_keys.mT
    across = rearrange(across, "b h n (s r) t -> b h n s r t", s=length, r=num_rows)
    scores = [pad(early_scores, (0, length)), torch.cat([across, late_scores], dim=-1)]
    return DecayedBlock(
        scores=torch.cat(scores, dim=3),
        rows=torch.cat([early_rows, late_rows * early[..., None, None, :]], dim=3),
        keys=torch.cat([early_keys * late.unsqueeze(-2), late_keys], dim=3),
        decay=early * late,
    )
