r"""Test-time training of a network with one hidden layer: gradient steps on minibatches of positions.

$$\theta_t = \theta_{t-1} - \eta_t \nabla_\theta \tfrac12 |m(k_t; \bar\theta_t) - v_t|^2, \qquad
o_t = m(q_t; \theta_t), \qquad m(k) = k + \mathrm{LN}(W_2^\top \mathrm{gelu}(W_1^\top k + b_1) + b_2)$$

where $\theta = (W_1, b_1, W_2, b_2)$, and $\bar\theta_t$ is what it was at the start of the minibatch of $t$.

As test-time regression of $v$ on $k$: uniform regression weights, a network under a layer norm and a
residual, and minibatch gradient descent (TTT-MLP, Sun et al. 2024, arXiv:2407.04620).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import Keys, Queries, StepSizes, Values
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.dual_form import learn_by_minibatches
from recollect.ops.fast_weights import FastMLP, LearnerState, Readout, check_residual, fresh_learner
from recollect.ops.online_learning import learn_by_autograd, learn_recurrently
from recollect.ops.samples import B, H, V, normal, queries_keys_values, step_sizes, unit
from recollect.ops.spec import OpSpec


def ttt_mlp(
    q: Queries,
    k: Keys,
    v: Values,
    eta: StepSizes,
    w1: Float[Tensor, "H K hidden"],
    b1: Float[Tensor, "H hidden"],
    w2: Float[Tensor, "H hidden V"],
    b2: Float[Tensor, "H V"],
    ln_weight: Float[Tensor, "H V"] | None = None,
    ln_bias: Float[Tensor, "H V"] | None = None,
    *,
    scale: float | None = None,
    initial_state: LearnerState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    minibatch_size: int = 16,
    layer_norm: bool = True,
    residual: bool = True,
) -> tuple[Values, LearnerState | None]:
    r"""Test-time training of $m(k) = k + \mathrm{LN}(W_2^\top \mathrm{gelu}(W_1^\top k + b_1) + b_2)$.

    Retrieves after the update. Work O(T M (K + V)) per head for M hidden units; the chunkwise form takes
    T / minibatch_size sequential steps and holds the parameters before each. It is not a rearrangement:
    another `minibatch_size` is another function. The gelu is the exact one, not its approximation by a tanh.

    Args:
        q: queries; the network is read at `scale` times them.
        k: keys, as they are (a layer normalises them, an op never does).
        v: values, as many channels as the keys with `residual`.
        eta: step sizes.
        w1: weights of the hidden layer before the first position, which the layer around learns (4 K hidden
            units in the paper); where all weights are zero the hidden layer would never move.
        b1: its bias.
        w2: weights of the output layer before the first position.
        b2: its bias.
        ln_weight: gain of the layer norm, 1 if `None`; flash-linear-attention calls it `w`.
        ln_bias: bias of the layer norm, 0 if `None`; flash-linear-attention calls it `b`.
        scale: factor of the queries, `K**-0.5` if `None`.
        initial_state: state before the first position, in the place of `w1` to `b2`; a minibatch that it
            began is continued.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent` or `chunkwise`.
        minibatch_size: positions whose gradients are taken at the same parameters.
        layer_norm: normalise the output of the network; without, `ln_weight` and `ln_bias` are not used.
        residual: add the key to it.

    Returns:
        Outputs `(B, T, H, V)`, and the final state or `None`.

    Raises:
        ValueError: an unknown form, boundaries that do not fit, a residual between unequal dimensions, or a
            minibatch of less than 1.

    Example:
        >>> k, v = torch.ones(1, 3, 1, 1), torch.full((1, 3, 1, 1), 2.0)
        >>> one, zero = torch.ones(1, 1, 1), torch.zeros(1, 1)
        >>> start = {"w1": one, "b1": zero, "w2": one, "b2": zero}
        >>> options = {"layer_norm": False, "residual": False, "minibatch_size": 1}
        >>> o, _ = ttt_mlp(k, k, v, torch.full((1, 3, 1), 0.1), **start, **options)
        >>> o.flatten()  # it says gelu(1) = 0.84 at first, and learns 2
        tensor([1.3441, 1.7051, 1.8909])
    """
    check_residual(k, v, residual=residual)
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v, "eta": eta},
        lambda batch: fresh_learner(FastMLP(w1, b1, w2, b2), batch),
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        readout=Readout(layer_norm, residual, ln_weight, ln_bias),
        minibatch_size=minibatch_size,
    )


FORMS = {"reference": learn_by_autograd, "recurrent": learn_recurrently, "chunkwise": learn_by_minibatches}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    inputs = queries_keys_values(rng, length)
    return inputs | {
        "k": unit(normal(rng, B, length, H, V)),
        "q": normal(rng, B, length, H, V),
        "eta": 0.2 * step_sizes(rng, B, length, H),
        "w1": normal(rng, H, V, 6),
        "b1": normal(rng, H, 6),
        "w2": normal(rng, H, 6, V),
        "b2": normal(rng, H, V),
        "ln_weight": normal(rng, H, V),
        "ln_bias": normal(rng, H, V),
    }


SPEC = OpSpec(
    op=ttt_mlp,
    forms=("reference", "recurrent", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "eta": 1},
    settings=({}, {"minibatch_size": 1, "layer_norm": False}, {"minibatch_size": 4, "residual": False}),
)
