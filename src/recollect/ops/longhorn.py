r"""Implicit online learning: each position moves the state to the minimum of a proximal problem.

$$S_t = \arg\min_S |S - S_{t-1}|^2 + \beta_t |v_t - S^\top k_t|^2
= S_{t-1} + \frac{\beta_t}{1 + \beta_t |k_t|^2} k_t (v_t - S_{t-1}^\top k_t)^\top, \qquad o_t = S_t^\top q_t$$

As test-time regression of $v$ on $k$: uniform regression weights, a linear function class, and implicit
(proximal) stochastic gradient descent: a delta rule whose step adapts to the norm of the key and is stable
for every $\beta_t \ge 0$ (Longhorn, Liu et al. 2024, arXiv:2407.14207). This is the exact step with one
$\beta_t$ for each head. The published layer is another recurrence: it has one $\beta_t$ for each value
channel and keeps only the diagonal of $k_t k_t^\top$, so that its state decays entry by entry.
"""

import torch
from torch import Tensor

from recollect.core.shapes import HeadState, Keys, Queries, StepSizes, Values
from recollect.ops.delta_rule import FORMS as DELTA_FORMS
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.samples import B, H, queries_keys_values, step_sizes
from recollect.ops.spec import OpSpec


def longhorn(
    q: Queries,
    k: Keys,
    v: Values,
    beta: StepSizes,
    *,
    scale: float | None = None,
    initial_state: HeadState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, HeadState | None]:
    r"""Implicit step: $S_t = S_{t-1} + \frac{\beta}{1 + \beta |k|^2} k (v - S_{t-1}^\top k)^\top$.

    Costs what `delta_rule` does. Retrieves after the update. Stable for every $\beta_t \ge 0$ and keys of any
    norm; a large $\beta_t$ projects, so that $S_t^\top k_t = v_t$.

    Args:
        q: queries.
        k: keys, as they are (a layer normalises them, an op never does).
        v: values.
        beta: importance of each position, from 0 (ignored) up; finite.
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
        >>> k, v = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 3.0)
        >>> [longhorn(k, k, v, torch.full((1, 1, 1), beta))[0].item() for beta in (0.0, 0.5, 2.0)]
        [0.0, 1.0, 2.0]
    """
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v, "beta": beta},
        lambda batch: k.new_zeros(batch, k.shape[-2], k.shape[-1], v.shape[-1]),
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        chunk_size=chunk_size,
    )


def _reference(
    q: Queries, k: Keys, v: Values, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    """The proximal problem, position by position: (I + beta k k^T) S = S_{t-1} + beta k v^T."""
    outputs = []
    identity = torch.eye(k.shape[-1], dtype=k.dtype, device=k.device)
    for t in range(q.shape[1]):
        curvature = torch.einsum("bh,bhk,bhl->bhkl", beta[:, t], k[:, t], k[:, t])
        write = torch.einsum("bh,bhk,bhv->bhkv", beta[:, t], k[:, t], v[:, t])
        state = torch.linalg.solve(identity + curvature, state + write)
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    return torch.stack(outputs, dim=1), state


def _recurrent(
    q: Queries, k: Keys, v: Values, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    return DELTA_FORMS["recurrent"](q, k, v, _step(k, beta), state, chunk_size=chunk_size)


def _parallel(
    q: Queries, k: Keys, v: Values, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    return DELTA_FORMS["parallel"](q, k, v, _step(k, beta), state, chunk_size=chunk_size)


def _chunkwise(
    q: Queries, k: Keys, v: Values, beta: StepSizes, state: HeadState, *, chunk_size: int
) -> tuple[Values, HeadState]:
    return DELTA_FORMS["chunkwise"](q, k, v, _step(k, beta), state, chunk_size=chunk_size)


def _step(k: Keys, beta: StepSizes) -> StepSizes:
    """The step of the delta rule that equals the implicit one (Sherman-Morrison)."""
    return beta / (1 + beta * k.square().sum(-1))


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise, "parallel": _parallel}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {"beta": 3 * step_sizes(rng, B, length, H)}


SPEC = OpSpec(
    op=longhorn,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "beta": 1},
)
