r"""Weighted means around each query: attention, with similarities that are exponential or Gaussian.

$$o_t = \sum_{i \le t} p_i^{(t)} v_i, \qquad p_i^{(t)} \propto s(q_t, k_i)\, e^{G_t - G_i}$$

The rows differ in the similarity `s` and in the decay; polynomials instead of means are in `local.py`. All
keep every association: work and state grow with the length.
"""

from typing import Literal

from recollect.regression.function_classes import LocalConstant
from recollect.regression.layer import RegressionLayer
from recollect.regression.optimizers import Exact, OneStep
from recollect.regression.output import Gate, OutputNorm
from recollect.regression.rotation import RotationName
from recollect.regression.weights import ConstantDecay, GatedDecay, Similarity


def softmax_attention(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    rotation: RotationName = "rope",
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Softmax attention: a mean of the values, weighted by similarity to the query.

    $$o_t = \sum_{i \le t} p_i^{(t)} v_i, \qquad
    p^{(t)} = \mathrm{softmax}_{i \le t} (q_t^\top k_i / \sqrt K)$$

    Exponential similarity x local constant x exact. State all associations, `H (K + V + 1)` each, and the
    angles. Vaswani et al. 2017 (arXiv:1706.03762), with rotary positions (arXiv:2104.09864), as in Llama.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, an even number with a rotation, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        rotation: positions, as angles by which queries and keys turn; `none` sees a set.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> softmax_attention(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=Similarity(),
        function_class=LocalConstant(),
        optimizer=Exact(),
        rotation=rotation,
        short_conv=short_conv,
        qk_norm=False,
        title="softmax attention",
        citation="Vaswani et al. 2017, arXiv:1706.03762",
    )


def softmax_attention_qknorm(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    rotation: RotationName = "rope",
    bandwidth: float | None = None,
    learned_bandwidth: bool = True,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Softmax attention with queries and keys of norm 1: a Gaussian kernel.

    $$p^{(t)} = \mathrm{softmax}_{i \le t} \frac{\hat q_t^\top \hat k_i}{h \sqrt K}
    = \mathrm{softmax}_{i \le t} \frac{-\lVert \hat q_t - \hat k_i \rVert^2}{2 h \sqrt K}, \qquad
    \hat q = q / \lVert q \rVert$$

    Exponential similarity x local constant x exact. State all associations, `H (K + V + 1)` each, and the
    angles. Henry et al. 2020 (arXiv:2010.04245), with a trained factor for each head. With norms that have a
    gain for each channel, as in Qwen3, keys need not have one norm, and the kernel is not Gaussian.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, an even number with a rotation, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        rotation: positions, as angles by which queries and keys turn; `none` sees a set.
        bandwidth: `h` at the start, `1 / K` if `None`, which is a root mean square of 1 for each vector.
        learned_bandwidth: whether training moves it.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> softmax_attention_qknorm(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=Similarity(
            bandwidth=1 / head_channels(dim, num_heads, key_dim) if bandwidth is None else bandwidth,
            learned=learned_bandwidth,
        ),
        function_class=LocalConstant(),
        optimizer=Exact(),
        rotation=rotation,
        short_conv=short_conv,
        title="softmax attention, QK norm",
        citation="Henry et al. 2020, arXiv:2010.04245",
    )


def alibi_attention(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""ALiBi: softmax attention whose weights decay at a constant rate of each head.

    $$p^{(t)} = \mathrm{softmax}_{i \le t} (q_t^\top k_i / \sqrt K - 2^{-8 h / H} (t - i)), \qquad
    h = 1, \dots, H$$

    Exponential similarity and constant decay x local constant x exact. State all associations,
    `H (K + V + 1)` each. Press et al. 2021 (arXiv:2108.12409); their public code has other slopes where the
    number of heads is no power of 2.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> alibi_attention(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=ConstantDecay(decay="alibi") * Similarity(),
        function_class=LocalConstant(),
        optimizer=Exact(),
        short_conv=short_conv,
        qk_norm=False,
        title="ALiBi attention",
        citation="Press et al. 2021, arXiv:2108.12409",
    )


def forgetting_attention(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    qk_norm: bool = False,
    bandwidth: float | None = None,
    rotation: RotationName = "none",
    short_conv: int | None = None,
    output_norm: OutputNorm = "none",
    output_gate: Gate = "none",
) -> RegressionLayer:
    r"""Forgetting attention: softmax attention whose weights decay by a gate.

    $$p^{(t)} = \mathrm{softmax}_{i \le t} (q_t^\top k_i / \sqrt K + G_t - G_i), \qquad
    G_t = \sum_{j \le t} \log \sigma(w^\top x_j + b)$$

    Exponential similarity and gated decay x local constant x exact. State all associations, `H (K + V + 1)`
    each. Lin et al. 2025 (arXiv:2503.02130). Of the parts of their larger block, QK norm, output norm and
    gate are options; its token shift of keys and values is not there, a convolution is. Gates start slow
    here.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        qk_norm: give queries and keys norm 1.
        bandwidth: divides the product; 1 if `None`, or `1 / K` with `qk_norm`.
        rotation: positions, as angles by which queries and keys turn, beside those of the decay.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        output_norm: over each head's channels.
        output_gate: activation of a gate on the output, or `none`.

    Example:
        >>> forgetting_attention(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    width = 1 / head_channels(dim, num_heads, key_dim) if qk_norm else 1.0
    decay = GatedDecay(temperature=1.0, initial_bias=(2.0, 6.0))
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=decay * Similarity(bandwidth=width if bandwidth is None else bandwidth),
        function_class=LocalConstant(),
        optimizer=Exact(),
        rotation=rotation,
        short_conv=short_conv,
        qk_norm=qk_norm,
        output_norm=output_norm,
        output_gate=output_gate,
        title="forgetting attention",
        citation="Lin et al. 2025, arXiv:2503.02130",
    )


def skyformer(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    normalise: bool = True,
    bandwidth: float | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Skyformer: Gaussian kernel regression instead of softmax.

    $$o_t = \frac{\sum_{i \le t} \kappa(q_t, k_i)\, v_i}{\sum_{i \le t} \kappa(q_t, k_i)}, \qquad
    \kappa(q, k) = e^{-\lVert q - k \rVert^2 / 2 \sqrt K}$$

    Gaussian similarity x local constant x exact. State all associations, `H (K + V + 1)` each. In the spirit
    of Chen et al. 2021 (arXiv:2111.00035): the kernel itself, causal. Theirs is the sum without its divisor
    (`normalise=False`), approximated from sampled keys, without a causal mask.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        normalise: divide by the sum of the weights; one step from zero if not.
        bandwidth: width of the kernel, the fourth root of `K` if `None`.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> skyformer(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    width = head_channels(dim, num_heads, key_dim) ** 0.25
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=Similarity(kernel="gaussian", bandwidth=width if bandwidth is None else bandwidth),
        function_class=LocalConstant(),
        optimizer=Exact() if normalise else OneStep(),
        short_conv=short_conv,
        qk_norm=False,
        title="Skyformer",
        citation="Chen et al. 2021, arXiv:2111.00035",
    )


def soft(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    keys: Literal["queries", "projected"] = "queries",
    bandwidth: float | None = None,
    short_conv: int | None = None,
    output_norm: OutputNorm = "rms",
) -> RegressionLayer:
    r"""SOFT: values summed by a Gaussian kernel, without a normaliser.

    $$o_t = \sum_{i \le t} e^{-\lVert q_t - q_i \rVert^2 / 2 \sqrt K} \, v_i$$

    Gaussian similarity x local constant x one step from zero. State all associations, `H (K + V + 1)` each.
    In the spirit of Lu et al. 2021 (arXiv:2110.11945): the kernel itself, causal, with the queries as keys.
    Theirs is approximated from landmarks, without a causal mask. The sum grows with the length;
    the norm, which is not in the paper, keeps it from growing out of the layer.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        keys: the queries, or keys of their own.
        bandwidth: width of the kernel, the fourth root of `K` if `None`.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.
        output_norm: over each head's channels.

    Example:
        >>> soft(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    width = head_channels(dim, num_heads, key_dim) ** 0.25
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=Similarity(kernel="gaussian", bandwidth=width if bandwidth is None else bandwidth),
        function_class=LocalConstant(),
        optimizer=OneStep(),
        short_conv=short_conv,
        qk_norm=False,
        keys=keys,
        output_norm=output_norm,
        title="SOFT",
        citation="Lu et al. 2021, arXiv:2110.11945",
    )


def head_channels(dim: int, num_heads: int, key_dim: int | None) -> int:
    """Key channels of a head; the layer refuses widths that its heads do not divide."""
    return max(1, dim // num_heads) if key_dim is None else key_dim
