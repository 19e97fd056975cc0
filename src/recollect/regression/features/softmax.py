"""Softmax over channels, in the spirit of Efficient attention (Shen et al. 2018, arXiv:1812.01243)."""

from typing import final

from torch import nn

from recollect.regression.features.feature_map import Features, Inputs, Positions, Role, positive_integer


@final
class ChannelSoftmax(nn.Module):
    r"""$$\phi(x) = \mathrm{softmax}(x) \text{ over the K channels}, \qquad 0 < \phi(q)^\top \phi(k) \le 1.$$

    The paper does this to queries, and normalises keys over positions instead, which reads the future. Here
    keys are treated like queries: causal, and one map for both, as a regression needs that fits `phi(k)` and
    reads `phi(q)`. Often confused with softmax attention, whose softmax is over positions. Size K, work O(K).

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.

    Raises:
        ConfigError: `key_dim` or `num_heads` below 1.

    Example:
        >>> ChannelSoftmax(2, 1)(torch.zeros(1, 1, 1, 2), torch.arange(1), "key").flatten()
        tensor([0.5000, 0.5000])
    """

    kernel = "softmax(q).softmax(k), softmax over channels"
    nonnegative = True
    nonnegative_similarity = True
    learned = False
    max_length = None

    def __init__(self, key_dim: int, num_heads: int) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        self.size = positive_integer("key_dim", key_dim)

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        return x.softmax(dim=-1)
