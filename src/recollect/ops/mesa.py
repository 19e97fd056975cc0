r"""The Mesa layer: exact regression at every position with a ridge that does not decay.

$$H_t = e^{g_t} H_{t-1} + \beta_t k_t k_t^\top, \qquad S_t = e^{g_t} S_{t-1} + \beta_t k_t v_t^\top, \qquad
o_t = S_t^\top \bigl(H_t + \operatorname{diag}(\mathrm{ridge})\bigr)^{-1} q_t$$

As test-time regression: gated exponential decay and importance as regression weights, a linear function
class, and the exact optimizer by conjugate gradients (MesaNet, von Oswald et al. 2025, arXiv:2506.05233).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.errors import NumericalError
from recollect.core.shapes import HeadDecay, Keys, Queries, StepSizes, Values
from recollect.ops.dispatch import dispatch
from recollect.ops.least_squares import (
    LeastSquaresState,
    chunk_residuals,
    chunk_solves,
    symmetric,
    weighted_solves,
)
from recollect.ops.samples import B, H, K, log_decay, queries_keys_values, step_sizes
from recollect.ops.spec import OpSpec

INDEFINITE = (
    "mesa: expected a Gram matrix plus ridge that is positive definite, got one that is not. "
    "Give finite inputs, `beta` of at least 0 and a positive `ridge`."
)


def mesa(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    beta: StepSizes,
    ridge: Float[Tensor, "H K"],
    *,
    scale: float | None = None,
    initial_state: LeastSquaresState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    tolerance: float | None = None,
    max_iterations: int | None = None,
    form: str = "chunkwise",
    chunk_size: int = 16,
) -> tuple[Values, LeastSquaresState | None]:
    r"""Exact weighted ridge regression at every position, with a fixed ridge.

    $$o_t = W_t^\top q_t, \qquad W_t = \operatorname*{argmin}_W
    \sum_{i \le t} e^{G_t - G_i} \beta_i \lVert v_i - W^\top k_i \rVert^2
    + \lVert \operatorname{diag}(\mathrm{ridge})^{1/2} W \rVert^2, \qquad G_t = \sum_{i \le t} g_i$$

    Retrieves after the decay and the write. Every form solves the system of each position, O(K^3) for a
    position and head; the chunkwise form many positions at once. With `max_iterations` it takes conjugate
    gradients instead, preconditioned by the exact solution for a prior that decays (see `gram_solve`), work
    O(K^3 / C + iterations (K^2 + C K)): with decays near 1 a few iterations reach the precision, with none
    one does, and with strong decays and a small ridge many may not. `mesa_residual` says how well it was
    solved.

    Args:
        q: queries.
        k: keys, as they are (a layer normalises them, an op never does).
        v: values.
        g: logarithm of the decay, at most 0.
        beta: importance of each association, at least 0.
        ridge: diagonal of the penalty, positive.
        scale: factor of the queries, 1 if `None`.
        initial_state: `gram` and `cross`, both without the ridge, before the first position; zero if `None`.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        tolerance: relative residual at which a position is solved; eight units in the last place if `None`.
        max_iterations: of conjugate gradients in the chunkwise form and its gradient; none if `None`.
        form: `reference`, `recurrent` or `chunkwise`.
        chunk_size: positions that share a preconditioner; a shorter chunk needs fewer iterations.

    Returns:
        Outputs `(B, T, H, V)`, and the final `LeastSquaresState` or `None`.

    Raises:
        ValueError: an unknown form, boundaries that do not fit, or a system that is not positive definite.

    Example:
        >>> k = torch.eye(2).view(1, 2, 1, 2)
        >>> v = torch.tensor([2.0, 4.0]).view(1, 2, 1, 1)
        >>> ones = torch.ones(1, 2, 1)
        >>> o, _ = mesa(k, k, v, 0 * ones, ones, torch.ones(1, 2))
        >>> o.flatten()  # shrunk by 1 / (1 + ridge)
        tensor([1., 2.])
    """
    try:
        return dispatch(
            FORMS,
            form,
            {"q": q if scale is None else q * scale, "k": k, "v": v, "g": g, "beta": beta},
            lambda batch: _empty(batch, k, v),
            initial_state=symmetric(initial_state),
            output_final_state=output_final_state,
            cu_seqlens=cu_seqlens,
            ridge=ridge,
            tolerance=tolerance,
            max_iterations=max_iterations,
            chunk_size=chunk_size,
        )
    except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
        raise NumericalError(INDEFINITE) from error


def mesa_residual(
    q: Queries,
    k: Keys,
    g: HeadDecay,
    beta: StepSizes,
    ridge: Float[Tensor, "H K"],
    *,
    initial_state: LeastSquaresState | None = None,
    tolerance: float | None = None,
    max_iterations: int | None = None,
    chunk_size: int = 16,
) -> Float[Tensor, "B T H"]:
    r"""How well `mesa` solves: $\lVert q_t - (H_t + \operatorname{diag}(\mathrm{ridge})) x_t \rVert / \lVert
    q_t \rVert$.

    The residual of the chunkwise form with the same arguments, computed anew from its solutions; without
    gradient.

    Example:
        >>> q = k = torch.ones(1, 3, 1, 2)
        >>> g = torch.full((1, 3, 1), -0.1)
        >>> bool((mesa_residual(q, k, g, torch.ones_like(g), torch.ones(1, 2)) < 1e-5).all())
        True
    """
    gram = _empty(q.shape[0], k, k).gram if initial_state is None else initial_state.gram
    with torch.no_grad():
        return chunk_residuals(
            q, k, g, beta, gram, ridge,
            chunk_size=chunk_size, tolerance=tolerance, max_iterations=max_iterations,
        )  # fmt: skip


def _empty(batch: int, k: Keys, v: Values) -> LeastSquaresState:
    num_heads, key_dim = k.shape[2:]
    gram = k.new_zeros(batch, num_heads, key_dim, key_dim)
    return LeastSquaresState(gram, k.new_zeros(batch, num_heads, key_dim, v.shape[3]))


def _reference(
    q: Queries, k: Keys, v: Values, g: HeadDecay, beta: StepSizes, state: LeastSquaresState, *,
    ridge: Float[Tensor, "H K"], tolerance: float | None, max_iterations: int | None, chunk_size: int,
) -> tuple[Values, LeastSquaresState]:  # fmt: skip
    """The regression of each position from its definition."""
    return weighted_solves(q, k, v, g, beta, state, ridge)


def _recurrent(
    q: Queries, k: Keys, v: Values, g: HeadDecay, beta: StepSizes, state: LeastSquaresState, *,
    ridge: Float[Tensor, "H K"], tolerance: float | None, max_iterations: int | None, chunk_size: int,
) -> tuple[Values, LeastSquaresState]:  # fmt: skip
    """The running sums, and a direct solve at each position."""
    penalty = torch.diag_embed(ridge)
    gram, cross = state
    outputs = []
    written = (k * beta[..., None]).unsqueeze(-1)
    columns = q, k.unsqueeze(-2), v.unsqueeze(-2), g.exp()[..., None, None], written
    for q_t, k_t, v_t, decay, write in zip(*(x.unbind(1) for x in columns), strict=True):
        gram = torch.addcmul(write * k_t, decay, gram)
        cross = torch.addcmul(write * v_t, decay, cross)
        x = torch.linalg.solve(gram + penalty, q_t)
        outputs.append((x.unsqueeze(-2) @ cross).squeeze(-2))
    return torch.stack(outputs, dim=1), LeastSquaresState(gram, cross)


def _chunkwise(
    q: Queries, k: Keys, v: Values, g: HeadDecay, beta: StepSizes, state: LeastSquaresState, *,
    ridge: Float[Tensor, "H K"], tolerance: float | None, max_iterations: int | None, chunk_size: int,
) -> tuple[Values, LeastSquaresState]:  # fmt: skip
    """The solves of all positions of all chunks at once."""
    return chunk_solves(
        q, k, v, g, beta, state, ridge,
        chunk_size=chunk_size, tolerance=tolerance, max_iterations=max_iterations,
    )  # fmt: skip


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "g": log_decay(rng, B, length, H),
        "beta": step_sizes(rng, B, length, H),
        "ridge": step_sizes(rng, H, K),
    }


SPEC = OpSpec(
    op=mesa,
    forms=("reference", "recurrent", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "beta": 1},
    settings=({}, {"max_iterations": 40}),
)
