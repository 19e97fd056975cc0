r"""The best predictions of regressions whose noise and coefficients are Gaussian, exact at every position.

$$W_t = a_t W_{t-1} + \sqrt{s_t}\, E_t, \qquad v_t = W_t^\top k_t + \sigma \varepsilon_t$$

The posterior mean of $W_t^\top k_t$ given the associations before t is that of a Kalman filter (Kalman 1960;
Anderson and Moore 1979, *Optimal Filtering*). Coefficients that stay make it ridge regression with the known
noise, one example at a time. Where only some coefficients are not zero, the filters of all choices are
averaged with the posterior probabilities of the choices.
"""

from itertools import combinations
from math import comb
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from recollect.core import NotDefinedError

Keys = Float64[Tensor, "B n K"]
Values = Float64[Tensor, "B n V"]
ShownValues = Float64[Tensor, "B shown V"]
Points = Float64[Tensor, "B n dim"]
Scalars = Float64[Tensor, "B n"]
Shown = Float64[Tensor, "B shown"]

# With no noise at all a direction is either known or not: below this share of the prior it is known.
_KNOWN = 1e-13
_MAX_SUPPORTS = 5000
_BLOCK_NUMBERS = 2**24


class Filtered(NamedTuple):
    """What a filter says before each value.

    Attributes:
        predictions: the mean of `W_t^T k_t` given the values before t.
        variances: of each of its channels about that mean.
    """

    predictions: Values
    variances: Scalars


class Prediction(NamedTuple):
    """Of `w_t . x_t` given the examples before t: the posterior's mean and variance."""

    mean: Scalars
    variance: Scalars


def kalman_filter(k: Keys, v: ShownValues, kept: Scalars, added: Scalars, *, noise: float) -> Filtered:
    r"""The conditional mean of $W_t^\top k_t$ given $v_1, \dots, v_{t-1}$, and its variance.

    Coefficients are 0 before the first position: `kept` 0 and `added` p there draw them with variance p.
    Value channels share their keys, so one covariance of coefficients serves them all. O(n K (K^2 + V)):
    updates in Joseph's form keep the covariance symmetric and positive.

    Args:
        k: keys.
        v: values; those of the last keys may be missing.
        kept: $a_t$.
        added: $s_t$, the variance that is new in each coefficient.
        noise: $\sigma$, 0 or more.

    Raises:
        ValueError: `noise` negative.

    Example:
        >>> ones = torch.ones(1, 3, 1, dtype=torch.float64)
        >>> kept = torch.tensor([[0.0, 1.0, 1.0]], dtype=torch.float64)
        >>> kalman_filter(ones, ones, kept, 1 - kept, noise=1.0).predictions.flatten().round(decimals=4)
        tensor([0.0000, 0.5000, 0.6667], dtype=torch.float64)
    """
    if noise < 0:
        raise ValueError(f"noise={noise}: expected a standard deviation, 0 or more.")
    B, _, K = k.shape
    mean, covariance = v.new_zeros(B, K, v.shape[-1]), k.new_zeros(B, K, K)
    prior = k.new_zeros(B)  # of each coefficient, had nothing been observed
    identity = torch.eye(K, dtype=k.dtype, device=k.device)
    predictions, variances = [], []
    for t, (k_t, a, s) in enumerate(zip(k.unbind(1), kept.unbind(1), added.unbind(1), strict=True)):
        mean, prior = a[:, None, None] * mean, a.square() * prior + s
        covariance = a.square()[:, None, None] * covariance + s[:, None, None] * identity
        direction = torch.einsum("bkl,bl->bk", covariance, k_t)
        predictions.append(torch.einsum("bkv,bk->bv", mean, k_t))
        variances.append((direction * k_t).sum(-1))
        if t < v.shape[1]:
            total = variances[t] + noise**2
            is_known = total <= _KNOWN * prior * k_t.square().sum(-1)
            gain = direction / total.masked_fill(is_known, torch.inf)[:, None]
            mean = mean + gain[:, :, None] * (v[:, t] - predictions[t])[:, None, :]
            shrink = identity - gain[:, :, None] * k_t[:, None, :]
            covariance = shrink @ covariance @ shrink.mT + noise**2 * gain[:, :, None] * gain[:, None, :]
    return Filtered(torch.stack(predictions, dim=1), torch.stack(variances, dim=1))


