r"""Recursive least squares: at every position the exact weighted ridge regression of all values so far.

$$H_t = e^{g_t} H_{t-1} + w_t k_t k_t^\top, \qquad S_t = e^{g_t} S_{t-1} + w_t k_t v_t^\top, \qquad
o_t = S_t^\top H_t^{-1} q_t, \qquad H_0 = \operatorname{diag}(\mathrm{ridge})$$

As test-time regression (Wang, Shi and Fox 2025, arXiv:2501.12352): gated exponential decay as regression
weights, a linear function class, and the exact optimizer. The prior decays with the weights; `mesa` keeps it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.errors import NumericalError
from recollect.core.shapes import HeadDecay, Keys, Queries, StepSizes, Values
from recollect.ops.dispatch import dispatch
from recollect.ops.gram_solve import inverse_of
from recollect.ops.least_squares import LeastSquaresState, after, chunk_solves, symmetric, weighted_solves
from recollect.ops.samples import B, H, K, log_decay, queries_keys_values, step_sizes
from recollect.ops.spec import OpSpec

WOUND_UP = (
    "rls: expected a Gram matrix that can be inverted, got one of which {dtype} shows less than one digit. "
    "A prior that decays is forgotten where no recent key points: rank-deficient keys, or a decay so fast "
    "that the keys it leaves do not span {dim} dimensions. A tiny ridge is rounded away; no input may be "
    "infinite. Use mesa (its ridge does not decay), a weaker decay, a larger ridge, or float64."
)


def rls(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    *,
    ridge: float | Float[Tensor, "H K"] = 1.0,
    importance: StepSizes | None = None,
    scale: float | None = None,
    initial_state: LeastSquaresState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, LeastSquaresState | None]:
    r"""Exact weighted ridge regression at every position, with a prior that decays like the weights.

    $$o_t = W_t^\top q_t, \qquad W_t = \operatorname*{argmin}_W
    \sum_{i \le t} e^{G_t - G_i} w_i \lVert v_i - W^\top k_i \rVert^2
    + e^{G_t} \lVert \operatorname{diag}(\mathrm{ridge})^{1/2} W \rVert^2, \qquad G_t = \sum_{i \le t} g_i$$

    Retrieves after the decay and the write. The chunkwise form factorises the Gram matrix at the start of
    each chunk, all of them at once: work O(K^3 / C + K^2 + C K + K V) for a position and head, T / C
    sequential steps of a linear recurrence only. The streaming form updates the inverse: O(K^2 + K V) for a
    position.

    A chunk is at most half the key dimension long: over a longer one its prior may fall below the precision
    even where the problem itself is well posed, which in float32 means about `|g| K <= 10`. Relative error in
    float32 at T = 4096, ridge 1, K of 4, 16 and 64, keys of norm 1 in random directions: at most 1e-6 at
    decays from .99 to 1, 3e-6 at .95, 6e-5 at .9; keys of mean cosine .9: 6e-6, 4e-5 and 6e-4.

    Args:
        q: queries.
        k: keys, as they are (a layer normalises them, an op never does).
        v: values.
        g: logarithm of the decay, at most 0.
        ridge: the prior `diag(ridge)` before the first position, positive; not used with an `initial_state`.
        importance: weight of each association, at least 0 and independent of the decay; 1 if `None`.
        scale: factor of the queries, 1 if `None`.
        initial_state: `gram` and `cross` before the first position; `diag(ridge)` and zero if `None`.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent` or `chunkwise`.
        chunk_size: positions that the chunkwise form treats at once, at most; it takes no more than `K / 2`.

    Returns:
        Outputs `(B, T, H, V)`, and the final `LeastSquaresState` or `None`.

    Raises:
        ValueError: an unknown form, a ridge that is not positive, boundaries that do not fit, or a Gram
            matrix that cannot be inverted.

    Example:
        >>> k = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).view(1, 2, 1, 2)
        >>> v = torch.tensor([2.0, 5.0]).view(1, 2, 1, 1)
        >>> o, _ = rls(k, k, v, torch.zeros(1, 2, 1), ridge=1e-3)
        >>> [round(x, 2) for x in o.flatten().tolist()]  # recalls, though keys are correlated
        [2.0, 5.0]
    """
    if not isinstance(ridge, Tensor) and ridge <= 0:
        raise ValueError(f"ridge={ridge}: expected a positive number, or a tensor with one for each channel.")
    importance = torch.ones_like(g) if importance is None else importance
    prior = k.new_full(k.shape[2:], ridge) if isinstance(ridge, float | int) else ridge
    try:
        return dispatch(
            FORMS,
            form,
            {"q": q if scale is None else q * scale, "k": k, "v": v, "g": g, "importance": importance},
            lambda batch: _empty(batch, prior, v.shape[3]),
            initial_state=symmetric(initial_state),
            output_final_state=output_final_state,
            cu_seqlens=cu_seqlens,
            chunk_size=chunk_size,
        )
    except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
        raise NumericalError(WOUND_UP.format(dtype=k.dtype, dim=k.shape[-1])) from error


def _empty(batch: int, prior: Float[Tensor, "H K"], value_dim: int) -> LeastSquaresState:
    num_heads, key_dim = prior.shape
    gram = torch.diag_embed(prior).expand(batch, num_heads, key_dim, key_dim)
    return LeastSquaresState(gram, prior.new_zeros(batch, num_heads, key_dim, value_dim))


def _reference(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    importance: StepSizes,
    state: LeastSquaresState,
    *,
    chunk_size: int,
) -> tuple[Values, LeastSquaresState]:
    """The regression of each position from its definition."""
    return weighted_solves(q, k, v, g, importance, state, None)


def _recurrent(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    importance: StepSizes,
    state: LeastSquaresState,
    *,
    chunk_size: int,
) -> tuple[Values, LeastSquaresState]:
    """The regressor and the inverse Gram matrix, updated by Sherman and Morrison's formula.

    `k^T P` is computed anew and not taken for the transpose of `P k`: an asymmetry of P grows as `e^-g`
    otherwise.
    """
    inverse = inverse_of(state.gram)
    regressor = inverse @ state.cross
    rows = q.unsqueeze(-2), k.unsqueeze(-2), v.unsqueeze(-2)
    scalars = g.exp()[..., None, None], (-g).exp()[..., None, None], importance[..., None, None]
    outputs = []
    for q_t, k_t, v_t, decay, growth, weight in zip(*(x.unbind(1) for x in (*rows, *scalars)), strict=True):
        towards, reached = inverse @ k_t.mT, k_t @ inverse
        gain = towards * (weight / (decay + weight * (k_t @ towards)))
        regressor = regressor + gain @ (v_t - k_t @ regressor)
        inverse = (inverse - gain @ reached) * growth
        outputs.append(q_t @ regressor)
    final = after(k, v, g, importance, state)
    inverse_of(final.gram.detach())
    return torch.stack(outputs, dim=1).squeeze(-2), final


def _chunkwise(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    importance: StepSizes,
    state: LeastSquaresState,
    *,
    chunk_size: int,
) -> tuple[Values, LeastSquaresState]:
    """Exact solves chunk by chunk, all chunks at once."""
    size = min(chunk_size, max(1, k.shape[-1] // 2))
    return chunk_solves(q, k, v, g, importance, state, None, chunk_size=size)


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "g": log_decay(rng, B, length, H),
        "importance": step_sizes(rng, B, length, H),
        "ridge": step_sizes(rng, H, K),
    }


SPEC = OpSpec(
    op=rls,
    forms=("reference", "recurrent", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "importance": 1},
)
