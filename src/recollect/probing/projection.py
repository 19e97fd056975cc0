r"""Linear projection of a causal signal on its past inputs: which lags it uses, and what is left.

For inputs x and a signal z with `z_t` a function of `x_0..x_t`, the projection is

$$z_t = b_t + \sum_{s \le t} k_t(s)\, x_{t-s} + r_t, \qquad E[r_t] = E[r_t x_{t-s}] = 0 .$$

With white input of variance s2, `k_t(s) = E[z_t x_{t-s}] / s2`, the memory function of z at t. It is
estimated by least squares over examples, which is exact for a linear z, where a plain
cross-correlation would still carry its sampling noise.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import ConfigError


@dataclass(frozen=True)
class Projection:
    """Per-position linear projection; every mean square is corrected for the sampling of the estimate.

    Attributes:
        coefficients: `k_t(s)` of each input channel at `[t, s, channel]`; zero for s > t.
        standard_errors: of the coefficients, same layout.
        linear: mean square of the linear part at each position.
        remainder: mean square of `r_t` at each position.
        bias: `b_t`.
    """

    coefficients: Float64[Tensor, "T T inputs"]
    standard_errors: Float64[Tensor, "T T inputs"]
    linear: Float64[Tensor, " T"]
    remainder: Float64[Tensor, " T"]
    bias: Float64[Tensor, " T"]


class Projector:
    """Projects signals on the inputs up to each position.

    The regressors of position t are the first t + 1 inputs, so one Cholesky factor of the inputs'
    covariance holds the factors of all positions as its leading blocks. Cost for T lags of c channels:
    one factor and one inverse of size T c, then one triangular solve a signal.

    Raises:
        ConfigError: with no more than T c + 1 examples, or with linearly dependent inputs, the projection
            is not determined.

    Example:
        >>> x = torch.randn(40, 5, 1, dtype=torch.float64)
        >>> delayed = torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :5, 0]
        >>> round(float(Projector(x).project(delayed).coefficients[4, 1, 0]), 6)
        1.0
    """

    def __init__(self, inputs: Float64[Tensor, "n T inputs"]) -> None:
        count, length, channels = inputs.shape
        columns = length * channels
        if count <= columns + 1:
            raise ConfigError(
                f"a projection on {length} lags of {channels} channels needs more than {columns + 1} "
                f"examples, got {count}; use more."
            )
        self.length, self.channels = length, channels
        self.centred = (inputs - inputs.mean(0)).flatten(1)
        self.factor, info = torch.linalg.cholesky_ex(self.centred.T @ self.centred / count)
        if info > 0:
            raise ConfigError(
                "the inputs at different positions are linearly dependent (a periodic or very smooth "
                "record): their shares in the error cannot be told apart."
            )
        identity = torch.eye(columns, dtype=inputs.dtype)
        inverse = torch.linalg.solve_triangular(self.factor, identity, upper=False)
        # The covariance of the coefficients at t sums over the factor's first (t + 1) c rows.
        rows = inverse.square().unflatten(0, (length, channels)).sum(1)
        self.unit_variances = rows.cumsum(0).T
        self.visible = torch.arange(columns)[:, None] // channels <= torch.arange(length)

    def project(self, signal: Float64[Tensor, "n T"]) -> Projection:
        """The projection of one causal signal."""
        count = len(signal)
        bias = signal.mean(0)
        centred = signal - bias
        covariance = self.centred.T @ centred / count
        whitened = torch.linalg.solve_triangular(self.factor, covariance, upper=False) * self.visible
        by_input = torch.linalg.solve_triangular(self.factor.T, whitened, upper=True)

        used = self.visible.sum(0)
        explained = whitened.square().sum(0)
        left = (centred.square().mean(0) - explained).clamp(min=0)
        remainder = left * count / (count - used - 1)
        variances = self.unit_variances * remainder / count * self.visible
        return Projection(
            coefficients=self._by_lag(by_input),
            standard_errors=self._by_lag(variances.sqrt()),
            # The fitted part absorbs `used` dimensions of the noise of r_t; take their share out again.
            linear=explained - remainder * used / count,
            remainder=remainder,
            bias=bias,
        )

    def _by_lag(self, by_input: Float64[Tensor, "columns T"]) -> Float64[Tensor, "T T inputs"]:
        """From `[input i of channel c, position t]` to `[position t, lag t - i, channel c]`."""
        position, lag = torch.meshgrid(*[torch.arange(self.length)] * 2, indexing="ij")
        earlier = (position - lag).clamp(min=0)
        values = by_input.unflatten(0, (self.length, self.channels))[earlier, :, position]
        return values.where((lag <= position)[..., None], 0.0)
