"""The numerical rank of a matrix."""

from jaxtyping import Float
from torch import Tensor

from recollect.core import ConfigError


def numerical_rank(singular_values: Float[Tensor, " N"], tolerance: float) -> int:
    """Number of singular values above `tolerance` times the largest; 0 for the zero matrix."""
    if not 0 <= tolerance < 1:
        raise ConfigError(f"expected a relative tolerance in [0, 1), got {tolerance}.")
    return int((singular_values > tolerance * singular_values.max()).sum())
