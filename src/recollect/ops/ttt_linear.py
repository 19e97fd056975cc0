r"""Test-time training of a linear map: gradient steps on minibatches of positions.

$$W_t = W_{t-1} - \eta_t \nabla_W \tfrac12 |m(k_t; \bar W_t) - v_t|^2, \qquad o_t = m(q_t; W_t), \qquad
m(k) = k + \mathrm{LN}(W^\top k + b)$$

where $\bar W_t$ are the parameters at the start of the minibatch of $t$; biases are learned alike.

As test-time regression of $v$ on $k$: uniform regression weights, a linear function class under a layer norm
and a residual, and minibatch gradient descent (TTT-Linear, Sun et al. 2024, arXiv:2407.04620). Without norm
and residual, on minibatches of 1, it is the delta rule on keys with a 1 at their end.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import Keys, Queries, StepSizes, Values
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.dual_form import learn_by_minibatches
from recollect.ops.fast_weights import FastLinear, LearnerState, Readout, check_residual, fresh_learner
from recollect.ops.online_learning import learn_by_autograd, learn_recurrently
from recollect.ops.samples import B, H, V, normal, queries_keys_values, step_sizes, unit
from recollect.ops.spec import OpSpec


def ttt_linear(
    q: Queries,
    k: Keys,
    v: Values,
    eta: StepSizes,
    w1: Float[Tensor, "H K V"] | None = None,
    b1: Float[Tensor, "H V"] | None = None,
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
    r"""Test-time training of $m(k) = k + \mathrm{LN}(W_1^\top k + b_1)$ on minibatches of positions.

    Retrieves after the update. Work O(T K V) per head; the chunkwise form takes T / minibatch_size sequential
    steps and holds the parameters before each. It is not a rearrangement: another `minibatch_size` is
    another function.

    Args:
        q: queries; the network is read at `scale` times them.
        k: keys, as they are (a layer normalises them, an op never does).
        v: values, as many channels as the keys with `residual`.
        eta: step sizes.
        w1: weights before the first position, 0 if `None`.
        b1: bias before the first position, 0 if `None`.
        ln_weight: gain of the layer norm, 1 if `None`; flash-linear-attention calls it `w`.
        ln_bias: bias of the layer norm, 0 if `None`; flash-linear-attention calls it `b`.
        scale: factor of the queries, `K**-0.5` if `None`.
        initial_state: state before the first position, in the place of `w1` and `b1`; a minibatch that it
            began is continued.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent` or `chunkwise`.
        minibatch_size: positions whose gradients are taken at the same parameters.
        layer_norm: normalise the output of the map; without, `ln_weight` and `ln_bias` are not used.
        residual: add the key to it.

    Returns:
        Outputs `(B, T, H, V)`, and the final state or `None`.

    Raises:
        ValueError: an unknown form, boundaries that do not fit, a residual between unequal dimensions, or a
            minibatch of less than 1.

    Example:
        >>> k, v = torch.ones(1, 3, 1, 1), torch.tensor([2.0, 2.0, 0.0]).reshape(1, 3, 1, 1)
        >>> options = {"layer_norm": False, "residual": False, "minibatch_size": 2}
        >>> o, _ = ttt_linear(k, k, v, torch.full((1, 3, 1), 0.25), **options)
        >>> o.flatten()  # weight and bias both move; the third gradient is taken at what the second left
        tensor([1., 2., 1.])
    """
    check_residual(k, v, residual=residual)
    heads, keys, values = q.shape[-2], q.shape[-1], v.shape[-1]
    start = FastLinear(
        k.new_zeros(heads, keys, values) if w1 is None else w1,
        k.new_zeros(heads, values) if b1 is None else b1,
    )
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v, "eta": eta},
        lambda batch: fresh_learner(start, batch),
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
        "eta": step_sizes(rng, B, length, H),
        "w1": normal(rng, H, V, V),
        "b1": normal(rng, H, V),
        "ln_weight": normal(rng, H, V),
        "ln_bias": normal(rng, H, V),
    }


SPEC = OpSpec(
    op=ttt_linear,
    forms=("reference", "recurrent", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "eta": 1},
    settings=({}, {"minibatch_size": 1, "layer_norm": False}, {"minibatch_size": 4, "residual": False}),
)
