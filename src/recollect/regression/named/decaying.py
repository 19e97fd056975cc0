r"""Weights that decay, a linear class, one step from zero: a matrix as state, read by queries.

$$S_t = \mathrm{diag}(e^{g_t}) S_{t-1} + k_t v_t^\top, \qquad o_t = S_t^\top q_t$$

The rows differ in what the decay depends on, in how keys are made, and in what becomes of the answers. Rows
whose heads are single channels are in `diagonal.py`.
"""

from recollect.core import ConfigError
from recollect.regression.function_classes import Linear
from recollect.regression.layer import RegressionLayer
from recollect.regression.optimizers import OneStep
from recollect.regression.weights import ConstantDecay, GatedDecay, Importance


def retnet(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    decay: float | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""RetNet: constant decay, with rotating queries and keys.

    $$S_t = \gamma_h S_{t-1} + k_t v_t^\top, \quad \gamma_h = 1 - 2^{-5-h}, \qquad
    y = W_o (\mathrm{silu}(W_g x) \odot \mathrm{GN}(o))$$

    Constant decay x linear x one step. State `H K V` and the `H K / 2` angles. Rotary angles, a norm for each
    head and the gate of Sun et al. 2023 (arXiv:2307.08621) are there; the norm has a gain and no bias.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, an even number, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `2 dim / num_heads` if `None`.
        decay: one factor for all heads, in (0, 1], instead of the paper's.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> retnet(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=_share(dim, num_heads, 2) if value_dim is None else value_dim,
        weights=ConstantDecay(decay=decay),
        short_conv=short_conv,
        qk_norm=False,
        scale=None,
        rotation="rope",
        output_norm="layer",
        output_gate="silu",
        title="RetNet",
        citation="Sun et al. 2023, arXiv:2307.08621",
    )


