"""Positive parts as features (one of the generalised kernels of arXiv:2009.14794; arXiv:2202.08791)."""

from typing import final

from torch import nn

from recollect.regression.features.feature_map import Features, Inputs, Positions, Role, positive_integer


@final
class Relu(nn.Module):
    r"""$$\phi(x) = \max(x, 0).$$

    Features vanish where x is negative: a query without a positive channel is similar to no key, and a layer
    that divides by the sum of similarities must guard against a sum of 0. Size K, work O(K).

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.

    Raises:
        ConfigError: `key_dim` or `num_heads` below 1.

    Example:
        >>> x = torch.tensor([-1.0, 0.0, 2.0]).reshape(1, 1, 1, 3)
        >>> Relu(3, 1)(x, torch.arange(1), "key").flatten()
        tensor([0., 0., 2.])
    """

    kernel = "relu(q).relu(k)"
    nonnegative = True
    nonnegative_similarity = True
    learned = False
    max_length = None

    def __init__(self, key_dim: int, num_heads: int) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        self.size = positive_integer("key_dim", key_dim)

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        return x.relu()
