r"""The forms that all local regressions share, which answer each query from all associations in its sight.

$$w_i^{(t)} = s(q_t, k_i)\, e^{G_t - G_i + b_i} \ (t - i < \text{window}), \qquad G_t = \sum_{j \le t} g_j$$

An op brings its definition for a single query, and its estimate for a block of them. The forms differ in how
many queries are in a block: one (`recurrent`), a chunk (`chunkwise`), or all (`parallel`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadDecay, Keys, Queries, Values
from recollect.ops.associations import Associations, last, no_associations
from recollect.ops.chunks import log_decay_within
from recollect.ops.dispatch import Form, dispatch
from recollect.ops.similarity import Scores

Estimate = Callable[..., Float[Tensor, "B H C V"]]
"""`estimate(*queries, *associations, log_weights, **parameters)` for a block of C queries: `queries` are
`(B, H, C, K)`, `associations` (keys, values and what `prepare` adds) `(B, H, S, .)`, `log_weights`
`(B, H, C, S)` without the similarity, `-inf` for what a query does not see."""

Prepare = Callable[[Float[Tensor, "B H S K"], int], tuple[Tensor, ...]]
"""`prepare(keys, num_earlier)` to further tensors `(B, H, S, .)` that all blocks read; the first
`num_earlier` keys are those of the state."""

BlockSize = Callable[[int, int], int]
"""Queries in a block, from the size of a chunk and the length of the sequence."""


def local_forms(definition: Estimate, estimate: Estimate, prepare: Prepare | None = None) -> dict[str, Form]:
    """Forms `(*queries, k, v, g, log_importance, state, *, chunk_size, window, **parameters)` of an op.

    Args:
        definition: the answer to one query (a block of one), for the reference.
        estimate: the answers to a block of queries.
        prepare: what all blocks need of the keys.
    """
    in_blocks = partial(_read_in_blocks, estimate, prepare)
    return {
        "reference": partial(_read_one_by_one, definition),
        "recurrent": partial(in_blocks, lambda chunk_size, length: 1),
        "parallel": partial(in_blocks, lambda chunk_size, length: length),
        "chunkwise": partial(in_blocks, lambda chunk_size, length: chunk_size),
    }


def read_locally(
    forms: dict[str, Form],
    form: str,
    queries: dict[str, Queries],
    k: Keys,
    v: Values,
    g: HeadDecay | None,
    log_importance: HeadDecay | None,
    state: Associations | None,
    cu_seqlens: Tensor | None,
    output_final_state: bool,
    *,
    window: int | None,
    **parameters: Any,
) -> tuple[Values, Associations | None]:
    """Run one form of an op on queries by name.

    `None` for decays and importances is 0, for the state nothing read.
    """
    if window is not None and window < 1:
        raise ValueError(f"window={window}: expected at least 1, the position itself, or None for all.")
    return dispatch(
        forms,
        form,
        queries | {"k": k, "v": v, "g": or_zeros(g, k), "log_importance": or_zeros(log_importance, k)},
        lambda batch: no_associations(batch, k, v),
        initial_state=state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        window=window,
        **parameters,
    )


def or_zeros(x: HeadDecay | None, k: Keys) -> HeadDecay:
    """Logarithms of weights that are all 1 unless given."""
    return k.new_zeros(k.shape[:3]) if x is None else x


def _read_one_by_one(
    definition: Estimate, *arguments: Any, chunk_size: int, window: int | None, **parameters: Any
) -> tuple[Values, Associations]:
    """For each position: forget, write, read."""
    *queries, k, v, g, log_importance, state = arguments
    outputs = []
    for t in range(k.shape[1]):
        now = slice(t, t + 1)
        written = k[:, now], v[:, now], log_importance[:, now]
        forgotten = state._replace(log_weights=state.log_weights + g[:, now])
        in_sight = last(Associations(*map(_append, forgotten, written)), window)
        queries_bh1k = (rearrange(x[:, now], "b t h k -> b h t k") for x in queries)
        associations = (rearrange(x, "b s h d -> b h s d") for x in (in_sight.keys, in_sight.values))
        log_weights = rearrange(in_sight.log_weights, "b s h -> b h 1 s")
        outputs.append(definition(*queries_bh1k, *associations, log_weights, **parameters))
        state = last(in_sight, None if window is None else window - 1)
    return rearrange(torch.cat(outputs, dim=2), "b h t v -> b t h v"), state


def _read_in_blocks(
    estimate: Estimate,
    prepare: Prepare | None,
    block_size: BlockSize,
    *arguments: Any,
    chunk_size: int,
    window: int | None,
    **parameters: Any,
) -> tuple[Values, Associations]:
    """Block by block, each against the associations that one of its queries sees."""
    *queries, k, v, g, log_importance, state = arguments
    everything = Associations(*map(_append, state, (k, v, log_importance)))
    keys, values = (rearrange(x, "b s h d -> b h s d").contiguous() for x in everything[:2])
    queries = [rearrange(x, "b t h k -> b h t k").contiguous() for x in queries]
    g, log_importance, log_weights = (
        rearrange(x, "b s h -> b h s") for x in (g, log_importance, state.log_weights)
    )
    length, num_earlier = k.shape[1], state.keys.shape[1]
    associations = keys, values, *(prepare(keys, num_earlier) if prepare else ())
    size = block_size(chunk_size, length)
    outputs = []
    for start in range(0, length, size):
        block = slice(start, min(start + size, length))
        rows = _log_weights(log_weights, g[..., block], log_importance[..., block], window)
        in_sight = slice(num_earlier + block.stop - rows.shape[-1], num_earlier + block.stop)
        asked = (x[:, :, block] for x in queries)
        outputs.append(estimate(*asked, *(x[:, :, in_sight] for x in associations), rows, **parameters))
        log_weights = rows[..., -1, :]
    log_weights = rearrange(log_weights, "b h s -> b s h")
    held = last(everything, log_weights.shape[1])._replace(log_weights=log_weights)
    state = last(held, None if window is None else window - 1)
    return rearrange(torch.cat(outputs, dim=2), "b h t v -> b t h v"), state


def _log_weights(
    earlier: Float[Tensor, "B H earlier"],
    g: Float[Tensor, "B H C"],
    log_importance: Float[Tensor, "B H C"],
    window: int | None,
) -> Scores:
    """For each query of a block the log-weights of what was read before it, and in it; `-inf` out of sight.

    Decays are summed from the start of the block, or in it, so that neither a long past nor a strong decay
    costs digits.
    """
    if window is not None:
        earlier = earlier[..., max(earlier.shape[-1] - window + 1, 0) :]
    before = earlier[..., None, :] + g.cumsum(-1)[..., :, None]
    rows = torch.cat([before, log_decay_within(g) + log_importance[..., None, :]], dim=-1)
    num_queries, num_earlier = g.shape[-1], earlier.shape[-1]
    sight = torch.ones(num_queries, num_earlier + num_queries, dtype=torch.bool, device=g.device)
    sight = sight.tril(num_earlier)
    if window is not None:
        sight = sight.triu(num_earlier - window + 1)
    return rows.masked_fill(~sight, -torch.inf)


def _append(x: Float[Tensor, "B S *rest"], y: Float[Tensor, "B T *rest"]) -> Float[Tensor, "B _ *rest"]:
    return torch.cat([x, y], dim=1)