def gla(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    temperature: float = 16.0,
    rank: int | None = 16,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Gated linear attention: a decay for each key channel, computed from the input.

    $$S_t = \mathrm{diag}(\alpha_t) S_{t-1} + k_t v_t^\top, \quad
    \alpha_t = \sigma(W_2 W_1 x_t + b)^{1 / \tau}, \qquad
    y = W_o (\mathrm{silu}(W_g x) \odot \mathrm{RMS}(o))$$

    Gated decay per channel x linear x one step. State `H K V`. Yang et al. 2023 (arXiv:2312.06635), with
    their sizes: keys have half as many channels as values. The norm is a root mean square, as in their public
    code; the gate has no bias.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / (2 num_heads)` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        temperature: `tau`; the larger, the longer the memory at the start.
        rank: channels between `W_1` and `W_2`; one full matrix if `None`.
        short_conv: taps of a convolution over queries, keys and values, or `None`.

    Example:
        >>> gla(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=_share(dim, num_heads, 0.5) if key_dim is None else key_dim,
        value_dim=value_dim,
        weights=GatedDecay(per="channel", temperature=temperature, rank=rank),
        short_conv=short_conv,
        qk_norm=False,
        scale=None,
        output_norm="rms",
        output_gate="silu",
        title="gated linear attention",
        citation="Yang et al. 2023, arXiv:2312.06635",
    )


def mamba2(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    expand: int = 2,
    num_key_heads: int = 1,
    short_conv: int | None = 4,
) -> RegressionLayer:
    r"""Mamba-2 (SSD): a discretised system with one decay a head.

    $$S_t = e^{-a \Delta_t} S_{t-1} + k_t (\Delta_t v_t)^\top, \quad
    \Delta_t = \mathrm{softplus}(W_\Delta x_t + b), \qquad
    y = W_o\, \mathrm{RMS}(\mathrm{silu}(W_z x) \odot (o + d v))$$

    Gated decay per head, whose step scales what is written, x linear x one step. Queries and keys (`C` and
    `B` of the paper) are shared by groups of heads. State `H K V` and the convolution's. All of Dao and Gu
    2024 (arXiv:2405.21060): the convolution with its bias over queries, keys and values, silu, the skip `d`,
    and a norm over each group's channels after the gate.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, the paper's state size `N`; as many as value channels if `None`.
        expand: `H V / dim`.
        num_key_heads: groups of heads that share queries and keys.
        short_conv: taps of the convolution, or `None`.

    Raises:
        ConfigError: `expand * dim` is no multiple of `num_heads`, or `num_heads` none of `num_key_heads`.

    Example:
        >>> mamba2(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    value_dim = _share(dim, num_heads, expand)
    if value_dim * num_heads != expand * dim:
        raise ConfigError(f"expand * dim = {expand * dim} must be a multiple of num_heads={num_heads}.")
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=value_dim if key_dim is None else key_dim,
        value_dim=value_dim,
        weights=GatedDecay(parametrisation="softplus", scales_writes=True),
        short_conv=short_conv,
        conv_bias=True,
        activation="silu",
        qk_norm=False,
        num_key_heads=num_key_heads,
        skip=True,
        output_norm="rms",
        output_gate="silu",
        gate_first=True,
        norm_groups=num_key_heads,
        title="Mamba-2",
        citation="Dao and Gu 2024, arXiv:2405.21060",
    )


def hgrn2(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    lower_bound: float = 0.0,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""HGRN2: keys are what the gates let go, an outer product with the values.

    $$S_t = \mathrm{diag}(f_t) S_{t-1} + (1 - f_t) v_t^\top, \quad
    f_t = f_0 + (1 - f_0) \sigma(W x_t + b), \qquad y = W_o\, \mathrm{RMS}(S_t^\top \mathrm{silu}(q_t))$$

    Gated decay per channel with keys made of it x linear x one step. State `H K V`. In the spirit of Qin et
    al. 2024 (arXiv:2404.07904): there the lower bound `f_0` is learned and grows with the layer's depth; here
    it is an option, and the gates start with memories from 1 to 150 positions.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        lower_bound: `f_0`, in [0, 1).
        short_conv: taps of a convolution over queries and values, or `None`.

    Example:
        >>> hgrn2(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=GatedDecay(
            per="channel",
            parametrisation="lower_bound",
            lower_bound=lower_bound,
            scales_writes=True,
            initial_bias=(0.0, 5.0),
        ),
        keys="decay",
        short_conv=short_conv,
        activation="silu_qk",
        scale=None,
        output_norm="rms",
        norm_groups=1,
        title="HGRN2",
        citation="Qin et al. 2024, arXiv:2404.07904",
    )


def mlstm(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""mLSTM: exponential input gates, forget gates, a bounded normaliser.

    $$S_t = f_t S_{t-1} + i_t k_t v_t^\top, \quad n_t = f_t n_{t-1} + i_t k_t, \quad
    o_t = \frac{S_t^\top q_t}{\max(|n_t^\top q_t|, 1)}, \quad f_t = \sigma(c(w_f^\top x_t + b_f)), \;
    i_t = e^{c(w_i^\top x_t + b_i)}$$

    Gated decay x importance x linear x one step, bounded normaliser; `c(s) = 15 tanh(s / 15)`. State
    `H K (V + 1)`. The layer of xLSTM (Beck et al. 2024, arXiv:2405.04517) in the form of xLSTM-7B (2025,
    arXiv:2503.13427): keys of half the channels of values, a layer norm for each head, a sigmoid gate, no
    convolution. The gates are exponentials themselves, without a running maximum, which the soft cap allows.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / (2 num_heads)` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        short_conv: taps of a convolution over queries, keys and values, or `None`.

    Example:
        >>> mlstm(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    forget = GatedDecay(temperature=1.0, soft_cap=15.0, initial_bias=(3.0, 6.0))
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=_share(dim, num_heads, 0.5) if key_dim is None else key_dim,
        value_dim=value_dim,
        weights=forget * Importance(activation="exp"),
        function_class=Linear(),
        optimizer=OneStep(normalise="bounded"),
        short_conv=short_conv,
        qk_norm=False,
        scale=None,
        output_norm="layer",
        output_gate="sigmoid",
        norm_eps=1e-6,
        title="mLSTM",
        citation="Beck et al. 2024, arXiv:2405.04517",
    )


def rwkv6(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    rank: int | None = 32,
    short_conv: int | None = 2,
) -> RegressionLayer:
    r"""RWKV-6 (Finch): a decay per channel, and a bonus for the present position.

    $$o_t = (S_{t-1} + \mathrm{diag}(u) k_t v_t^\top)^\top r_t, \quad
    S_t = \mathrm{diag}(e^{-e^{w_t}}) S_{t-1} + k_t v_t^\top, \quad w_t = W_2 W_1 x_t + b$$

    Gated decay per channel x linear x one step, read before the association is learned. State `H K V` and the
    convolution's. In the spirit of Peng et al. 2024 (arXiv:2404.05892), with its norm for each head and silu
    gate. Its mixing of neighbours by shares computed from the input is a convolution of two taps here, over
    queries, keys and values alone, and no tanh stands between `W_1` and `W_2`.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        rank: channels between `W_1` and `W_2`; one full matrix if `None`.
        short_conv: taps of the convolution, or `None`.

    Example:
        >>> rwkv6(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=GatedDecay(per="channel", parametrisation="exponential", rank=rank),
        optimizer=OneStep(retrieve="before", bonus=True),
        short_conv=short_conv,
        qk_norm=False,
        output_norm="layer",
        output_gate="silu",
        title="RWKV-6",
        citation="Peng et al. 2024, arXiv:2404.05892",
    )


def _share(dim: int, num_heads: int, factor: int | float) -> int:
    """Channels of a head when all heads have `factor * dim`, at least one."""
    return max(1, round(factor * dim) // max(1, num_heads))
