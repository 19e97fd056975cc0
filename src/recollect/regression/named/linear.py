r"""Uniform weights, linear in features of the key, one step from zero: linear attention and its features.

$$S_t = S_{t-1} + \phi(k_t) v_t^\top, \quad z_t = z_{t-1} + \phi(k_t), \qquad
o_t = \frac{S_t^\top \phi(q_t)}{z_t^\top \phi(q_t)}$$

The rows differ in the features $\phi$ alone. Their state is `H F (V + 1)` scalars for `F` features of a head,
and none has parts outside the regression but the projections.
"""

from recollect.regression.function_classes import FeatureName, Linear
from recollect.regression.layer import RegressionLayer
from recollect.regression.optimizers import OneStep
from recollect.regression.weights import GatedDecay, RegressionWeights, Uniform


def linear_attention(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    normalise: bool = True,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Linear attention: features of keys that are positive, ELU + 1.

    $$\phi(x) = \mathrm{elu}(x) + 1$$

    Uniform weights x linear in `elu` features x one step. State `H K (V + 1)`. As published (Katharopoulos et
    al. 2020, arXiv:2006.16236).

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        normalise: divide by the sum of similarities.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> linear_attention(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        function_class=Linear(features="elu"),
        optimizer=OneStep(normalise="sum" if normalise else "none"),
        short_conv=short_conv,
        qk_norm=False,
        title="linear attention",
        citation="Katharopoulos et al. 2020, arXiv:2006.16236",
    )


def performer(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    num_features: int | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Performer: positive orthogonal random features of the exponential kernel.

    $$\phi(x)_i = F^{-1/2} e^{w_i^\top \tilde x - |\tilde x|^2 / 2}, \quad \tilde x = K^{-1/4} x, \quad
    w_i \sim N(0, I) \text{ orthogonal in blocks}$$

    Uniform weights x linear in `favor` features x one step. State `H F (V + 1)`. FAVOR+ of Choromanski et al.
    2020 (arXiv:2009.14794), causal. Directions are drawn once; drawing them again during training was left
    out, and the exponents are bounded by completing the square instead of by a maximum over keys.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        num_features: random features `F` of a head, `2 K` if `None`.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> performer(8, num_features=6)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    options: dict[str, int | float | bool] = {"rescale_queries": True}
    if num_features is not None:
        options["num_features"] = num_features
    return _normalised(
        dim,
        num_heads,
        key_dim,
        value_dim,
        features="favor",
        options=options,
        short_conv=short_conv,
        title="Performer",
        citation="Choromanski et al. 2020, arXiv:2009.14794",
    )


def cosformer(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    max_length: int = 2048,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""cosFormer: positive parts, reweighted by the cosine of the distance.

    $$\phi_t(q)^\top \phi_s(k) = \mathrm{relu}(q)^\top \mathrm{relu}(k) \cos \frac{\pi (t - s)}{2 M}$$

    Uniform weights x linear in `cosine` features x one step; the features make near keys count more. State `2
    H K (V + 1)` and the position. In the spirit of Qin et al. 2022 (arXiv:2202.08791): `M` is an option here,
    and longer sequences are refused.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head; `dim / num_heads`, but at least 8, as half of them are 0, if
            `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        max_length: `M`, the longest sequence.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> cosformer(8, max_length=16)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return _normalised(
        dim,
        num_heads,
        max(8, dim // max(1, num_heads)) if key_dim is None else key_dim,
        value_dim,
        features="cosine",
        options={"max_length": max_length},
        short_conv=short_conv,
        title="cosFormer",
        citation="Qin et al. 2022, arXiv:2202.08791",
    )


def rfa(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    num_features: int | None = None,
    bandwidth: float = 2.0,
    gated: bool = False,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Random feature attention: random Fourier features of keys of norm 1.

    $$\phi(x) = \sqrt{2 / F}\, [\cos(w_i^\top \tilde x), \sin(w_i^\top \tilde x)]_{i \le F / 2}, \quad
    \tilde x = g \odot x / \sigma$$

    Uniform weights x linear in `random_fourier` features x one step; with `gated`, `S_t` keeps the share
    `f_t` and takes `1 - f_t` of what is new. State `H F (V + 1)`. In the spirit of Peng et al. 2021
    (arXiv:2103.02143), with the learned gains `g`. The similarity is unbiased but may be negative, and the
    sum that divides may come near zero: few features make a layer that is hard to train.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        num_features: random features `F` of a head, even; `4 K`, at least 32, if `None`.
        bandwidth: `sigma`, where training starts; at 2 no two vectors of norm 1 are less similar than .6.
        gated: forget by a gate computed from the input, one a head.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> rfa(8, gated=True)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    channels = dim // max(1, num_heads) if key_dim is None else key_dim
    gate = GatedDecay(parametrisation="lower_bound", scales_writes=True, initial_bias=(0.0, 5.0))
    return _normalised(
        dim,
        num_heads,
        key_dim,
        value_dim,
        features="random_fourier",
        options={
            "num_features": max(32, 4 * channels) if num_features is None else num_features,
            "bandwidth": bandwidth,
            "learn_bandwidth": True,
        },
        weights=gate if gated else Uniform(),
        short_conv=short_conv,
        qk_norm=True,
        title="random feature attention",
        citation="Peng et al. 2021, arXiv:2103.02143",
    )


def hedgehog(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Hedgehog: learned features that imitate softmax attention.

    $$\phi(x) = \mathrm{softmax}([W x + b, -W x - b])$$

    Uniform weights x linear in `hedgehog` features x one step. State `2 H K (V + 1)`. In the spirit of Zhang
    et al. 2024 (arXiv:2402.04347): one map serves queries and keys, and the distillation from softmax
    attention is not part of the layer.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> hedgehog(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return _normalised(
        dim,
        num_heads,
        key_dim,
        value_dim,
        features="hedgehog",
        short_conv=short_conv,
        title="Hedgehog",
        citation="Zhang et al. 2024, arXiv:2402.04347",
    )


def based(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Based: the Taylor polynomial of the exponential, of degree 2.

    $$\phi(q)^\top \phi(k) = 1 + u + u^2 / 2, \qquad u = K^{-1/2} q^\top k$$

    Uniform weights x linear in `taylor` features x one step. State `H (1 + K + K (K + 1) / 2) (V + 1)`. The
    linear attention of Arora et al. 2024 (arXiv:2402.18668); their sliding windows and convolutions are
    layers of their own there.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head; `dim / num_heads`, between 4 and the paper's 16, if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> based(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return _normalised(
        dim,
        num_heads,
        _few_channels(dim, num_heads) if key_dim is None else key_dim,
        value_dim,
        features="taylor",
        short_conv=short_conv,
        title="Based",
        citation="Arora et al. 2024, arXiv:2402.18668",
    )


def rebased(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""ReBased: squared products of normalised keys, after a learned affine map.

    $$\phi(q)^\top \phi(k) = (q'^\top k')^2, \qquad x' = \gamma \odot \mathrm{LN}(x) + \beta$$

    Uniform weights x linear in `squared` features x one step. State `H K (K + 1) (V + 1) / 2`. In the spirit
    of Aksenov et al. 2024 (arXiv:2402.10644): one affine map serves queries and keys.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head; `dim / num_heads`, between 4 and the paper's 16, if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> rebased(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return _normalised(
        dim,
        num_heads,
        _few_channels(dim, num_heads) if key_dim is None else key_dim,
        value_dim,
        features="squared",
        options={"layer_norm": True},
        short_conv=short_conv,
        title="ReBased",
        citation="Aksenov et al. 2024, arXiv:2402.10644",
    )


def dijiang(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""DiJiang: positive features along the discrete cosine basis.

    $$\phi(x)_i = K^{-1/2} d_i\, e^{t_i c_i^\top \tilde x - |\tilde x|^2 / 2}, \quad \tilde x = K^{-1/4} x$$

    Uniform weights x linear in `dct` features x one step; `c_i` are rows of the cosine transform. State
    `H K (V + 1)`. In the spirit of Chen et al. 2024 (arXiv:2403.19928).

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> dijiang(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return _normalised(
        dim,
        num_heads,
        key_dim,
        value_dim,
        features="dct",
        short_conv=short_conv,
        title="DiJiang",
        citation="Chen et al. 2024, arXiv:2403.19928",
    )


def _normalised(
    dim: int,
    num_heads: int,
    key_dim: int | None,
    value_dim: int | None,
    *,
    features: FeatureName,
    short_conv: int | None,
    title: str,
    citation: str,
    options: dict[str, int | float | bool] | None = None,
    weights: RegressionWeights | None = None,
    qk_norm: bool = False,
) -> RegressionLayer:
    """Linear attention with a sum of similarities that divides; rows of this file differ in the rest."""
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=weights,
        function_class=Linear(features=features, options=options or {}),
        optimizer=OneStep(normalise="sum"),
        short_conv=short_conv,
        qk_norm=qk_norm,
        title=title,
        citation=citation,
    )


def _few_channels(dim: int, num_heads: int) -> int:
    # Products of channels grow with their square; a layer norm over fewer than 4 leaves signs alone.
    return max(4, min(16, dim // max(1, num_heads)))
