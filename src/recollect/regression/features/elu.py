"""ELU + 1, the features of the first linear transformer (Katharopoulos et al. 2020, arXiv:2006.16236)."""

from typing import final

from torch import nn

from recollect.regression.features.feature_map import Features, Inputs, Positions, Role, positive_integer


@final
class Elu(nn.Module):
    r"""$$\phi(x) = \mathrm{elu}(x) + 1 = \max(x, 0) + e^{\min(x, 0)}.$$

    Every feature is above 0 and has a gradient everywhere. Size K, work O(K).

    Args:
        key_dim: channels K of a head.
        num_heads: number H of heads.

    Raises:
        ConfigError: `key_dim` or `num_heads` below 1.

    Example:
        >>> x = torch.tensor([-1.0, 0.0, 2.0]).reshape(1, 1, 1, 3)
        >>> Elu(3, 1)(x, torch.arange(1), "key").flatten()
        tensor([0.3679, 1.0000, 3.0000])
    """

    kernel = "sum_c (1 + elu(q_c)) (1 + elu(k_c))"
    nonnegative = True
    nonnegative_similarity = True
    learned = False
    max_length = None

    def __init__(self, key_dim: int, num_heads: int) -> None:
        super().__init__()
        positive_integer("num_heads", num_heads)
        self.size = positive_integer("key_dim", key_dim)

    def forward(self, x: Inputs, positions: Positions, role: Role) -> Features:
        # The sum of the two branches, not elu(x) + 1: e^x - 1 + 1 rounds to 0 for x below about -36.
        return x.relu() + x.clamp(max=0).exp()
