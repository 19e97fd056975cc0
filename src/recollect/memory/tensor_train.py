r"""Tensor-train ranks of a memory function: how wide a dilated convolution must be to hold it.

Write the lag with K digits in base l. A linear dilated network with one convolution of l taps per
dilation $l^k$ and hidden width M holds a tensor train of rank M over these digits, so the ranks of the
unfoldings $U_k = \rho$ reshaped to $(l^k, l^{K-k})$ are the widths that it needs.
"""

import torch

from recollect.core import ConfigError
from recollect.core.shapes import Taps
from recollect.memory.numerical_rank import numerical_rank


def tensor_train_ranks(rho: Taps, base: int = 2, tolerance: float = 1e-6) -> tuple[int, ...]:
    r"""Ranks of $U_1, \dots, U_{K-1}$, up to a relative `tolerance` on each one's singular values.

    Taps are continued by zeros to the next power of `base`, as a filter of T taps is; for other
    continuations the ranks are upper bounds.

    Example:
        >>> from recollect.memory import Impulse
        >>> tensor_train_ranks(Impulse(alpha=13).values(32))
        (1, 1, 1, 1)
    """
    if base < 2 or len(rho) < 1:
        raise ConfigError(f"expected base >= 2 and at least one tap, got base={base} and {len(rho)} taps.")
    num_digits = 1
    while base**num_digits < len(rho):
        num_digits += 1
    padded = torch.nn.functional.pad(rho.double(), (0, base**num_digits - len(rho)))
    unfoldings = [padded.reshape(base**k, -1) for k in range(1, num_digits)]
    return tuple(numerical_rank(torch.linalg.svdvals(unfolding), tolerance) for unfolding in unfoldings)
