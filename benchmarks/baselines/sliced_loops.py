"""Recurrences as they are often written: a Python loop that slices `x[:, t:t+1]`.

Each slice's backward writes a zero tensor of the size of the whole input, so the backward pass is
quadratic in the length.
"""

import torch
from torch import Tensor


def diagonal(a: Tensor, x: Tensor) -> Tensor:
    """`h_t = a h_{t-1} + x_t`."""
    h = torch.zeros_like(x[:, :1])
    outputs = []
    for t in range(x.shape[1]):
        h = a * h + x[:, t : t + 1]
        outputs.append(h)
    return torch.cat(outputs, dim=1)


def tanh_rnn(x: Tensor, w: Tensor, u: Tensor) -> Tensor:
    """`h_t = tanh(W h_{t-1} + U x_t)`."""
    h = torch.zeros_like(x[:, :1])
    outputs = []
    for t in range(x.shape[1]):
        h = torch.tanh(h @ w.mT + x[:, t : t + 1] @ u.mT)
        outputs.append(h)
    return torch.cat(outputs, dim=1)


def lstm(x: Tensor, w: Tensor, u: Tensor) -> Tensor:
    """Long short-term memory; gates in the order input, forget, candidate, output."""
    h = c = torch.zeros_like(x[:, :1])
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = (h @ w.mT + x[:, t : t + 1] @ u.mT).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.cat(outputs, dim=1)


def gru(x: Tensor, w: Tensor, u: Tensor) -> Tensor:
    """Gated recurrent unit; gates in the order reset, update, candidate."""
    h = torch.zeros_like(x[:, :1])
    outputs = []
    for t in range(x.shape[1]):
        hr, hz, hn = (h @ w.mT).chunk(3, dim=-1)
        xr, xz, xn = (x[:, t : t + 1] @ u.mT).chunk(3, dim=-1)
        z = torch.sigmoid(hz + xz)
        h = (1 - z) * torch.tanh(xn + torch.sigmoid(hr + xr) * hn) + z * h
        outputs.append(h)
    return torch.cat(outputs, dim=1)


def dense_targets(rho: Tensor, x: Tensor) -> Tensor:
    """Targets of a memory function as one product with the T x T Toeplitz matrix, built from rho."""
    lag = torch.arange(len(rho))[:, None] - torch.arange(len(rho))
    matrix = torch.where(lag >= 0, rho[lag.clamp(min=0)], 0.0)
    return x @ matrix.mT
