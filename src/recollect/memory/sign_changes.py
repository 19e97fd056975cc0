"""How often a memory function changes sign."""

from recollect.core.shapes import Taps


def sign_changes(rho: Taps) -> int:
    """Number of sign changes along the taps; zeros are skipped.

    Example:
        >>> import torch
        >>> sign_changes(torch.tensor([1.0, 0.0, -1.0, -2.0, 3.0]))
        2
    """
    signs = rho[rho != 0].sign()
    return int((signs[1:] != signs[:-1]).sum())