def stationary_filter(
    x: Points, y: Shown, *, prior_variance: float, noise_variance: float, persistence: float = 1.0
) -> Prediction:
    r"""The filter of one value channel whose coefficients keep their variance: $s_t = (1 - a^2) p$.

    Args:
        x: inputs.
        y: their values; those of the last inputs may be missing.
        prior_variance: p, of each coordinate of w at any time.
        noise_variance: of y.
        persistence: a; 1 for a w that stays.

    Example:
        >>> x, y = torch.tensor([[[1.0], [1.0]]]).double(), torch.tensor([[3.0]]).double()
        >>> stationary_filter(x, y, prior_variance=1.0, noise_variance=0.5).mean
        tensor([[0., 2.]], dtype=torch.float64)
    """
    kept = x.new_full(x.shape[:2], persistence)
    kept[:, 0] = 0
    added = prior_variance * (1 - kept.square())
    filtered = kalman_filter(x, y[..., None], kept, added, noise=noise_variance**0.5)
    return Prediction(filtered.predictions[..., 0], filtered.variances)


def sparse_average(
    x: Points, y: Shown, *, nonzeros: int, prior_variance: float, noise_variance: float
) -> Prediction:
    """Predictions where `nonzeros` coordinates of w, all choices alike, are N(0, p) and the others 0.

    Cost: that of one filter for each of the `dim` choose `nonzeros` choices, in blocks of bounded memory.

    Raises:
        NotDefinedError: too many choices, or no noise (one choice then is certain, which one not stably).
    """
    _, n, dim = x.shape
    count = comb(dim, nonzeros)
    if count > _MAX_SUPPORTS or noise_variance <= 0:
        raise NotDefinedError(
            f"the average over supports needs noise and at most {_MAX_SUPPORTS} choices, got "
            f"noise_variance={noise_variance:g} and {count} choices of {nonzeros} in {dim}."
        )
    supports = torch.tensor(list(combinations(range(dim), nonzeros)), device=x.device)
    block = max(1, _BLOCK_NUMBERS // (count * n * nonzeros))
    pieces = zip(x.split(block), y.split(block), strict=True)
    found = [_averaged(*piece, supports, prior_variance, noise_variance) for piece in pieces]
    return Prediction(*(torch.cat(columns) for columns in zip(*found, strict=True)))


def _averaged(
    x: Points,
    y: Shown,
    supports: Int64[Tensor, "count nonzeros"],
    prior_variance: float,
    noise_variance: float,
) -> Prediction:
    """The average over these supports, by Bayes' rule."""
    (B, n, _), count = x.shape, len(supports)
    parts = x[:, :, supports].permute(0, 2, 1, 3).flatten(0, 1)
    given = y.repeat_interleave(count, dim=0)
    each = stationary_filter(parts, given, prior_variance=prior_variance, noise_variance=noise_variance)
    mean, variance = each.mean.unflatten(0, (B, count)), each.variance.unflatten(0, (B, count))

    shown = y.shape[1]
    total = variance[..., :shown] + noise_variance
    surprise = (y[:, None] - mean[..., :shown]).square() / total + total.log()
    evidence = torch.nn.functional.pad(-surprise.cumsum(-1) / 2, (1, 0))[..., :n]
    posterior = evidence.softmax(dim=1)
    averaged = (posterior * mean).sum(1)
    return Prediction(averaged, (posterior * (variance + mean.square())).sum(1) - averaged.square())
