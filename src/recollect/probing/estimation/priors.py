r"""Gaussian priors of a memory function: how large it is at each lag, and how alike neighbours are.

Each is an envelope times an autoregressive process of order one or two, on a clock $\tau$ that starts at a
dead time d:

$$P_{ij} = c\, e^{-\beta (\tau_i + \tau_j)}\, \mathrm{corr}(i, j), \qquad
  \tau_s = s - d \;\text{ or }\; \log\big(1 + (s - d)/t\big) .$$

| name | clock | correlation | stands for |
|---|---|---|---|
| `ridge` | none | none | nothing known |
| `tc` | lags | $e^{-\beta|\tau_i-\tau_j|}$, so $P_{ij} = c\,a^{\max(i,j)}$ | fading, in independent steps |
| `dc` | lags | $r^{|i-j|}$ | fading, as smooth as the data say |
| `ss` | lags | poles $r, r^3$ with $r = e^{-\beta/3}$, those of the stable spline | fading, smooth |
| `smooth` | lags | a double pole r | fading, smooth, as much as the data say |
| `resonant` | lags | poles $r e^{\pm i\omega}$ | damped oscillation |
| `heavy` | log | as `tc`: $P_{ij} = c\,u_{\max(i,j)}$ with $u_s = (1+s/t)^{-2\beta}$ | power laws |
| `heavy_dc` | log | $e^{-\beta\kappa|\tau_i-\tau_j|}$ | power laws, smooth |

Before the dead time the numbers are independent, with a small variance that is found with the rest. All have
banded inverses, written as $W = A^\top A$ with A lower triangular: row s of A is the innovation at lag s.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn import functional

_LARGEST_LOG = 250.0
"""Variances reach no further than exp(-250) of the first, within the range of float64."""

Innovations = Float64[Tensor, "3 lags"]
"""Columns s, s - 1 and s - 2 of row s of A."""


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter: its name, the range of its logarithm for so many lags, and where searches start."""

    name: str
    range: Callable[[int], tuple[float, float]]
    starts: Callable[[int], tuple[float, ...]]


def _log(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).log())


_RATE = Parameter("rate", lambda n: (_log(0.02 / n), _log(6.0)), lambda n: (_log(3.0 / n), _log(0.3)))
_FREQUENCY = Parameter("frequency", lambda n: (_log(0.3 / n), _log(3.14)), lambda n: (_log(0.3), _log(1.0)))
_TIME = Parameter("time", lambda n: (_log(0.1), _log(20.0 * n)), lambda n: (_log(1.0), _log(n / 8)))
_EXPONENT = Parameter("exponent", lambda n: (_log(0.02), _log(50.0)), lambda n: (_log(1.0), _log(2.0)))
_ROUGHNESS = Parameter("roughness", lambda n: (_log(0.001), _log(1000.0)), lambda n: (_log(0.2), _log(0.1)))
"""Relative to the rate or exponent of the envelope, so that TC has 1. It is kept from 0, where the prior
would be a curve of two or three numbers and leave the data no other."""


@dataclass(frozen=True)
class Family:
    """A shape of prior: its parameters, and log-variances and innovations for logarithms of them."""

    parameters: tuple[Parameter, ...]
    shape: Callable[[Float64[Tensor, " parameters"], int], tuple[Float64[Tensor, " lags"], Innovations]]


def _lags(n: int) -> Float64[Tensor, " lags"]:
    return torch.arange(n, dtype=torch.float64)


def _log_clock(time: Float64[Tensor, ""], n: int) -> Float64[Tensor, " lags"]:
    return torch.log1p(_lags(n) / time)


def _first_order(log_correlation: Float64[Tensor, " steps"]) -> Innovations:
    """Unit variance; the logarithm of the correlation of each lag with the one before."""
    inverse_deviation = (-torch.expm1(2 * log_correlation)).rsqrt()
    one, zero = log_correlation.new_ones(1), log_correlation.new_zeros(1)
    own = torch.cat([one, inverse_deviation])
    previous = torch.cat([zero, -log_correlation.exp() * inverse_deviation])
    return torch.stack([own, previous, torch.zeros_like(own)])


def _second_order(
    sum_of_poles: Float64[Tensor, ""], product_of_poles: Float64[Tensor, ""], n: int
) -> Innovations:
    """Unit variance; `z_s = sum z_{s-1} - product z_{s-2} + innovation`."""
    first = sum_of_poles / (1 + product_of_poles)
    variance = (1 - product_of_poles**2) * (1 - first**2)
    deviation, start = variance.clamp(min=1e-14).rsqrt(), (1 - first**2).clamp(min=1e-14).rsqrt()
    one, zero = torch.ones_like(first), torch.zeros_like(first)
    head = torch.stack(
        [torch.stack([one, start]), torch.stack([zero, -first * start]), torch.stack([zero, zero])]
    )
    rest = torch.stack([one, -sum_of_poles, product_of_poles]) * deviation
    return torch.cat([head, rest[:, None].expand(3, max(n - 2, 0))], dim=1)[:, :n]


def _ridge(_: Float64[Tensor, " parameters"], n: int) -> tuple[Float64[Tensor, " lags"], Innovations]:
    nothing = torch.zeros(n, dtype=torch.float64)
    return nothing, torch.stack([torch.ones_like(nothing), nothing, nothing])


def _tc(logs: Float64[Tensor, " parameters"], n: int) -> tuple[Float64[Tensor, " lags"], Innovations]:
    rate = logs[0].exp()
    return -2 * rate * _lags(n), _first_order(-rate.expand(n - 1))


