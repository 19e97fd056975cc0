r"""A network with one hidden layer as memory: gradient steps with momentum, on parameters that decay.

$$M_t = \mu_t M_{t-1} - \eta_t \nabla_\theta \tfrac12 |m(k_t; \bar\theta_t) - v_t|^2, \qquad
\theta_t = e^{g_t} \theta_{t-1} + M_t, \qquad o_t = m(q_t; \theta_t)$$

where $m(k) = W_2^\top \mathrm{gelu}(W_1^\top k + b_1) + b_2$, $\theta = (W_1, b_1, W_2, b_2)$, and
$\bar\theta_t$ is what it was at the start of the minibatch of $t$: $\theta_{t-1}$ for minibatches of 1.

As test-time regression of $v$ on $k$: uniform regression weights, a network that is shrunk towards zero
before each update, and minibatch gradient descent with momentum (the long-term memory of Titans, Behrouz et
al. 2024, arXiv:2501.00663; its $1 - \alpha_t$ is $e^{g_t}$, its $\eta_t$ is `momentum`, its $\theta_t$ is
`eta`). Without momentum and decay it is test-time training (`ttt_mlp`).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import HeadDecay, Keys, Queries, StepSizes, Values
from recollect.ops.dispatch import Form, dispatch, key_scale
from recollect.ops.dual_form import learn_by_minibatches
from recollect.ops.fast_weights import FastMLP, LearnerState, Readout, check_residual, fresh_learner
from recollect.ops.online_learning import learn_by_autograd, learn_recurrently
from recollect.ops.samples import B, H, V, log_decay, normal, queries_keys_values, step_sizes, unit
from recollect.ops.spec import OpSpec


def titans(
    q: Queries,
    k: Keys,
    v: Values,
    g: HeadDecay,
    eta: StepSizes,
    momentum: StepSizes,
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
    layer_norm: bool = False,
    residual: bool = False,
) -> tuple[Values, LearnerState | None]:
    r"""The memory of Titans: $\theta_t = e^{g_t} \theta_{t-1} + \mu_t M_{t-1} - \eta_t \nabla_\theta \ell_t$.

    The gradient is taken at the parameters before their decay (`momentum_delta_rule` takes it after), and
    queries are answered after the update. Work O(T M (K + V)) per head for M hidden units; the chunkwise form
    takes T / minibatch_size sequential steps and holds parameters and momentum before each. It is not a
    rearrangement: another `minibatch_size` is another function. The paper leaves the nonlinearity open: this
    is the exact gelu.

    Args:
        q: queries; the network is read at `scale` times them.
        k: keys, as they are (a layer normalises them, an op never does).
        v: values, as many channels as the keys with `residual`.
        g: logarithm of the decay of all parameters of a head, at most 0; the momentum does not decay by it.
        eta: step sizes.
        momentum: share of the last update that is repeated, in [0, 1).
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
        >>> start = {"w1": one, "b1": zero, "w2": one, "b2": zero, "minibatch_size": 1}
        >>> step = torch.full((1, 3, 1), 0.1)
        >>> for momentum in (0.0, 0.5):
        ...     titans(k, k, v, 0 * step, step, momentum + 0 * step, **start)[0].flatten()
        tensor([1.3441, 1.7051, 1.8909])
        tensor([1.3441, 1.9991, 2.3559])
    """
    check_residual(k, v, residual=residual)
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v, "g": g, "eta": eta, "momentum": momentum},
        lambda batch: fresh_learner(FastMLP(w1, b1, w2, b2), batch, has_momentum=True),
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        readout=Readout(layer_norm, residual, ln_weight, ln_bias),
        minibatch_size=minibatch_size,
    )


def _learner(learn: Form) -> Form:
    """A form that takes the sequences in the order of the op."""

    def form(
        q: Queries,
        k: Keys,
        v: Values,
        g: HeadDecay,
        eta: StepSizes,
        momentum: StepSizes,
        state: LearnerState,
        *,
        readout: Readout,
        minibatch_size: int,
    ) -> tuple[Values, LearnerState]:
        settings = {"readout": readout, "minibatch_size": minibatch_size}
        return learn(q, k, v, eta, state, g=g, momentum=momentum, **settings)

    return form


FORMS = {
    "reference": _learner(learn_by_autograd),
    "recurrent": _learner(learn_recurrently),
    "chunkwise": _learner(learn_by_minibatches),
}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    inputs = queries_keys_values(rng, length)
    return inputs | {
        "k": unit(normal(rng, B, length, H, V)),
        "q": normal(rng, B, length, H, V),
        "g": log_decay(rng, B, length, H),
        "momentum": step_sizes(rng, B, length, H),
        "eta": 0.2 * step_sizes(rng, B, length, H),
        "w1": normal(rng, H, V, 6),
        "b1": normal(rng, H, 6),
        "w2": normal(rng, H, 6, V),
        "b2": normal(rng, H, V),
        "ln_weight": normal(rng, H, V),
        "ln_bias": normal(rng, H, V),
    }


SPEC = OpSpec(
    op=titans,
    forms=("reference", "recurrent", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1, "g": 1, "eta": 1, "momentum": 1},
    settings=({}, {"minibatch_size": 1, "residual": True}, {"minibatch_size": 4, "layer_norm": True}),
)
