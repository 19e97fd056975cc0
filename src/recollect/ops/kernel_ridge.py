r"""Kernel ridge regression: the values as a function of the keys, fitted anew at each position.

$$m_t = \arg\min_m \sum_{i \le t} w_i^{(t)} \lVert v_i - m(k_i) \rVert^2 + \lambda e^{G_t} \lVert m \rVert^2,
\qquad w_i^{(t)} = e^{G_t - G_i + b_i}, \qquad G_t = \sum_{j \le t} g_j, \qquad o_t = m_t(q_t)$$

over the functions of a reproducing kernel $s$. The prior decays with the weights, as that of `rls` does, so
that the solution depends on $t$ only through which associations there are:

$$o_t = s(q_t, k_{\le t}) \bigl[s(k_{\le t}, k_{\le t})
+ \lambda\, \mathrm{diag}(e^{G_i - b_i})\bigr]^{-1} v_{\le t}$$

These are leading blocks of one matrix, and leading blocks of a Cholesky factor are the factors of leading
blocks: one factorisation serves all positions. As test-time regression of $v$ on $k$: decay and importance as
regression weights, a reproducing kernel's functions, solved exactly; for linear kernels this is `rls`, and
Intention (arXiv:2305.10203) without its causal mask.
"""

from functools import partial
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from recollect.core.errors import NumericalError
from recollect.core.shapes import HeadDecay, Keys, Queries, Values
from recollect.ops.associations import Associations, no_associations
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.local_fit import check_ridge
from recollect.ops.local_regression import or_zeros
from recollect.ops.samples import B, H, log_decay, normal, queries_keys_values
from recollect.ops.similarity import (
    PerHead,
    Similarity,
    log_similarity,
    per_head,
    similarities,
    similarity,
)
from recollect.ops.spec import OpSpec

POSITIVE_DEFINITE = "gaussian, laplace, exponential or polynomial"
SINGULAR = (
    "kernel_ridge: expected a matrix that can be factorised, got one that is singular in {dtype}: keys that "
    "are alike, and a ridge that is tiny or has decayed away. Use a larger ridge, weaker decays, or float64."
)


class KernelRidgeState(NamedTuple):
    r"""What was read, and what is left of the prior.

    Attributes:
        associations: all of them; their log-weights are as seen from the start, $b_i - G_i$, which no later
            decay changes.
        log_prior: `(B, H)`, logarithm of the prior's decay since the start.
    """

    associations: Associations
    log_prior: Float[Tensor, "_ H"]

    @staticmethod
    def join(states: list["KernelRidgeState"]) -> "KernelRidgeState":
        """States of single sequences along the batch."""
        associations = Associations.join([state.associations for state in states])
        return KernelRidgeState(associations, torch.cat([state.log_prior for state in states]))


