"""A delta rule position by position, for streaming."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadState, Queries, Values


def delta_steps(
    q: Queries,
    k: Float[Tensor, "B T steps H K"],
    v: Float[Tensor, "B T steps H V"],
    beta: Float[Tensor, "B T steps H"],
    decay: Float[Tensor, "B T H _"] | None,
    state: HeadState,
) -> tuple[Values, HeadState]:
    r"""At each position: decay, then `steps` times $S \mathrel{+}= \beta k (v - S^\top k)^\top$, then read.

    `decay` is that of each key channel, or one for all of them, and not its logarithm; `None` for no decay.
    Views are taken once: a slice inside the loop makes its gradient quadratic in T.
    """
    steps, heads = k.shape[2], state.shape[:2]
    queries = rearrange(q, "b t h k -> t (b h) 1 k").unbind()
    keys = rearrange(k, "b t s h k -> (t s) (b h) 1 k").unbind()
    values = rearrange(v, "b t s h v -> (t s) (b h) 1 v").unbind()
    writes = rearrange(beta.unsqueeze(-1) * k, "b t s h k -> (t s) (b h) k 1").unbind()
    decays = None if decay is None else rearrange(decay, "b t h k -> t (b h) k 1").unbind()
    state = state.flatten(0, 1)
    outputs = []
    for t, query in enumerate(queries):
        if decays is not None:
            state = decays[t] * state
        for i in range(t * steps, (t + 1) * steps):
            error = torch.baddbmm(values[i], keys[i], state, alpha=-1)
            state = torch.baddbmm(state, writes[i], error)
        outputs.append(query @ state)
    read = rearrange(torch.stack(outputs), "t (b h) 1 v -> b t h v", h=heads[1])
    return read, state.unflatten(0, heads)
