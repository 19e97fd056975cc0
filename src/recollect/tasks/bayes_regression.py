r"""The best predictions of in-context regression, exact for every prompt length.

With $w \sim N(0, p I)$ and $y_i = w \cdot x_i + \varepsilon_i$, $\varepsilon_i \sim N(0, r)$, the posterior
mean after n examples is ridge regression with the known noise, $(X^\top X + \tfrac{r}{p} I)^{-1} X^\top y$.
With $w_t = a w_{t-1} + \sqrt{1 - a^2} e_t$ it is the state of a Kalman filter, of which ridge regression,
one example at a time, is the case a = 1. Where only some coordinates of w are not zero, the filters of all
choices are averaged with the posterior probabilities of the choices.
"""

from itertools import combinations
from math import comb
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import NotDefinedError

Points = Float64[Tensor, "B n dim"]
Scalars = Float64[Tensor, "B n"]
Shown = Float64[Tensor, "B shown"]

# With no noise at all a direction is either known or not: below this share of the prior it is known.
_KNOWN = 1e-13
_MAX_SUPPORTS = 5000


class Prediction(NamedTuple):
    """Of `w_t . x_t` given the examples before t: the posterior's mean and variance."""

    mean: Scalars
    variance: Scalars


def kalman_filter(
    x: Points, y: Shown, *, prior_variance: float, noise_variance: float, persistence: float = 1.0
) -> Prediction:
    """Predictions at every `x_t` from the examples before it. Cost: O(n dim^2) a prompt.

    Args:
        x: inputs.
        y: their values; those of the last inputs may be missing.
        prior_variance: p, of each coordinate of w at any time.
        noise_variance: r.
        persistence: a; 1 for a w that stays.

    Example:
        >>> x, y = torch.tensor([[[1.0], [1.0]]]).double(), torch.tensor([[3.0]]).double()
        >>> kalman_filter(x, y, prior_variance=1.0, noise_variance=0.5).mean
        tensor([[0., 2.]], dtype=torch.float64)
    """
    B, _, dim = x.shape
    prior = prior_variance * torch.eye(dim, dtype=x.dtype, device=x.device)
    estimate, covariance = x.new_zeros(B, dim), prior.expand(B, dim, dim)
    means, variances = [], []
    for t, x_t in enumerate(x.unbind(1)):
        spread = torch.einsum("bij,bj->bi", covariance, x_t)
        means.append((estimate * x_t).sum(-1))
        variances.append((spread * x_t).sum(-1))
        if t < y.shape[1]:
            total = variances[t] + noise_variance
            is_known = total <= _KNOWN * prior_variance * x_t.square().sum(-1)
            gain = spread / total.masked_fill(is_known, torch.inf)[:, None]
            estimate = estimate + gain * (y[:, t] - means[t])[:, None]
            covariance = covariance - torch.einsum("bi,bj->bij", gain, spread)
        estimate = persistence * estimate
        covariance = persistence**2 * covariance + (1 - persistence**2) * prior
    return Prediction(torch.stack(means, dim=1), torch.stack(variances, dim=1))


def sparse_average(
    x: Points, y: Shown, *, nonzeros: int, prior_variance: float, noise_variance: float
) -> Prediction:
    """Predictions where `nonzeros` coordinates of w, all choices alike, are N(0, p) and the others 0.

    Cost: that of one filter for each of the `dim` choose `nonzeros` choices.

    Raises:
        NotDefinedError: too many choices, or no noise (one choice then is certain, which one not stably).
    """
    B, n, dim = x.shape
    count = comb(dim, nonzeros)
    if count > _MAX_SUPPORTS or noise_variance <= 0:
        raise NotDefinedError(
            f"the average over supports needs noise and at most {_MAX_SUPPORTS} choices, got "
            f"noise_variance={noise_variance:g} and {count} choices of {nonzeros} in {dim}."
        )
    supports = torch.tensor(list(combinations(range(dim), nonzeros)), device=x.device)
    parts = x[:, :, supports].permute(0, 2, 1, 3).flatten(0, 1)
    given = y.repeat_interleave(count, dim=0)
    each = kalman_filter(parts, given, prior_variance=prior_variance, noise_variance=noise_variance)
    mean, variance = each.mean.unflatten(0, (B, count)), each.variance.unflatten(0, (B, count))

    shown = y.shape[1]
    total = variance[..., :shown] + noise_variance
    surprise = (y[:, None] - mean[..., :shown]).square() / total + total.log()
    evidence = torch.nn.functional.pad(-surprise.cumsum(-1) / 2, (1, 0))[..., :n]
    posterior = evidence.softmax(dim=1)
    averaged = (posterior * mean).sum(1)
    return Prediction(averaged, (posterior * (variance + mean.square())).sum(1) - averaged.square())