def kernel_ridge(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    ridge: PerHead = 0.1,
    kernel: str = "gaussian",
    bandwidth: PerHead = 1.0,
    power: int = 2,
    g: HeadDecay | None = None,
    log_importance: Float[Tensor, "B T H"] | None = None,
    scale: float | None = None,
    initial_state: KernelRidgeState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "parallel",
) -> tuple[Values, KernelRidgeState | None]:
    r"""Kernel ridge regression: $o_t = s(q_t, K_t) (s(K_t, K_t) + \lambda W_t^{-1})^{-1} V_t$.

    Work O(T^3) per head in the parallel form (a factorisation and a triangular solve for all queries) and in
    the recurrent one, O(T^4) in the reference. Memory O(T^2), O(T^3) in the recurrent form with gradients.

    A state holds the S associations read and not their factor, which they determine and which would be of
    S (S + 1) / 2 numbers: a call that continues from it factorises them anew, O(S^3). Streaming in calls of C
    positions so costs O(T^4 / C) in total, position by position O(T^4).

    Args:
        q: queries.
        k: keys.
        v: values.
        ridge: $\lambda > 0$, a number or `(H,)`; it decays with the weights.
        kernel: `gaussian`, `laplace`, `exponential` or `polynomial`, those that are positive definite.
        bandwidth: $h > 0$, a number or `(H,)`; inner products are divided by it, too.
        power: exponent of `polynomial`, positive and even.
        g: logarithm of the decay of earlier weights, at most 0; no decay if `None`.
        log_importance: logarithm of how much an association counts; all alike if `None`.
        scale: factor of all inner products (`exponential`, `polynomial`), `K**-0.5` if `None`.
        initial_state: what was read before the first position, nothing if `None`.
        output_final_state: return what was read up to the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent` or `parallel`.

    Returns:
        Outputs `(B, T, H, V)`, and the final state or `None`.

    Raises:
        ValueError: an unknown form, a kernel that is not positive definite, a ridge, bandwidth or power out
            of range, boundaries that do not fit, or a system that is singular (a ridge that decayed away).

    Example:
        >>> k = torch.zeros(1, 3, 1, 1)
        >>> kernel_ridge(k, k, torch.ones_like(k), ridge=1.0)[0].flatten()  # t / (t + ridge)
        tensor([0.5000, 0.6667, 0.7500])
    """
    check_ridge(ridge)
    if kernel == "compact":
        raise ValueError(f"kernel={kernel!r}: expected one that is positive definite, {POSITIVE_DEFINITE}.")
    try:
        return dispatch(
            FORMS, form,
            {"q": q, "k": k, "v": v, "g": or_zeros(g, k), "log_importance": or_zeros(log_importance, k)},
            partial(_empty, k, v),
            initial_state=initial_state, output_final_state=output_final_state, cu_seqlens=cu_seqlens,
            kernel=similarity(kernel, key_scale(scale, q), bandwidth, power), ridge=ridge,
        )  # fmt: skip
    except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
        raise NumericalError(SINGULAR.format(dtype=k.dtype)) from error


def _empty(k: Keys, v: Values, batch: int) -> KernelRidgeState:
    """Nothing read, and the whole prior."""
    return KernelRidgeState(no_associations(batch, k, v), k.new_zeros(batch, k.shape[2]))


def _after(
    state: KernelRidgeState, k: Keys, v: Values, g: HeadDecay, log_importance: HeadDecay
) -> KernelRidgeState:
    """The state with all positions read."""
    total = state.log_prior.unsqueeze(1) + g.cumsum(1)
    earlier = state.associations
    associations = Associations(
        torch.cat([earlier.keys, k], dim=1),
        torch.cat([earlier.values, v], dim=1),
        torch.cat([earlier.log_weights, log_importance - total], dim=1),
    )
    return KernelRidgeState(associations, total[:, -1])


def _heads_first(state: KernelRidgeState) -> tuple[Tensor, Tensor, Tensor]:
    r"""Keys, values and $G_i - b_i$, the latter `inf` for associations that do not count."""
    keys, values, log_weights = state.associations
    return (
        rearrange(keys, "b s h k -> b h s k"),
        rearrange(values, "b s h v -> b h s v"),
        rearrange(-log_weights, "b s h -> b h s"),
    )


def _regularised_gram(
    k: Float[Tensor, "B H S K"], log_noise: Float[Tensor, "B H S"], kernel: Similarity, ridge: PerHead
) -> Float[Tensor, "B H S S"]:
    """The matrix to invert, with a row of the identity for each association that does not count."""
    absent = log_noise == torch.inf
    noise = (per_head(ridge) * log_noise.masked_fill(absent, 0.0).exp().unsqueeze(-1)).squeeze(-1)
    gram = log_similarity(k, k, kernel).exp()
    gram = gram.masked_fill(absent.unsqueeze(-1) | absent.unsqueeze(-2), 0.0)
    return gram + torch.diag_embed(noise.masked_fill(absent, 1.0))


def _reference(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    log_importance: HeadDecay,
    state: KernelRidgeState,
    *,
    kernel: Similarity,
    ridge: PerHead,
) -> tuple[Values, KernelRidgeState]:
    """Solve the system of each position."""
    outputs = []
    for t in range(q.shape[1]):
        now = slice(t, t + 1)
        state = _after(state, k[:, now], v[:, now], g[:, now], log_importance[:, now])
        keys, values, log_noise = _heads_first(state)
        near = similarities(rearrange(q[:, now], "b t h k -> b h t k"), keys, kernel)
        near = near.masked_fill(log_noise.unsqueeze(-2) == torch.inf, 0.0)
        outputs.append(near @ torch.linalg.solve(_regularised_gram(keys, log_noise, kernel, ridge), values))
    return rearrange(torch.cat(outputs, dim=2), "b h t v -> b t h v"), state


