r"""Least squares with weights that decay: what a Kalman filter of moving coefficients is held against.

The filter itself is `recollect.tasks.bayes_regression.kalman_filter`: it knows how the coefficients move.
"""

import torch

from recollect.tasks.bayes_regression import Keys, Values


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
