r"""Delta rules: a matrix takes a gradient step on each association while the sequence is read.

$$S_t' = e^{g_t} S_{t-1}, \qquad S_t = S_t' + \beta_t k_t (v_t - S_t'^\top k_t)^\top, \qquad
o_t = S_t^\top q_t$$

The rows differ in the decay and in how a step is taken; networks that learn are in `network.py`. All are
answered after the association of their position was learned.
"""

from recollect.regression.layer import RegressionLayer
from recollect.regression.optimizers import Sgd
from recollect.regression.output import Gate, OutputNorm
from recollect.regression.projections import Activation
from recollect.regression.weights import GatedDecay, Uniform


def deltanet(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    max_step: float = 1.0,
    short_conv: int | None = 4,
    activation: Activation = "silu",
    output_norm: OutputNorm = "rms",
    output_gate: Gate = "none",
) -> RegressionLayer:
    r"""DeltaNet: a matrix memory that corrects what it would have answered.

    $$S_t = S_{t-1} + \beta_t k_t (v_t - S_{t-1}^\top k_t)^\top, \qquad o_t = S_t^\top q_t$$

    Uniform weights x linear x one gradient step a position. State `H K V` and the convolution's. The delta
    rule of Schlag et al. 2021 (arXiv:2102.11174) with the parts of Yang et al. 2024 (arXiv:2406.06484): short
    convolutions with SiLU, queries and keys of norm 1, a norm for each head; the step has a bias here.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        max_step: largest step; 2 lets the memory of a key change its sign (arXiv:2411.12537).
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        activation: of queries, keys and values.
        output_norm: over each head's channels.
        output_gate: activation of a gate on the output, or `none`.

    Example:
        >>> deltanet(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        optimizer=Sgd(max_step=max_step),
        short_conv=short_conv,
        activation=activation,
        scale=None,
        output_norm=output_norm,
        output_gate=output_gate,
        title="DeltaNet",
        citation="Schlag et al. 2021, arXiv:2102.11174; Yang et al. 2024, arXiv:2406.06484",
    )


def gated_deltanet(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    num_key_heads: int | None = None,
    max_step: float = 1.0,
    short_conv: int | None = 4,
    activation: Activation = "silu",
    output_norm: OutputNorm = "rms",
    output_gate: Gate = "silu",
    norm_eps: float = 1e-6,
) -> RegressionLayer:
    r"""Gated DeltaNet: the delta rule with a gated decay for each head.

    $$S_t' = e^{g_t} S_{t-1}, \quad S_t = S_t' + \beta_t k_t (v_t - S_t'^\top k_t)^\top, \qquad
    g_t = -e^{a} \mathrm{softplus}(W x_t + b), \quad y = W_o (\mathrm{RMS}(o) \odot \mathrm{silu}(W_z x))$$

    Gated decay x linear x one gradient step a position, of the decayed memory. State `H K V` and the
    convolution's. All of Yang et al. 2024 (arXiv:2412.06464) is there, start of decays included; the step has
    a bias, and the norm one gain for each channel of every head instead of gains that heads share.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        num_key_heads: heads with queries and keys of their own, shared in groups; all if `None`.
        max_step: largest step; 2 lets the memory of a key change its sign (arXiv:2411.12537).
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        activation: of queries, keys and values.
        output_norm: over each head's channels.
        output_gate: activation of a gate on the output, or `none`.
        norm_eps: added to the mean square in the norm.

    Example:
        >>> gated_deltanet(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        num_key_heads=num_key_heads,
        weights=GatedDecay(parametrisation="softplus"),
        optimizer=Sgd(max_step=max_step),
        short_conv=short_conv,
        activation=activation,
        scale=None,
        output_norm=output_norm,
        output_gate=output_gate,
        norm_eps=norm_eps,
        title="Gated DeltaNet",
        citation="Yang et al. 2024, arXiv:2412.06464",
    )


def kda(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    rank: int | None = None,
    short_conv: int | None = 4,
    activation: Activation = "silu",
    output_norm: OutputNorm = "rms",
    output_gate: Gate = "sigmoid",
    norm_eps: float = 1e-5,
) -> RegressionLayer:
    r"""Kimi Delta Attention: the delta rule with a gated decay for each key channel.

    $$S_t' = \mathrm{diag}(e^{g_t}) S_{t-1}, \quad S_t = S_t' + \beta_t k_t (v_t - S_t'^\top k_t)^\top, \qquad
    g_t = -e^{a} \mathrm{softplus}(W_2 W_1 x_t + b), \quad y = W_o (\mathrm{RMS}(o) \odot \sigma(W_z x))$$

    Gated decay per channel x linear x one gradient step a position, of the decayed memory. State `H K V` and
    the convolution's. All of Kimi Linear's layer (arXiv:2510.26692) is there, with `W_z` of low rank, too;
    the step has a bias, and the norm one gain for each channel of every head.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        rank: inner width of the maps to decay and gate, those of a head's values if `None`.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        activation: of queries, keys and values.
        output_norm: over each head's channels.
        output_gate: activation of a gate on the output, or `none`.
        norm_eps: added to the mean square in the norm.

    Example:
        >>> kda(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    inner = rank or value_dim or max(1, dim // num_heads)
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=GatedDecay(per="channel", parametrisation="softplus", rank=inner),
        optimizer=Sgd(),
        short_conv=short_conv,
        activation=activation,
        scale=None,
        output_norm=output_norm,
        output_gate=output_gate,
        gate_rank=inner,
        norm_eps=norm_eps,
        title="Kimi Delta Attention",
        citation="Kimi Team 2025, arXiv:2510.26692",
    )


def delta_product(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    num_steps: int = 2,
    gated: bool = False,
    max_step: float = 2.0,
    short_conv: int | None = 4,
    activation: Activation = "silu",
    output_norm: OutputNorm = "rms",
    output_gate: Gate = "none",
) -> RegressionLayer:
    r"""DeltaProduct: several steps of the delta rule at each position.

    $$S_{t,j} = S_{t,j-1} + \beta_{t,j} k_{t,j} (v_{t,j} - S_{t,j-1}^\top k_{t,j})^\top, \qquad
    S_{t,0} = e^{g_t} S_{t-1,n}, \quad o_t = S_{t,n}^\top q_t$$

    Uniform weights, or a gated decay, x linear x `n` gradient steps a position, each on a key and value of
    its own. State `H K V` and the convolution's. After Siems et al. 2025 (arXiv:2502.10297): steps up to 2,
    norms and convolutions as in DeltaNet; the step has a bias here.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        num_steps: `n`; 1 is DeltaNet.
        gated: whether the memory decays, by a gate for each head, once a position.
        max_step: largest step; below 1 each factor shrinks its key, from 1 to 2 it reflects.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        activation: of queries, keys and values.
        output_norm: over each head's channels.
        output_gate: activation of a gate on the output, or `none`.

    Example:
        >>> delta_product(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=GatedDecay(parametrisation="softplus") if gated else Uniform(),
        optimizer=Sgd(num_steps=num_steps, max_step=max_step),
        short_conv=short_conv,
        activation=activation,
        scale=None,
        output_norm=output_norm,
        output_gate=output_gate,
        title="DeltaProduct",
        citation="Siems et al. 2025, arXiv:2502.10297",
    )


def longhorn(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    max_step: float = 1.0,
    short_conv: int | None = 4,
    activation: Activation = "silu",
    qk_norm: bool = False,
    output_norm: OutputNorm = "rms",
    output_gate: Gate = "silu",
) -> RegressionLayer:
    r"""Longhorn: implicit gradient steps, whose size adapts to the norm of the key.

    $$S_t = \arg\min_S \lVert S - S_{t-1} \rVert^2 + \beta_t \lVert v_t - S^\top k_t \rVert^2
    = S_{t-1} + \frac{\beta_t}{1 + \beta_t \lVert k_t \rVert^2} k_t (v_t - S_{t-1}^\top k_t)^\top$$

    Uniform weights x linear x implicit gradient descent. State `H K V` and the convolution's. In the spirit
    of Liu et al. 2024 (arXiv:2407.14207): the exact step, one `beta` a head. The published layer is a
    diagonal recurrence, with one `beta` a value channel and the diagonal of `k k^T` alone; its convolution
    and gate are here, its skip is not, and a norm is added.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        max_step: largest `beta`; every one is stable.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        activation: of queries, keys and values.
        qk_norm: give queries and keys norm 1, after which the step depends on `beta` alone.
        output_norm: over each head's channels.
        output_gate: activation of a gate on the output, or `none`.

    Example:
        >>> longhorn(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        optimizer=Sgd(rule="implicit", max_step=max_step),
        short_conv=short_conv,
        activation=activation,
        qk_norm=qk_norm,
        scale=None,
        output_norm=output_norm,
        output_gate=output_gate,
        title="Longhorn",
        citation="Liu et al. 2024, arXiv:2407.14207",
    )
