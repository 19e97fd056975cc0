r"""In-context regression: from examples of a function in the prompt, predict its next value.

$$y_i = f(x_i) + \varepsilon_i, \qquad x_i \sim N(0, \Sigma)$$

The prompt is x_1, y_1, x_2, y_2, ... x_q, with a new f for each: linear, linear with few nonzero
coordinates, a network of two layers, or linear and drifting. In the spirit of Garg et al. (2022,
arXiv:2208.01066). Everything is scaled so that $E f(x)^2 = 1$ whatever the dimension, the spectrum and the
kind of f.
"""

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float64
from pydantic import Field, model_validator
from torch import Tensor

from recollect.core import NotDefinedError, derive_seed, normal
from recollect.core.shapes import Indices
from recollect.tasks.base import Batch, Split
from recollect.tasks.bayes_regression import (
    Points,
    Prediction,
    Scalars,
    Shown,
    sparse_average,
    stationary_filter,
)
from recollect.tasks.continuous import ContinuousTask
from recollect.tasks.inputs import AutoRegressive
from recollect.tasks.sampling import distinct

Function = Literal["dense", "sparse", "network", "drifting"]


class InContextRegression(ContinuousTask):
    r"""At each x, predict its y from the examples before it.

    Inputs have `dim + 1` channels: an even position holds x and a zero, an odd one zeros and y. The target
    at an x is its y, noise included. Scores are grouped by the number of examples seen.

    Attributes:
        length: positions; half of them, rounded up, hold an x.
        dim: dimension of x.
        function: `dense`: $w \sim N(0, I / dim)$; `sparse`: `nonzeros` coordinates $N(0, 1 / nonzeros)$;
            `network`: $\sum_j a_j \max(0, b_j \cdot x)$, $b_j \sim N(0, I / dim)$,
            $a_j \sim N(0, 2 / hidden)$;
            `drifting`: $w_t = a w_{t-1} + \sqrt{1 - a^2} e_t$ with a = `persistence`.
        spectrum: $\Sigma$ is diagonal with $\lambda_j \propto j^{-spectrum}$ and trace `dim`.
        noise: standard deviation of $\varepsilon$.
        nonzeros: of a sparse w.
        hidden: width of the network.
        persistence: a below 1, from one example to the next.

    Example:
        >>> task = InContextRegression(length=5, dim=2)
        >>> batch = task.batch(seed=0, split="train", start=0, count=3)
        >>> batch.inputs.shape, batch.mask[0].tolist()
        (torch.Size([3, 5, 3]), [True, False, True, False, True])
        >>> task.bayes(batch).shape
        torch.Size([9, 1])
    """

    grouped_by: ClassVar[str | None] = "examples"

    kind: Literal["in_context_regression"] = "in_context_regression"
    length: int = Field(default=41, ge=1)
    dim: int = Field(default=8, ge=1)
    function: Function = "dense"
    spectrum: float = Field(default=0.0, ge=0)
    noise: float = Field(default=0.1, ge=0)
    nonzeros: int = Field(default=2, ge=1)
    hidden: int = Field(default=32, ge=1)
    persistence: float = Field(default=0.98, ge=0, lt=1)

    @model_validator(mode="after")
    def _meaningful(self) -> "InContextRegression":
        if self.function == "sparse" and self.nonzeros > self.dim:
            raise ValueError(f"`nonzeros`={self.nonzeros} must not exceed `dim`={self.dim}")
        return self

    @property
    def guess(self) -> float:
        """NMSE of the prediction 0, the best one without examples."""
        return 1.0

    @property
    def input_size(self) -> int:
        return self.dim + 1

    @property
    def output_size(self) -> int:
        return 1

    def facts(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "length": self.length,
            "guess": self.guess,
            "function": str(self.function),
            "dim": self.dim,
            "spectrum": self.spectrum,
            "noise": self.noise,
        }

    def eigenvalues(self) -> Float64[Tensor, " dim"]:
        r"""The diagonal of $\Sigma$."""
        shares = torch.arange(1, self.dim + 1, dtype=torch.float64) ** -self.spectrum
        return self.dim * shares / shares.sum()

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        points = (length + 1) // 2
        x = normal(derive_seed(seed, "regression-x", split), indices, points * self.dim)
        x = x.unflatten(1, (points, self.dim)) * self.eigenvalues().sqrt().to(indices.device)
        noise = normal(derive_seed(seed, "regression-noise", split), indices, points)
        y = self._values(seed, split, indices, x) + self.noise * noise

        inputs = x.new_zeros(len(indices), 2 * points, self.dim + 1)
        inputs[:, 0::2, :-1], inputs[:, 1::2, -1] = x, y
        places = torch.arange(2 * points, device=indices.device).expand(len(indices), -1)
        mask, groups = places % 2 == 0, places // 2
        targets = y.repeat_interleave(2, dim=1)[..., None] * mask[..., None]
        return Batch(
            *(part[:, :length].contiguous() for part in (inputs.to(dtype), targets.to(dtype), mask, groups))
        )

    def bayes(self, batch: Batch) -> Float64[Tensor, "asked 1"]:
        """The best predictions at the asked positions: no model has a smaller expected squared error.

        Raises:
            NotDefinedError: for a network, whose posterior mean has no closed form; for a sparse w without
                noise, or with too many choices of its coordinates.
        """
        inputs = batch.inputs.double()
        return self.predict(inputs[:, 0::2, :-1], inputs[:, 1::2, -1]).mean.flatten()[:, None]

    def reference(self, batch: Batch) -> Float64[Tensor, "asked outputs"] | None:
        """What `bayes` answers, to be scored beside a model; None where it is not defined.

        Its score on the same examples is the least that any model can expect: noise that no model knows, and
        what the examples before do not tell of the function.
        """
        try:
            return self.bayes(batch)
        except NotDefinedError:
            return None

    def predict(self, x: Points, y: Shown) -> Prediction:
        """Posterior mean and variance of f at each x, from the examples before it (see `bayes`)."""
        variances = {"prior_variance": 1 / self.dim, "noise_variance": self.noise**2}
        match self.function:
            case "dense":
                return stationary_filter(x, y, **variances)
            case "drifting":
                return stationary_filter(x, y, persistence=self.persistence, **variances)
            case "sparse":
                variances["prior_variance"] = 1 / self.nonzeros
                return sparse_average(x, y, nonzeros=self.nonzeros, **variances)
            case "network":
                raise NotDefinedError("the best prediction of a network's values has no closed form.")

    def _values(self, seed: int, split: Split, indices: Indices, x: Points) -> Scalars:
        weights = derive_seed(seed, "regression-w", split)
        match self.function:
            case "dense":
                w = normal(weights, indices, self.dim) / self.dim**0.5
                return torch.einsum("bnd,bd->bn", x, w)
            case "sparse":
                chosen = distinct(derive_seed(weights, "support"), indices, self.nonzeros, self.dim)
                w = x.new_zeros(len(x), self.dim)
                w.scatter_(1, chosen, normal(weights, indices, self.nonzeros) / self.nonzeros**0.5)
                return torch.einsum("bnd,bd->bn", x, w)
            case "drifting":
                law = AutoRegressive(coefficient=self.persistence)
                w = law.draw(weights, split, indices, x.shape[1], self.dim) / self.dim**0.5
                return torch.einsum("bnd,bnd->bn", x, w)
            case "network":
                first = normal(weights, indices, self.hidden * self.dim).unflatten(1, (self.hidden, self.dim))
                second = normal(derive_seed(weights, "second"), indices, self.hidden)
                active = torch.einsum("bnd,bhd->bnh", x, first / self.dim**0.5).relu()
                return torch.einsum("bnh,bh->bn", active, second * (2 / self.hidden) ** 0.5)