def _dc(logs: Float64[Tensor, " parameters"], n: int) -> tuple[Float64[Tensor, " lags"], Innovations]:
    rate, roughness = logs.exp()
    return -2 * rate * _lags(n), _first_order((-rate * roughness).expand(n - 1))


def _ss(logs: Float64[Tensor, " parameters"], n: int) -> tuple[Float64[Tensor, " lags"], Innovations]:
    rate = logs[0].exp()
    slow, fast = torch.exp(-rate / 3), torch.exp(-rate)
    return -2 * rate * _lags(n), _second_order(slow + fast, slow * fast, n)


def _smooth(logs: Float64[Tensor, " parameters"], n: int) -> tuple[Float64[Tensor, " lags"], Innovations]:
    rate, roughness = logs.exp()
    pole = torch.exp(-rate * roughness)
    return -2 * rate * _lags(n), _second_order(2 * pole, pole**2, n)


def _resonant(logs: Float64[Tensor, " parameters"], n: int) -> tuple[Float64[Tensor, " lags"], Innovations]:
    rate, roughness, frequency = logs.exp()
    pole = torch.exp(-rate * roughness)
    return -2 * rate * _lags(n), _second_order(2 * pole * frequency.cos(), pole**2, n)


def _heavy(logs: Float64[Tensor, " parameters"], n: int) -> tuple[Float64[Tensor, " lags"], Innovations]:
    time, exponent = logs.exp()
    clock = _log_clock(time, n)
    return -2 * exponent * clock, _first_order(-exponent * clock.diff())


def _heavy_dc(logs: Float64[Tensor, " parameters"], n: int) -> tuple[Float64[Tensor, " lags"], Innovations]:
    time, exponent, roughness = logs.exp()
    clock = _log_clock(time, n)
    return -2 * exponent * clock, _first_order(-exponent * roughness * clock.diff())


PRIORS = {
    "ridge": Family((), _ridge),
    "tc": Family((_RATE,), _tc),
    "dc": Family((_RATE, _ROUGHNESS), _dc),
    "ss": Family((_RATE,), _ss),
    "smooth": Family((_RATE, _ROUGHNESS), _smooth),
    "resonant": Family((_RATE, _ROUGHNESS, _FREQUENCY), _resonant),
    "heavy": Family((_TIME, _EXPONENT), _heavy),
    "heavy_dc": Family((_TIME, _EXPONENT, _ROUGHNESS), _heavy_dc),
}

_SCALE = Parameter("scale", lambda n: (-32.0, 32.0), lambda n: (-5.0, -5.0))
_HEAD = Parameter("variance_before_delay", lambda n: (-30.0, 0.0), lambda n: (-12.0, -6.0))


@dataclass(frozen=True)
class Prior:
    """A family with a dead time. The scale is relative to the variance of the noise.

    Example:
        >>> prior = Prior("tc")
        >>> bands, log_determinant = prior.precision(torch.tensor([0.0, -9.0], dtype=torch.float64), 3)
        >>> round(float(bands[0, 0] / bands[1, 0]), 2)
        -1.0
    """

    family: str
    delay: int = 0

    @property
    def name(self) -> str:
        return f"delayed {self.family}" if self.delay else self.family

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        head = (_HEAD,) if self.delay else ()
        return (_SCALE, *PRIORS[self.family].parameters, *head)

    def precision(
        self, logs: Float64[Tensor, " parameters"], lags: int
    ) -> tuple[Float64[Tensor, "3 lags"], Float64[Tensor, ""]]:
        """Bands of the inverse covariance times the noise variance, and the logarithm of its determinant.

        `bands[k, s]` is the element at `(s, s + k)`.
        """
        log_variance, innovations = self._shape(logs, lags)
        log_determinant = 2 * innovations[0].log().sum() - log_variance.sum()
        return _bands(innovations, torch.exp(-log_variance / 2)), log_determinant

    def log_variance(self, logs: Float64[Tensor, " parameters"], lags: int) -> Float64[Tensor, " lags"]:
        """Of each lag, relative to the noise."""
        return self._shape(logs, lags)[0]

    def _shape(
        self, logs: Float64[Tensor, " parameters"], lags: int
    ) -> tuple[Float64[Tensor, " lags"], Innovations]:
        shape = logs[1:-1] if self.delay else logs[1:]
        log_variance, innovations = PRIORS[self.family].shape(shape, lags - self.delay)
        log_variance = log_variance.clamp(min=-_LARGEST_LOG)
        if self.delay:
            log_variance = torch.cat([logs[-1].expand(self.delay), log_variance])
            white = torch.tensor([[1.0], [0.0], [0.0]], dtype=torch.float64).expand(3, self.delay)
            innovations = torch.cat([white, innovations], dim=1)
        return logs[0] + log_variance, innovations


def _bands(
    innovations: Float64[Tensor, "3 lags"], inverse_deviation: Float64[Tensor, " lags"]
) -> Float64[Tensor, "3 lags"]:
    """Of `D A^T A D`: two rows of A meet in columns s and s + k where both reach there."""
    own, previous, before = functional.pad(innovations, (0, 2))
    deviation = functional.pad(inverse_deviation, (0, 2))
    n = len(inverse_deviation)
    diagonal = own[:n] ** 2 + previous[1 : n + 1] ** 2 + before[2:] ** 2
    first = own[1 : n + 1] * previous[1 : n + 1] + previous[2:] * before[2:]
    second = own[2:] * before[2:]
    steps = torch.stack([deviation[:n], deviation[1 : n + 1], deviation[2:]])
    return torch.stack([diagonal, first, second]) * steps * inverse_deviation
