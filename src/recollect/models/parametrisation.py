r"""How the pole of a linear recurrence depends on the number that is trained.

| name | modulus in discrete time | decay rate in continuous time |
|---|---|---|
| `direct` | $w$ | $w$ |
| `exp` | $e^{-e^w}$ | $e^w$ |
| `softplus` | $e^{-\mathrm{softplus}(w)}$ | $\mathrm{softplus}(w)$ |
| `stable` | $1 - 1/(w^2 + b)$ | $1/(w^2 + b)$ |

with $b = 1/2$. The risk's sensitivity to `w` grows without bound as the memory gets long for `direct` and,
more slowly, for `exp` and `softplus`; `stable` keeps it bounded (StableSSM, arXiv:2311.14495).
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Parametrisation = Literal["direct", "exp", "softplus", "stable"]

_OFFSET = 0.5

_RATE: dict[Parametrisation, Callable[[Tensor], Tensor]] = {
    "direct": lambda w: w,
    "exp": torch.exp,
    "softplus": torch.nn.functional.softplus,
    "stable": lambda w: 1 / (w * w + _OFFSET),
}
_RATE_INVERSE: dict[Parametrisation, Callable[[Tensor], Tensor]] = {
    "direct": lambda rate: rate,
    "exp": torch.log,
    "softplus": lambda rate: rate + torch.log(-torch.expm1(-rate)),
    "stable": lambda rate: (1 / rate - _OFFSET).sqrt(),
}


def decay_rate(w: Float[Tensor, "*N"], name: Parametrisation) -> Float[Tensor, "*N"]:
    """Decay rate of a continuous-time mode, `-Re A`."""
    return _RATE[name](w)


def from_decay_rate(rate: Float[Tensor, "*N"], name: Parametrisation) -> Float[Tensor, "*N"]:
    """The parameter of a given rate, 0 < rate < 2.

    Example:
        >>> decay_rate(from_decay_rate(torch.tensor([0.5]), "stable"), "stable")
        tensor([0.5000])
    """
    return _RATE_INVERSE[name](rate)


def modulus(w: Float[Tensor, "*N"], name: Parametrisation) -> Float[Tensor, "*N"]:
    """Modulus of a discrete-time pole; `direct` and `stable` also reach negative numbers."""
    if name == "direct":
        return w
    return 1 - _RATE[name](w) if name == "stable" else torch.exp(-_RATE[name](w))


def from_modulus(value: Float[Tensor, "*N"], name: Parametrisation) -> Float[Tensor, "*N"]:
    """The parameter of a given modulus, 0 < value < 1.

    Example:
        >>> modulus(from_modulus(torch.tensor([0.9]), "softplus"), "softplus")
        tensor([0.9000])
    """
    if name == "direct":
        return value
    return _RATE_INVERSE[name](1 - value if name == "stable" else -value.log())
