r"""Causal convolution by the fast Fourier transform: `y_t = sum_{s <= t} kernel_s x_{t-s}`."""

import torch
from torch import Tensor


def causal_convolution(kernel: Tensor, x: Tensor, *, dim: int = -1) -> Tensor:
    r"""Convolve `x` along `dim` with a kernel of the same length, zero state before the first position.

    `kernel` broadcasts against `x`; both have length T along `dim`. Zero padding to 2T keeps the
    circular transform from wrapping. Cost O(T log T); exact to rounding in the dtype of `x`.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 3.0])
        >>> causal_convolution(torch.tensor([0.0, 1.0, 0.0]), x)
        tensor([0., 1., 2.])
    """
    length = x.shape[dim]
    spectrum = torch.fft.rfft(kernel, 2 * length, dim=dim) * torch.fft.rfft(x, 2 * length, dim=dim)
    return torch.fft.irfft(spectrum, 2 * length, dim=dim).narrow(dim, 0, length)
