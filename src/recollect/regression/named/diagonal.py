r"""Weights that decay, one step from zero, heads of a single channel: diagonal systems.

$$h_t = a_t \odot h_{t-1} + b_t \odot x_t$$

A head whose value is one number (or, for complex states, one pair) has a vector as its state, and the
recurrence is a scan over channels that do not meet: `ops.diagonal_scan`.
"""

import math

from recollect.regression.layer import RegressionLayer
from recollect.regression.weights import ConstantDecay, GatedDecay


def mamba(
    dim: int,
    *,
    expand: int = 2,
    key_dim: int = 16,
    rank: int | None = None,
    short_conv: int | None = 4,
) -> RegressionLayer:
    r"""Mamba (S6): a selective diagonal system for every channel.

    $$h_t = e^{\Delta_t A} \odot h_{t-1} + \Delta_t B_t u_t, \quad o_t = C_t^\top h_t + d u_t, \qquad
    u = \mathrm{silu}(\mathrm{conv}(W x)), \quad y = W_o (o \odot \mathrm{silu}(W_z x))$$

    Gated decay per channel, whose step scales what is written, x linear x one step: each of the `expand *
    dim` inner channels is a head with one value, `C_t` is the query and `B_t` the key of all of them. State
    `expand * dim * (key_dim + short_conv - 1)`. All of Gu and Dao 2023 (arXiv:2312.00752).

    Args:
        dim: width of input and output.
        expand: inner channels for each channel of the input.
        key_dim: the paper's state size `N`, of each inner channel.
        rank: inner width of the map to the steps, `dim / 16` rounded up if `None`.
        short_conv: taps of the convolution, or `None`.

    Example:
        >>> mamba(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    inner = expand * dim
    return RegressionLayer(
        dim,
        num_heads=inner,
        key_dim=key_dim,
        value_dim=1,
        weights=GatedDecay(
            per="channel",
            parametrisation="softplus",
            rank=math.ceil(dim / 16) if rank is None else rank,
            scales_writes=True,
        ),
        short_conv=short_conv,
        conv_bias=True,
        qk_norm=False,
        num_key_heads=1,
        stream=inner,
        skip=True,
        output_gate="silu",
        title="Mamba",
        citation="Gu and Dao 2023, arXiv:2312.00752",
    )


def hgrn(
    dim: int,
    *,
    expand: int = 1,
    lower_bound: float = 0.0,
    complex_state: bool = False,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""HGRN: every channel is a leaky mean whose forgetting is computed from the input.

    $$h_t = f_t \odot h_{t-1} + (1 - f_t) \odot \mathrm{silu}(W x_t), \quad
    f_t = f_0 + (1 - f_0) \sigma(W_f x_t + b), \qquad
    y = W_o (\mathrm{RMS}(h) \odot \mathrm{silu}(W_g x))$$

    Gated decay per head x linear with constant keys x one step. State `expand * dim`. In the spirit of Qin et
    al. 2023 (arXiv:2311.04823): there the lower bound `f_0` is learned and grows with the layer's depth; here
    it is an option, and the gates start with memories from 1 to 150 positions. The paper's complex states,
    whose angles do not depend on the input, are `complex_state`, with real inputs.

    Args:
        dim: width of input and output.
        expand: inner channels for each channel of the input.
        lower_bound: `f_0`, in [0, 1).
        complex_state: turn each state by an angle that is trained; doubles it, and carries the angle.
        short_conv: taps of a convolution over the values, or `None`.

    Example:
        >>> hgrn(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=expand * dim,
        key_dim=2 if complex_state else 1,
        value_dim=1,
        weights=GatedDecay(
            parametrisation="lower_bound",
            lower_bound=lower_bound,
            scales_writes=True,
            initial_bias=(0.0, 5.0),
        ),
        keys="ones",
        short_conv=short_conv,
        activation="silu",
        rotation="learned" if complex_state else "none",
        output_norm="rms",
        output_gate="silu",
        norm_groups=1,
        title="HGRN",
        citation="Qin et al. 2023, arXiv:2311.04823",
    )


def gateloop(
    dim: int,
    *,
    num_heads: int | None = None,
    value_dim: int | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""GateLoop: a complex decay whose size and angle are computed from the input.

    $$S_t = a_t S_{t-1} + k_t v_t^\top, \quad a_t = \sigma(w^\top x_t + b) e^{-i \theta(x_t)}, \qquad
    y = W_o (\mathrm{silu}(W_g x) \odot \mathrm{Re}(q_t^* S_t))$$

    Gated decay per head x linear with rotating keys x one step; queries and keys of a head are one complex
    number. State `3 H V` at `V = 1` (the state and its angle). In the spirit of Katsch 2023
    (arXiv:2311.01927): one channel a head, as in the public implementations; values are real. The gates start
    with memories from 1 to 150 positions.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads, `dim` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> gateloop(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=dim if num_heads is None else num_heads,
        key_dim=2,
        value_dim=value_dim,
        weights=GatedDecay(temperature=1.0, initial_bias=(0.0, 5.0)),
        short_conv=short_conv,
        qk_norm=False,
        rotation="gated",
        output_gate="silu",
        title="GateLoop",
        citation="Katsch 2023, arXiv:2311.01927",
    )


def lru(dim: int, *, num_states: int | None = None, short_conv: int | None = None) -> RegressionLayer:
    r"""LRU: a linear time-invariant diagonal system with complex states.

    $$h_t = \lambda \odot h_{t-1} + \gamma \odot B x_t, \quad \lambda = e^{-e^\nu + i \theta}, \quad
    \gamma = \sqrt{1 - |\lambda|^2}, \qquad y_t = \mathrm{Re}(C h_t) + d \odot x_t$$

    Constant decay, trained, x linear with a constant key and rotating values x one step: a head is a complex
    state, its two values the real and imaginary part of `B x`. State `3 N`: the states and the angles of the
    frame in which they are kept. Orvieto et al. 2023 (arXiv:2303.06349); `gamma` follows `lambda` here, where
    it is trained from that start there, and the moduli start evenly over the ring between .4 and .99. With
    the same weights it is `recollect.models.LRU`.

    Args:
        dim: width of input and output.
        num_states: number `N` of complex states, `dim` if `None`.
        short_conv: taps of a convolution over `B x` (not in the paper), or `None`.

    Example:
        >>> layer = lru(8)
        >>> layer(torch.zeros(2, 5, 8)).shape, layer.kernel(3).shape
        (torch.Size([2, 5, 8]), torch.Size([3, 8, 8]))
    """
    return RegressionLayer(
        dim,
        num_heads=dim if num_states is None else num_states,
        key_dim=1,
        value_dim=2,
        weights=ConstantDecay(decay="ring", learned=True, scales_writes=True),
        keys="ones",
        short_conv=short_conv,
        rotation="learned",
        rotated="values",
        skip="input",
        title="linear recurrent unit",
        citation="Orvieto et al. 2023, arXiv:2303.06349",
    )
