r"""The best linear predictions of a regression whose coefficients move: Kalman filter and least squares.

$$W_t = a_t W_{t-1} + \sqrt{s_t}\, E_t, \qquad v_t = W_t^\top k_t + \sigma \varepsilon_t$$

Both predict $W_t^\top k_t$ from the associations before t. Value channels share their keys, so one covariance
of coefficients serves them all. Kalman 1960; Anderson and Moore 1979, *Optimal Filtering*.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

Keys = Float64[Tensor, "B T K"]
Values = Float64[Tensor, "B T V"]
PerPosition = Float64[Tensor, "B T"]


class Filtered(NamedTuple):
    """What a filter says before each value.

    Attributes:
        predictions: the mean of `W_t^T k_t` given the values before t.
        variances: of each of its channels about that mean.
    """

    predictions: Values
    variances: PerPosition


def kalman_filter(k: Keys, v: Values, kept: PerPosition, added: PerPosition, *, noise: float) -> Filtered:
    r"""The conditional mean of $W_t^\top k_t$ given $v_1, \dots, v_{t-1}$, and its variance.

    Exact for Gaussian coefficients and noise. Coefficients are 0 before the first position: `kept` 0 and
    `added` 1 there draw them with variance 1. O(T K (K + V)), updates in Joseph's form, which keeps the
    covariance symmetric.

    Args:
        k: keys.
        v: values.
        kept: $a_t$.
        added: $s_t$, the variance that is new in each coefficient.
        noise: $\sigma$, positive.

    Raises:
        ValueError: `noise` not positive.

    Example:
        >>> ones = torch.ones(1, 3, 1, dtype=torch.float64)
        >>> kept = torch.tensor([[0.0, 1.0, 1.0]], dtype=torch.float64)
        >>> kalman_filter(ones, ones, kept, 1 - kept, noise=1.0).predictions.flatten().round(decimals=4)
        tensor([0.0000, 0.5000, 0.6667], dtype=torch.float64)
    """
    if noise <= 0:
        raise ValueError(f"noise={noise}: expected a positive standard deviation; take a small one for none.")
    B, _, K = k.shape
    mean = v.new_zeros(B, K, v.shape[-1])
    covariance = k.new_zeros(B, K, K)
    identity = torch.eye(K, dtype=k.dtype, device=k.device)
    predictions, variances = [], []
    for k_t, v_t, a, s in zip(k.unbind(1), v.unbind(1), kept.unbind(1), added.unbind(1), strict=True):
        mean = a[:, None, None] * mean
        covariance = a.square()[:, None, None] * covariance + s[:, None, None] * identity
        prediction = torch.einsum("bkv,bk->bv", mean, k_t)
        direction = torch.einsum("bkl,bl->bk", covariance, k_t)
        variance = (direction * k_t).sum(-1)
        gain = direction / (variance + noise**2)[:, None]
        mean = mean + gain[:, :, None] * (v_t - prediction)[:, None, :]
        shrink = identity - gain[:, :, None] * k_t[:, None, :]
        covariance = shrink @ covariance @ shrink.mT + noise**2 * gain[:, :, None] * gain[:, None, :]
        predictions.append(prediction)
        variances.append(variance)
    return Filtered(torch.stack(predictions, dim=1), torch.stack(variances, dim=1))


def weighted_least_squares(k: Keys, v: Values, *, decay: float, ridge: float) -> Values:
    r"""The exact fit with weights that decay, read at the next key: $\hat W_{t-1}^\top k_t$,

    $$\hat W_t = \Big(\sum_{i \le t} \gamma^{t-i} k_i k_i^\top + \lambda I\Big)^{-1}
    \sum_{i \le t} \gamma^{t-i} k_i v_i^\top .$$

    The ridge stays. O(T K^2 (K + V)), one Cholesky factor a position.

    Args:
        k: keys.
        v: values.
        decay: $\gamma$ in (0, 1].
        ridge: $\lambda$, positive.

    Raises:
        ValueError: decay or ridge out of range.

    Example:
        >>> ones = torch.ones(1, 3, 1, dtype=torch.float64)
        >>> weighted_least_squares(ones, ones, decay=0.5, ridge=0.5).flatten().round(decimals=4)
        tensor([0.0000, 0.6667, 0.7500], dtype=torch.float64)
    """
    if not 0 < decay <= 1 or ridge <= 0:
        raise ValueError(f"decay={decay}, ridge={ridge}: expected a decay in (0, 1] and a positive ridge.")
    B, _, K = k.shape
    moments, products = k.new_zeros(B, K, K), k.new_zeros(B, K, v.shape[-1])
    penalty = ridge * torch.eye(K, dtype=k.dtype, device=k.device)
    predictions = []
    for k_t, v_t in zip(k.unbind(1), v.unbind(1), strict=True):
        factor = torch.linalg.cholesky(moments + penalty)
        direction = torch.cholesky_solve(k_t[:, :, None], factor)[..., 0]
        predictions.append(torch.einsum("bkv,bk->bv", products, direction))
        moments = decay * moments + k_t[:, :, None] * k_t[:, None, :]
        products = decay * products + k_t[:, :, None] * v_t[:, None, :]
    return torch.stack(predictions, dim=1)
