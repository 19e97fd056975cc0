r"""Fits around each query: an affine function or a polynomial, weighted by similarity, read at the query.

$$m_t = \arg\min_m \sum_{i \le t} p_i^{(t)} \lVert v_i - m(k_i - q_t) \rVert^2, \qquad o_t = m_t(0)$$

The rows differ in the function, and in whether its slope is solved for. All keep every association: work and
state grow with the length.
"""

from typing import Literal

from recollect.regression.function_classes import LocalLinear, LocalPolynomial
from recollect.regression.layer import RegressionLayer
from recollect.regression.named.attention import head_channels
from recollect.regression.optimizers import Exact
from recollect.regression.rotation import RotationName
from recollect.regression.weights import Similarity


def local_linear_attention(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    ridge: float = 0.1,
    bandwidth: float | None = None,
    learned_bandwidth: bool = True,
    qk_norm: bool = True,
    rotation: RotationName = "none",
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Local linear attention: an affine function is fitted around each query.

    $$o_t = \sum_{i \le t} p_i^{(t)} [1 - r_t^\top (k_i - \bar k_t)] v_i, \qquad
    r_t = (\mathrm{Cov}_p(k) + \lambda I)^{-1} (\bar k_t - q_t)$$

    Exponential similarity, whose softmax is `p`, x local linear x exact. State all associations,
    `H (K + V + 1)` each. Zuo et al. 2025 (arXiv:2510.01450), solved for each query; the ridge is on the slope
    alone, and relative to the sum of the weights.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        ridge: `lambda`, positive; a large one is softmax attention.
        bandwidth: divides the product at the start; 1 if `None`, or `1 / K` with `qk_norm`.
        learned_bandwidth: whether training moves it.
        qk_norm: give queries and keys norm 1, so that slopes have a scale.
        rotation: positions, as angles by which queries and keys turn.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> local_linear_attention(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    width = 1 / head_channels(dim, num_heads, key_dim) if qk_norm else 1.0
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=Similarity(bandwidth=width if bandwidth is None else bandwidth, learned=learned_bandwidth),
        function_class=LocalLinear(),
        optimizer=Exact(ridge=ridge),
        rotation=rotation,
        short_conv=short_conv,
        qk_norm=qk_norm,
        title="local linear attention",
        citation="Zuo et al. 2025, arXiv:2510.01450",
    )


def local_polynomial_attention(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    degree: Literal[0, 1, 2] = 2,
    ridge: float = 0.1,
    bandwidth: float | None = None,
    learned_bandwidth: bool = True,
    qk_norm: bool = True,
    rotation: RotationName = "none",
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Local polynomial attention: a polynomial is fitted around each query.

    $$o_t = c_t \quad \text{of} \quad \min_{c, A} \sum_{i \le t} p_i^{(t)}
    \lVert v_i - c - A^\top \phi(k_i - q_t) \rVert^2 + \lambda \lVert A \rVert^2$$

    Exponential similarity, whose softmax is `p`, x local polynomial x exact, with the monomials of degree 1
    and 2 as `phi`. State all associations, `H (K + V + 1)` each. The next degree after local linear
    attention, in the spirit of arXiv:2510.01450; no published layer is known. Work grows as `K^4`, so keys
    have few channels.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` but at most 4 if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        degree: of the polynomial; 0 is softmax attention, 1 local linear attention.
        ridge: `lambda`, positive.
        bandwidth: divides the product at the start; 1 if `None`, or `1 / K` with `qk_norm`.
        learned_bandwidth: whether training moves it.
        qk_norm: give queries and keys norm 1.
        rotation: positions, as angles by which queries and keys turn.
        short_conv: taps of a convolution over queries, keys and values, or `None`.

    Example:
        >>> local_polynomial_attention(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    channels = min(4, head_channels(dim, num_heads, None)) if key_dim is None else key_dim
    width = 1 / channels if qk_norm else 1.0
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=channels,
        value_dim=value_dim,
        weights=Similarity(bandwidth=width if bandwidth is None else bandwidth, learned=learned_bandwidth),
        function_class=LocalPolynomial(degree=degree),
        optimizer=Exact(ridge=ridge),
        rotation=rotation,
        short_conv=short_conv,
        qk_norm=qk_norm,
        title="local polynomial attention",
        citation="in the spirit of Zuo et al. 2025, arXiv:2510.01450",
    )


def parallax(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    qk_norm: bool = False,
    bandwidth: float | None = None,
    rotation: RotationName = "rope",
    short_conv: int | None = None,
) -> RegressionLayer:
    r"""Parallax: local linear attention whose slope is projected instead of solved for.

    $$o_t = \sum_{i \le t} p_i^{(t)} [1 - r_t^\top (k_i - \bar k_t)] v_i, \qquad r_t = W_r x_t$$

    Exponential similarity, whose softmax is `p`, x local linear x exact, its slope learned. State all
    associations, `H (K + V + 1)` each, and the angles. Zuo et al. 2026 (arXiv:2605.29157), whose public
    reference has this equation; `r` turns with the queries.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, an even number with a rotation, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        qk_norm: give queries and keys norm 1.
        bandwidth: divides the product; 1 if `None`, or `1 / K` with `qk_norm`.
        rotation: positions, as angles by which queries and keys turn; `none` sees a set.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.

    Example:
        >>> parallax(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    width = 1 / head_channels(dim, num_heads, key_dim) if qk_norm else 1.0
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=Similarity(bandwidth=width if bandwidth is None else bandwidth),
        function_class=LocalLinear(slope="learned"),
        optimizer=Exact(),
        rotation=rotation,
        short_conv=short_conv,
        qk_norm=qk_norm,
        title="Parallax",
        citation="Zuo et al. 2026, arXiv:2605.29157",
    )
