r"""Floors of attention by any relative bias: heads with a score $b_s$ of its own for each lag.

$$p_t(s) = e^{b_s} \Big/ \sum_{u \le t} e^{b_u}$$

A head can have any shape, but one sign: two can hold the positive and the negative part of a target. What is
left is the normalisation, which divides every shape by its running sum; a sink whose weight is far above
theirs lifts that too. The biases are found by descent, with the gains eliminated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy
import torch
from jaxtyping import Float64
from scipy.optimize import minimize
from torch import Tensor

from recollect.core.shapes import Taps
from recollect.floors.content_free import (
    GainedHeads,
    Heads,
    Projection,
    heads_bound,
    project,
    projected_error,
    sign_bound,
    softmax_heads,
)
from recollect.floors.floor import Floor, check_sizes
from recollect.floors.problem import Problem

LARGEST = 4
"""Heads beyond which nothing more is constructed: the fit of fewer is reported."""

_FAINT = -60.0
"""Bias of what a head leaves out; its weights are positive, as exponentials are."""

_STEPS = 100


@final
@dataclass(frozen=True, eq=False)
class BiasFit(GainedHeads):
    """One layer of heads with a bias for each lag.

    Attributes:
        biases: $b_h(s)$ at the lags of the horizon; no longer ones are defined.
        gains: one for each head.
        feed_through: gain of the present input.
        sink: whether one more key has score 0 and value 0.
    """

    biases: Float64[Tensor, "H T"]
    gains: Float64[Tensor, " H"]
    feed_through: float = 0.0
    sink: bool = False

    def _heads(self, length: int) -> Heads:
        horizon = self.biases.shape[1]
        if length > horizon:
            raise ValueError(f"expected at most {horizon} lags, the biases that were fitted, got {length}.")
        return softmax_heads(self.biases[:, :length].exp(), sink=self.sink, feed_through=True)


@final
@dataclass(frozen=True)
class RelativeBias:
    """One layer of `size` content-free heads, each with an arbitrary bias for each lag.

    Attributes:
        sink: whether every head has one more key, of score 0 and value 0.
        feed_through: whether the present input is added, as a residual connection does.

    Example:
        >>> problem = Problem(torch.tensor([0.0, 3.0, 0.0, -4.0], dtype=torch.float64))
        >>> one, two = RelativeBias().floors(problem, [1, 2])
        >>> round(one.lower, 6), round(two.attained, 6)
        (0.36, 0.0)
    """

    sink: bool = False
    feed_through: bool = False
    unit: str = "heads"

    def floors(self, problem: Problem, sizes: Sequence[int]) -> list[Floor]:
        """Cost: for each size up to 4 some hundred evaluations of O(H^2 T), and one least squares."""
        check_sizes(sizes, self.unit)
        fits: list[tuple[Projection, BiasFit]] = []
        for size in range(1, min(max(sizes), LARGEST) + 1):
            found = self._best(problem, size, fits[-1][1].biases if fits else None)
            # A head more can always be left unused.
            fits.append(min([*fits[-1:], found], key=lambda fit: fit[0].attained))
        floors = []
        for size in sizes:
            _, fit = fits[min(size, LARGEST) - 1]
            lower, how = self._bound(problem, size)
            attained = problem.nmse_of_responses(fit.responses(problem.length))
            # Large gains that cancel leave a rounding in the responses, and no error is below the bound.
            floors.append(Floor(size, lower, max(lower, attained), fit, how))
        return floors

    def _bound(self, problem: Problem, size: int) -> tuple[float, str]:
        shared = heads_bound(problem, sink=self.sink)
        sign = sign_bound(problem, feed_through=self.feed_through), "a single head has one sign"
        return max(shared, sign) if size == 1 else shared

    def _best(
        self, problem: Problem, size: int, before: Float64[Tensor, "fewer T"] | None
    ) -> tuple[Projection, BiasFit]:
        """The best of all starts, as they are and after the descent."""
        starts = self._starts(problem, size, before)
        candidates = [*starts, *(self._descend(problem, start) for start in starts)]
        fits = [self._fit(problem, biases) for biases in candidates]
        return min(fits, key=lambda fit: fit[0].attained)

    def _starts(
        self, problem: Problem, size: int, before: Float64[Tensor, "fewer T"] | None
    ) -> list[Float64[Tensor, "H T"]]:
        """The parts of either sign, alone or together; from three heads on, one more beside those before."""
        parts = [_biases(problem.rho.clamp(min=0)), _biases((-problem.rho).clamp(min=0))]
        # Weights far below the sink's are hardly normalised at all.
        parts = [part - 20 if self.sink else part for part in parts]
        if size == 1:
            return [part[None] for part in parts]
        if size == 2 or before is None:
            return [torch.stack(parts)]
        ages = torch.arange(problem.length, dtype=torch.float64)
        return [torch.cat([before, extra[None]]) for extra in (0 * ages, -ages / problem.length**0.5)]

    def _descend(self, problem: Problem, start: Float64[Tensor, "H T"]) -> Float64[Tensor, "H T"]:
        """Biases at a local optimum near `start`."""

        def error(flat: numpy.ndarray) -> tuple[float, numpy.ndarray]:
            variable = torch.tensor(flat, requires_grad=True)
            heads = self._heads(variable.reshape(start.shape))
            value = projected_error(problem, heads).clamp(min=1e-16).log()
            (slope,) = torch.autograd.grad(value, variable)
            return float(value.detach()), slope.numpy()

        # Faint weights have no gradient: descend from ones that count.
        raised = start.clamp(min=float(start.max()) - 8)
        bounds = [(_FAINT, -_FAINT)] * start.numel()
        options = {"maxiter": _STEPS}
        found = minimize(
            error, raised.flatten().numpy(), jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        return torch.from_numpy(found.x).reshape(start.shape)

    def _fit(self, problem: Problem, biases: Float64[Tensor, "H T"]) -> tuple[Projection, BiasFit]:
        found = project(problem, self._heads(biases))
        direct = float(found.gains[-1]) if self.feed_through else 0.0
        return found, BiasFit(biases, found.gains[: len(biases)], direct, self.sink)

    def _heads(self, biases: Float64[Tensor, "H T"]) -> Heads:
        return softmax_heads(biases.exp(), sink=self.sink, feed_through=self.feed_through)


def _biases(part: Taps) -> Taps:
    """Scores of a head with this shape; a part of zeros is a plain average."""
    largest = float(part.max())
    return (part / largest).log().clamp(min=_FAINT) if largest > 0 else torch.zeros_like(part)