def _parallel(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    log_importance: HeadDecay,
    state: KernelRidgeState,
    *,
    kernel: Similarity,
    ridge: PerHead,
) -> tuple[Values, KernelRidgeState]:
    """One factor of the matrix of the last position, whose leading rows serve the earlier ones."""
    num_earlier = state.associations.keys.shape[1]
    state = _after(state, k, v, g, log_importance)
    keys, values, log_noise = _heads_first(state)
    near = log_similarity(keys, rearrange(q, "b t h k -> b h t k"), kernel).exp()
    near = near.masked_fill(log_noise.unsqueeze(-1) == torch.inf, 0.0)
    factor = torch.linalg.cholesky(_regularised_gram(keys, log_noise, kernel, ridge))
    whitened = torch.linalg.solve_triangular(factor, torch.cat([near, values], dim=-1), upper=False)
    near, values = whitened.split([q.shape[1], v.shape[3]], dim=-1)
    outputs = near.triu(-num_earlier).mT @ values
    return rearrange(outputs, "b h t v -> b t h v"), state


def _recurrent(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    log_importance: HeadDecay,
    state: KernelRidgeState,
    *,
    kernel: Similarity,
    ridge: PerHead,
) -> tuple[Values, KernelRidgeState]:
    """The factor grows by a row at each position: O(T^2) work for each."""
    keys, values, log_noise = _heads_first(state)
    factor = torch.linalg.cholesky(_regularised_gram(keys, log_noise, kernel, ridge))
    values = torch.linalg.solve_triangular(factor, values, upper=False)
    present = (log_noise < torch.inf).unsqueeze(-1)
    log_noise = rearrange(state.log_prior.unsqueeze(1) + g.cumsum(1) - log_importance, "b t h -> t b h 1 1")
    rows = (rearrange(x, "b t h k -> t b h 1 k") for x in (q, k, v))
    outputs = []
    for q_t, k_t, v_t, log_noise_t in zip(*rows, log_noise, strict=True):
        asked = torch.cat([k_t, q_t], dim=2)
        near = log_similarity(keys, asked, kernel).exp().masked_fill(~present, 0.0)
        border, answer = torch.linalg.solve_triangular(factor, near, upper=False).split(1, dim=-1)
        own, own_answer = log_similarity(k_t, asked, kernel).exp().split(1, dim=-1)
        pivot = (own + per_head(ridge) * log_noise_t.exp() - border.mT @ border).sqrt()
        v_t = (v_t - border.mT @ values) / pivot
        outputs.append(answer.mT @ values + (own_answer - border.mT @ answer) / pivot * v_t)
        above = torch.zeros_like(border)
        factor = torch.cat([torch.cat([factor, above], dim=-1), torch.cat([border.mT, pivot], dim=-1)], dim=2)
        keys, values = torch.cat([keys, k_t], dim=2), torch.cat([values, v_t], dim=2)
        present = torch.cat([present, torch.ones_like(pivot, dtype=torch.bool)], dim=2)
    outputs = rearrange(torch.cat(outputs, dim=2), "b h t v -> b t h v")
    return outputs, _after(state, k, v, g, log_importance)


FORMS = {"reference": _reference, "recurrent": _recurrent, "parallel": _parallel}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    return queries_keys_values(rng, length) | {
        "g": log_decay(rng, B, length, H),
        "log_importance": normal(rng, B, length, H),
        "ridge": 0.5 + normal(rng, H).abs(),
        "bandwidth": 1.5 + normal(rng, H).abs(),
    }


SPEC = OpSpec(
    op=kernel_ridge,
    forms=("reference", "recurrent", "parallel"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "log_importance": 1},
    settings=({}, {"kernel": "laplace"}, {"kernel": "exponential"}),
    scales_queries=False,
)
