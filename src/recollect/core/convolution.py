r"""Causal convolution of sequences by the fast Fourier transform.

$$y_t = \sum_{s=0}^{t} k_s \odot x_{t-s}$$
"""

import torch
from jaxtyping import Inexact
from scipy.fft import next_fast_len
from torch import Tensor


def causal_convolution(
    x: Inexact[Tensor, "B T D"], taps: Inexact[Tensor, "lags channels"]
) -> Inexact[Tensor, "B T D"]:
    """Each channel with its own taps, or all with the same; both real or both complex. O(B D T log T) work.

    Taps at lags beyond the sequence meet no input.

    Example:
        >>> causal_convolution(torch.ones(1, 3, 1), torch.tensor([[1.0], [2.0], [4.0]])).flatten()
        tensor([1.0000, 3.0000, 7.0000])
    """
    length = x.shape[1]
    # Zeros up to 2T-1 keep the circular convolution from wrapping; time last is the transform's fast axis.
    signal, filters = x.transpose(1, 2), taps[:length].T
    if x.is_complex():
        size = next_fast_len(2 * length - 1)
        product = torch.fft.fft(signal, size) * torch.fft.fft(filters, size)
        result = torch.fft.ifft(product, size)
    else:
        size = next_fast_len(2 * length - 1, real=True)
        product = torch.fft.rfft(signal, size) * torch.fft.rfft(filters, size)
        result = torch.fft.irfft(product, size)
    return result[..., :length].transpose(1, 2)
