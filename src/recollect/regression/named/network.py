r"""Networks that learn while a sequence is read: gradient steps on minibatches of positions.

$$\theta_t = (1 - \alpha_t) \theta_{t-1} + u_t, \qquad
u_t = \mu_t u_{t-1} - \eta_t \nabla \tfrac12 \lVert v_t - m_{\bar\theta_t}(k_t) \rVert^2, \qquad
o_t = m_{\theta_t}(q_t)$$

Gradients are taken where a minibatch started, at $\bar\theta_t$. The start is trained, one for each head.
"""

from recollect.regression.function_classes import MLP
from recollect.regression.layer import RegressionLayer
from recollect.regression.optimizers import Sgd
from recollect.regression.output import Gate, OutputNorm
from recollect.regression.projections import Activation
from recollect.regression.steps import step_share


def ttt_linear(
    dim: int,
    *,
    num_heads: int | None = None,
    key_dim: int | None = None,
    value_dim: int | None = None,
    minibatch: int = 16,
    max_step: float | None = None,
    layer_norm: bool = True,
    residual: bool = True,
    short_conv: int | None = 4,
    output_norm: OutputNorm = "layer",
    output_gate: Gate = "silu",
) -> RegressionLayer:
    r"""TTT-Linear: a linear map and a layer norm, trained on minibatches of positions.

    $$m(k) = k + \mathrm{LN}(W^\top k + b), \qquad
    \theta_t = \theta_{t-1} - \eta_t \nabla \tfrac12 \lVert v_t - m_{\bar\theta_t}(k_t) \rVert^2$$

    Uniform weights x linear with norm x gradients at the start of a minibatch, whose parameters are
    $\bar\theta$. State `2 H (K + 1) V + 1` and the convolution's. In the spirit of Sun et al. 2024
    (arXiv:2407.04620): start, gain and bias are trained, steps are gated. Left out: rotary angles, the
    trained factor of a step by its place in the minibatch; the gate is SiLU instead of GELU, one convolution
    serves queries, keys and values.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads; as many as have 8 channels, at most 4, if `None`.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`; equal to `K` with `residual`.
        minibatch: positions whose gradients are taken at the same parameters.
        max_step: largest step, `1 / minibatch` if `None`: their gradients add up.
        layer_norm: normalise the output of the map.
        residual: add the key to it.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        output_norm: over all channels.
        output_gate: activation of a gate on the output, or `none`.

    Example:
        >>> ttt_linear(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    function = MLP(depth=1, layer_norm=layer_norm, residual=residual)
    return RegressionLayer(
        dim,
        num_heads=num_heads or _wide_heads(dim),
        key_dim=key_dim,
        value_dim=value_dim,
        function_class=function,
        optimizer=_with_largest_step(max_step or 1 / minibatch, function, Sgd(minibatch=minibatch)),
        short_conv=short_conv,
        output_norm=output_norm,
        output_gate=output_gate,
        norm_groups=1,
        title="TTT-Linear",
        citation="Sun et al. 2024, arXiv:2407.04620",
    )


def ttt_mlp(
    dim: int,
    *,
    num_heads: int | None = None,
    key_dim: int | None = None,
    value_dim: int | None = None,
    expansion: int = 4,
    minibatch: int = 16,
    max_step: float | None = None,
    layer_norm: bool = True,
    residual: bool = True,
    short_conv: int | None = 4,
    output_norm: OutputNorm = "layer",
    output_gate: Gate = "silu",
) -> RegressionLayer:
    r"""TTT-MLP: a network with one hidden layer, trained on minibatches of positions.

    $$m(k) = k + \mathrm{LN}(W_2^\top \mathrm{gelu}(W_1^\top k + b_1) + b_2), \qquad
    \theta_t = \theta_{t-1} - \eta_t \nabla \tfrac12 \lVert v_t - m_{\bar\theta_t}(k_t) \rVert^2$$

    Uniform weights x network x gradients at the start of a minibatch, whose parameters are $\bar\theta$.
    State `2 H P + 1` with `P = (K + 1) M + (M + 1) V` for `M` hidden units, and the convolution's. In the
    spirit of Sun et al. 2024 (arXiv:2407.04620); what `ttt_linear` leaves out is left out here.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads; as many as have 8 channels, at most 4, if `None`.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`; equal to `K` with `residual`.
        expansion: hidden units for each key channel.
        minibatch: positions whose gradients are taken at the same parameters.
        max_step: largest step, `1 / minibatch` if `None`: their gradients add up.
        layer_norm: normalise the output of the network.
        residual: add the key to it.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        output_norm: over all channels.
        output_gate: activation of a gate on the output, or `none`.

    Example:
        >>> ttt_mlp(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    function = MLP(expansion=expansion, layer_norm=layer_norm, residual=residual)
    return RegressionLayer(
        dim,
        num_heads=num_heads or _wide_heads(dim),
        key_dim=key_dim,
        value_dim=value_dim,
        function_class=function,
        optimizer=_with_largest_step(max_step or 1 / minibatch, function, Sgd(minibatch=minibatch)),
        short_conv=short_conv,
        output_norm=output_norm,
        output_gate=output_gate,
        norm_groups=1,
        title="TTT-MLP",
        citation="Sun et al. 2024, arXiv:2407.04620",
    )


def titans(
    dim: int,
    *,
    num_heads: int | None = None,
    key_dim: int | None = None,
    value_dim: int | None = None,
    expansion: int = 4,
    minibatch: int = 16,
    max_step: float | None = None,
    momentum: bool = True,
    weight_decay: bool = True,
    layer_norm: bool = False,
    residual: bool = False,
    short_conv: int | None = 4,
    activation: Activation = "silu",
    output_norm: OutputNorm = "rms",
    output_gate: Gate = "silu",
) -> RegressionLayer:
    r"""Titans: a network as memory, with momentum and forgetting.

    $$u_t = \mu_t u_{t-1} - \eta_t \nabla \tfrac12 \lVert v_t - m_{\bar\theta_t}(k_t) \rVert^2, \qquad
    \theta_t = (1 - \alpha_t) \theta_{t-1} + u_t, \qquad o_t = m_{\theta_t}(q_t)$$

    Decay x network x gradient descent with momentum; gradients are taken before the decay, at the start
    $\bar\theta$ of a minibatch. State `3 H P + 1` with `P = (K + 1) M + (M + 1) V` for `M` hidden units, and
    the convolution's. In the spirit of the long-term memory of Behrouz et al. 2024 (arXiv:2501.00663): gated
    steps, momentum and decay, short convolutions with SiLU, queries and keys of norm 1, normalised and gated
    answers. Left out: persistent memory, the attention beside it, more than two layers.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads; as many as have 8 channels, at most 4, if `None`.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`; equal to `K` with `residual`.
        expansion: hidden units for each key channel.
        minibatch: positions whose gradients are taken at the same parameters.
        max_step: largest step, `0.1 / minibatch` if `None`: gradients add up and momentum repeats them, so
            that ten times as much diverges.
        momentum: keep a gated share of the last update.
        weight_decay: lose a gated share of the parameters before each update.
        layer_norm: normalise the output of the network.
        residual: add the key to it.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        activation: of queries, keys and values.
        output_norm: over each head's channels.
        output_gate: activation of a gate on the output, or `none`.

    Example:
        >>> titans(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    function = MLP(expansion=expansion, layer_norm=layer_norm, residual=residual)
    optimizer = Sgd(
        minibatch=minibatch,
        gradient="undecayed",
        momentum="learned" if momentum else 0.0,
        weight_decay="learned" if weight_decay else 0.0,
    )
    return RegressionLayer(
        dim,
        num_heads=num_heads or _wide_heads(dim),
        key_dim=key_dim,
        value_dim=value_dim,
        function_class=function,
        optimizer=_with_largest_step(max_step or 0.1 / minibatch, function, optimizer),
        short_conv=short_conv,
        activation=activation,
        output_norm=output_norm,
        output_gate=output_gate,
        title="Titans",
        citation="Behrouz et al. 2024, arXiv:2501.00663",
    )


def _with_largest_step(largest: float, function: MLP, optimizer: Sgd) -> Sgd:
    """Learned steps up to a published size, in place of the share of it that the composition bears."""
    return optimizer.model_copy(update={"max_step": largest / step_share(function, optimizer)})


def _wide_heads(dim: int) -> int:
    """How many heads have at least 8 channels, at most 4: a norm of fewer channels says little."""
    most = max(1, min(4, dim // 8))
    return next(heads for heads in range(most, 0, -1) if dim % heads == 0)
