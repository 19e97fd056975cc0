"""No features: `phi(x) = x`, which is plain linear attention or linear regression."""

from typing import final

from torch import nn

from recollect.regression.features.feature_map import Features, Inputs, Positions, Role, positive_integer


@final
class Identity(nn.Module):
    r"""$$\phi(x) = x, \qquad \phi(q)^\top \phi(k) = q^\top k.$$

    Size K, no cost.

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.

    Raises:
        ConfigError: `key_dim` or `num_heads` below 1.

    Example:
        >>> Identity(3, 2)(torch.ones(1, 1, 2, 3), torch.arange(1), "key").shape
        torch.Size([1, 1, 2, 3])
    """

    kernel = "q.k"
    nonnegative = False
    nonnegative_similarity = False
    learned = False
    max_length = None

    def __init__(self, key_dim: int, num_heads: int) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        self.size = positive_integer("key_dim", key_dim)

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        return x
