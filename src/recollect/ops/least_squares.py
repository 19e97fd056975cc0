"""What `rls` and `mesa` share: the normal equations as a state, and the forms that keep them."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from recollect.core.shapes import HeadDecay, HeadState, Keys, Queries, StepSizes, Values
from recollect.ops.chunks import carry, decay_within, merge_chunks, split_chunks
from recollect.ops.gram_solve import Growth, residual_of_growth, solve_growth


class LeastSquaresState(NamedTuple):
    r"""The normal equations so far: $H_t = \sum w k k^\top$ and $S_t = \sum w k v^\top$, which both decay."""

    gram: Float[Tensor, "_ H K K"]
    cross: HeadState


def symmetric(state: LeastSquaresState | None) -> LeastSquaresState | None:
    """The same state with an exactly symmetric Gram matrix: its gradient is symmetric in every form then."""
    return None if state is None else state._replace(gram=(state.gram + state.gram.mT) / 2)


def weighted_solves(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    importance: StepSizes,
    state: LeastSquaresState,
    ridge: Float[Tensor, "H K"] | None,
) -> tuple[Values, LeastSquaresState]:
    """The definition: at each position its own weights, its own normal equations, its own solve."""
    total, outputs = g.cumsum(1), []
    gram, cross = state
    log_decay = g[:, :0]
    for t in range(q.shape[1]):
        past = slice(0, t + 1)
        log_decay = torch.cat([log_decay + g[:, t : t + 1], torch.zeros_like(g[:, :1])], dim=1)
        weights = log_decay.exp() * importance[:, past]
        kept = total[:, t, :, None, None].exp()
        gram = kept * state.gram + torch.einsum("bth,bthk,bthj->bhkj", weights, k[:, past], k[:, past])
        cross = kept * state.cross + torch.einsum("bth,bthk,bthv->bhkv", weights, k[:, past], v[:, past])
        system = gram if ridge is None else gram + torch.diag_embed(ridge)
        outputs.append(torch.einsum("bhk,bhkv->bhv", torch.linalg.solve(system, q[:, t]), cross))
    return torch.stack(outputs, dim=1), LeastSquaresState(gram, cross)


def after(
    k: Keys, v: Values, g: HeadDecay, importance: StepSizes, state: LeastSquaresState
) -> LeastSquaresState:
    """The state after the last position, in one product."""
    until_end = pad(g[:, 1:], (0, 0, 0, 1)).flip(1).cumsum(1).flip(1)
    late = k * (importance * until_end.exp())[..., None]
    kept = g.sum(1).exp()[..., None, None]
    gram = torch.einsum("bthk,bthj->bhkj", late, k)
    return LeastSquaresState(
        kept * state.gram + (gram + gram.mT) / 2,
        kept * state.cross + torch.einsum("bthk,bthv->bhkv", late, v),
    )


def chunk_solves(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    importance: StepSizes,
    state: LeastSquaresState,
    ridge: Float[Tensor, "H K"] | None,
    *,
    chunk_size: int,
    tolerance: float | None = None,
    max_iterations: int | None = None,
) -> tuple[Values, LeastSquaresState]:
    """Normal equations before each chunk by a linear recurrence; then the solves of all positions at once."""
    length = q.shape[1]
    q, v = (split_chunks(x, min(chunk_size, length)) for x in (q, v))
    growth, cross, final = _grow(k, v, g, importance, state, ridge, min(chunk_size, length))
    x = solve_growth(q, growth, tolerance=tolerance, max_iterations=max_iterations)
    weights = decay_within(growth.g) * growth.importance[..., None, :]
    outputs = ((x @ growth.keys.mT) * weights) @ v + (x * growth.g.cumsum(-1).exp()[..., None]) @ cross
    return merge_chunks(outputs, length), final


def chunk_residuals(
    q: Queries,
    k: Keys,
    g: HeadDecay,
    importance: StepSizes,
    gram: Float[Tensor, "_ H K K"],
    ridge: Float[Tensor, "H K"],
    *,
    chunk_size: int,
    tolerance: float | None,
    max_iterations: int | None,
) -> Float[Tensor, "B T H"]:
    """Relative residuals of the solves of `chunk_solves`."""
    length = q.shape[1]
    size = min(chunk_size, length)
    nothing = split_chunks(k[..., :0], size)
    growth, _, _ = _grow(k, nothing, g, importance, LeastSquaresState(gram, gram[..., :0]), ridge, size)
    q = split_chunks(q, size)
    residual = residual_of_growth(q, growth, tolerance=tolerance, max_iterations=max_iterations)
    return merge_chunks(residual[..., None], length).squeeze(-1)


def _grow(
    k: Keys,
    v: Float[Tensor, "B H N C V"],
    g: HeadDecay,
    importance: StepSizes,
    state: LeastSquaresState,
    ridge: Float[Tensor, "H K"] | None,
    size: int,
) -> tuple[Growth, Float[Tensor, "B H N K V"], LeastSquaresState]:
    """The Gram matrices and cross sums before each chunk, and the state after the last."""
    sizes = k.shape[-1], v.shape[-1]
    k, g, importance = (split_chunks(x, size) for x in (k, g, importance))
    late = k * (importance * decay_within(g)[..., -1, :])[..., None]
    writes = late.mT @ torch.cat([k, v], dim=-1)
    before, final = carry(g.sum(-1).exp(), writes, torch.cat(state, dim=-1))
    gram, cross = before.split(sizes, dim=-1)
    rows = None if ridge is None else ridge[:, None, None].expand_as(k)
    return Growth(k, importance, g, gram, rows), cross, LeastSquaresState(*final.split(sizes, dim=-1))
