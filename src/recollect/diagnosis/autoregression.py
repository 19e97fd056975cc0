r"""An input as filtered white noise: the comparison under which theorems for white input hold again.

$$x_t = \sum_s g_s\, \epsilon_{t-s}, \qquad g = 1/a, \qquad
  (e * x)_t = \big((e * g) * \epsilon\big)_t, \qquad E[\epsilon_t \epsilon_t^\top] = M M^\top$$

with one filter g for all inputs, autoregressive of order q. Over lags 0..T-1 its cost is
$Q = (G^\top G) \otimes M M^\top$, G the lower-triangular Toeplitz matrix of g: what it takes to *filter* an
error and then to read it as one under white input. No input has exactly this metric, but with the least
eigenvalue $\lambda$ of R relative to Q

$$e^\top R\, e \ge \lambda\; e^\top Q\, e \qquad \text{for every error } e,$$

whatever the input is: a better filter only brings $\lambda$ nearer to its best.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import solve_toeplitz, toeplitz
from torch import Tensor

from recollect.diagnosis.input_metric import Columns, InputMetric


@dataclass(frozen=True, eq=False)
class FilteredNoise:
    """White noise through one autoregression for all inputs.

    Attributes:
        autoregression: $a_0 = 1, a_1, \\dots, a_q$.
        input_root: M.
        num_lags: T.
    """

    autoregression: Float64[Tensor, " q1"]
    input_root: Float64[Tensor, "inputs inputs"]
    num_lags: int

    @classmethod
    def of(cls, metric: InputMetric, order: int, num_lags: int) -> "FilteredNoise":
        """The autoregression whose autocorrelations are the inputs' mean ones (Yule and Walker)."""
        order = min(order, metric.num_lags - 1, num_lags - 1)
        one = torch.ones(1, dtype=torch.float64)
        if metric.is_white or order == 0:
            return cls(one, metric.input_root, num_lags)
        inverse = torch.linalg.inv(metric.autocovariance[0])
        mean = torch.einsum("lij,ji->l", metric.autocovariance[: order + 1], inverse) / metric.num_inputs
        # The mean of autocorrelations is an autocorrelation; rounding may take it to the edge.
        column = mean[:order].numpy().copy()
        column[0] *= 1 + 1e-10
        solved = torch.from_numpy(solve_toeplitz(column, mean[1 : order + 1].numpy()))
        return cls(torch.cat([one, -solved]), metric.input_root, num_lags)

    @property
    def order(self) -> int:
        """q, the states of the filter."""
        return len(self.autoregression) - 1

    @cached_property
    def inverse(self) -> Float64[Tensor, "T T"]:
        """The inverse of G: the Toeplitz matrix of a."""
        column = torch.nn.functional.pad(self.autoregression, (0, self.num_lags))[: self.num_lags]
        return torch.from_numpy(toeplitz(column.numpy(), np.zeros(self.num_lags)))

    @cached_property
    def filter(self) -> Float64[Tensor, "T T"]:
        """G."""
        identity = torch.eye(self.num_lags, dtype=torch.float64)
        return torch.linalg.solve_triangular(self.inverse, identity, upper=False)

    @property
    def free_responses(self) -> Float64[Tensor, "T q"]:
        r"""What the filter says once its input has ended: the solutions of $a * v = 0$ from lag q on."""
        start = self.inverse.clone()
        start[: self.order, : self.order] = torch.eye(self.order, dtype=torch.float64)
        begun = torch.eye(self.num_lags, self.order, dtype=torch.float64)
        return torch.linalg.solve_triangular(start, begun, upper=False)

    def whiten(self, columns: Columns) -> Float64[Tensor, "T inputs columns"]:
        """The filtered errors, mixed to uncorrelated inputs of unit variance: a regression for each."""
        mixed = torch.einsum("sic,ij->sjc", columns, self.input_root)
        return torch.einsum("us,sjc->ujc", self.filter, mixed) if self.order else mixed

    def design(self, basis: Float64[Tensor, "T waves"]) -> Float64[Tensor, "T waves"]:
        """The filtered waves, the same for all inputs."""
        return self.filter @ basis if self.order else basis

    def coefficients(self, solution: Float64[Tensor, "waves inputs"]) -> Float64[Tensor, "waves inputs"]:
        """Of the inputs before they were mixed."""
        return torch.linalg.solve_triangular(self.input_root, solution, upper=False, left=False)

    def least_ratio(self, form: Float64[Tensor, "TI TI"]) -> float:
        r"""$\lambda$ of a cost over the first T lags, less what rounding may have added; O((T p)^3)."""
        inverse = torch.kron(self.inverse, torch.linalg.inv(self.input_root).mT.contiguous())
        relative = inverse.mT @ form @ inverse
        values = torch.linalg.eigvalsh((relative + relative.mT) / 2)
        guard = 16 * len(values) * torch.finfo(torch.float64).eps * float(values.abs().max())
        return max(0.0, float(values[0]) - guard)
