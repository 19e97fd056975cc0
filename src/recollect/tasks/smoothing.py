r"""A function of one variable, learned from noisy pairs: what kind of smoother a layer is.

$$v_i = f(x_i) + \sigma \varepsilon_i, \qquad x_i \in [-1, 1], \qquad k_i = r_i\, u(x_i) \in \mathbb{R}^2$$

Keys lie on an arc of the circle, $u(x) = (\sin x, \cos x)$, with norms $r_i$ of their own, or on a straight
line, $u(x) = (x, 1)$. QK norm takes the norms away: on the circle an inner product is a distance, and softmax
attention is a local mean. Without it long keys count for every query. At the ends of the interval all
neighbours are on one side.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float64
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from recollect.core import derive_seed, normal, uniform
from recollect.tasks.untrained import UntrainedTask

Pointwise = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, tuple[Pointwise, Pointwise, Pointwise]] = {
    "linear": (lambda x: x, torch.ones_like, torch.zeros_like),
    "quadratic": (torch.square, lambda x: 2 * x, lambda x: torch.full_like(x, 2.0)),
    "sine": (
        lambda x: (2.5 * x).sin(),
        lambda x: 2.5 * (2.5 * x).cos(),
        lambda x: -6.25 * (2.5 * x).sin(),
    ),
}
"""Functions with their first two derivatives."""

REGIONS = ("boundary", "interior", "all")


class Design(NamedTuple):
    """Where a function is looked at, and what was seen.

    Attributes:
        x: points of the pairs.
        keys: of the pairs.
        signal: the function at the points.
        noise: independent draws of the noise of all values, the second half of them minus the first.
    """

    x: Float64[Tensor, "B n"]
    keys: Float64[Tensor, "B n 2"]
    signal: Float64[Tensor, "B n"]
    noise: Float64[Tensor, "B draws n"]


class SmoothingTask(UntrainedTask):
    r"""Estimate a function from noisy pairs, at points all over its interval; nothing is trained.

    Bandwidths are in units of x: a layer's queries and keys are scaled so that its kernel falls to
    $e^{-1/2}$ at that distance (for keys of norm 1, or on a line).

    Attributes:
        function: `linear`, `quadratic` or `sine` (`sin 2.5x`, which has slope and curvature at both ends).
        keys: on an `arc`, or on a `line`.
        norm_spread: standard deviation of the logarithm of the norms of keys on the arc; 0 is norm 1.
        design: points of the pairs: a regular `grid`, or `random` (uniform).
        noise: standard deviation of the noise.
        pairs: numbers of pairs.
        bandwidths: widths of the kernel.
        num_queries: points at which the function is asked for, evenly from -1 to 1.
        draws: of the noise for each design, an even number: they come in pairs of opposite sign, so that the
            mean answer of a layer that is linear in the values has no noise at all.
        num_designs: sets of points, norms and noise.

    Example:
        >>> task = SmoothingTask(pairs=(16,), draws=4)
        >>> task.label, task.draw(seed=0, pairs=16).noise.shape
        ('smoothing(pairs=[16], draws=4)', torch.Size([1, 4, 16]))
    """

    criterion: ClassVar[str] = "smoothing_error"

    kind: Literal["smoothing"] = "smoothing"
    function: Literal["linear", "quadratic", "sine"] = "sine"
    keys: Literal["arc", "line"] = "arc"
    norm_spread: NonNegativeFloat = 0.0
    design: Literal["grid", "random"] = "grid"
    noise: NonNegativeFloat = 0.3
    pairs: tuple[Annotated[int, Field(ge=2)], ...] = (32, 128, 512)
    bandwidths: tuple[PositiveFloat, ...] = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.8)
    num_queries: Annotated[int, Field(ge=5)] = 41
    draws: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    num_designs: PositiveInt = 1

    @model_validator(mode="after")
    def _meaningful(self) -> "SmoothingTask":
        if not self.pairs or not self.bandwidths:
            raise ValueError("`pairs` and `bandwidths` need at least one entry each")
        if self.norm_spread and self.keys == "line":
            raise ValueError("`norm_spread` is of keys on the arc; those on a line have the norms of (x, 1)")
        return self

    @property
    def dim(self) -> int:
        """Width of a layer whose only head has keys of this task."""
        return 2

    @property
    def steps(self) -> int:
        """Settings of a measurement: numbers of pairs times bandwidths."""
        return len(self.pairs) * len(self.bandwidths)

    @property
    def cost(self) -> float:
        """Associations read, once for each query."""
        reads = sum(self.pairs) * len(self.bandwidths) * self.num_queries
        return float(reads * self.num_designs)

    def facts(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "criterion": self.criterion, "function": self.function,
            "keys": self.keys if self.keys == "line" else f"arc, norms {self.norm_spread:g}",
            "noise": self.noise, "key_dim": 2, "design": self.design,
        }  # fmt: skip

    def draw(self, seed: int, pairs: int, *, device: torch.device | str = "cpu") -> Design:
        """All designs with this many pairs, in random order; design i depends on seed and i alone."""
        indices = torch.arange(self.num_designs, device=device)
        places = uniform(derive_seed(seed, "smoothing-points", "test"), indices, pairs)
        x = 2 * places - 1
        if self.design == "grid":
            grid = torch.linspace(-1, 1, pairs, dtype=torch.float64, device=device)
            x = grid[places.argsort(dim=1)]
        norms = normal(derive_seed(seed, "smoothing-norms", "test"), indices, pairs)
        keys = (self.norm_spread * norms).exp()[..., None] * self.directions(x)
        half = normal(derive_seed(seed, "smoothing-noise", "test"), indices, pairs * self.draws // 2)
        half = self.noise * half.unflatten(1, (self.draws // 2, pairs))
        return Design(x, keys, self.truth(x), torch.cat([half, -half], dim=1))

    def directions(self, x: Float64[Tensor, "*B n"]) -> Float64[Tensor, "*B n 2"]:
        """`u(x)`, which queries are at."""
        if self.keys == "line":
            return torch.stack([x, torch.ones_like(x)], dim=-1)
        return torch.stack([x.sin(), x.cos()], dim=-1)

    def queries(self) -> Float64[Tensor, " n"]:
        """Where the function is asked for."""
        return torch.linspace(-1, 1, self.num_queries, dtype=torch.float64)

    def truth(self, x: Float64[Tensor, "*B"]) -> Float64[Tensor, "*B"]:
        """The function itself."""
        return FUNCTIONS[self.function][0](x)

    def region(self, name: str) -> Tensor:
        """The queries that belong to a region: both ends; the middle half; all."""
        x = self.queries().abs()
        return {"boundary": x == 1, "interior": x <= 0.5, "all": x <= 1}[name]

    def local_theory(
        self, degree: Literal[0, 1], pairs: int, bandwidth: float, region: str
    ) -> dict[str, float]:
        r"""Leading terms of bias and variance of local polynomials with a Gaussian kernel.

        With the moments $s_j = \int u^j \phi$ and $\nu_j = \int u^j \phi^2$ over the side where there are
        pairs, n of them on a regular grid of density p = 1/2, a local constant has

        $$h f' \frac{s_1}{s_0} \ \text{at a boundary},\quad \frac{h^2}{2} f'' \ \text{inside}, \qquad
        \frac{\sigma^2}{n p h} \frac{\nu_0}{s_0^2} ,$$

        and a local linear fit

        $$\frac{h^2}{2} f'' \frac{s_2^2 - s_1 s_3}{s_0 s_2 - s_1^2}, \qquad
        \frac{\sigma^2}{n p h} \frac{s_2^2 \nu_0 - 2 s_1 s_2 \nu_1 + s_1^2 \nu_2}{(s_0 s_2 - s_1^2)^2} ,$$

        for bandwidths that are small and still span many pairs (Fan and Gijbels 1996, section 3.2). A
        constant is off by O(h) at a boundary where f has a slope, and a line by O(h^2) everywhere.

        Args:
            degree: 0 for a local constant, 1 for a local linear fit.
            pairs: how many.
            bandwidth: h.
            region: `boundary` or `interior`; squares are averaged over its queries.

        Example:
            >>> task = SmoothingTask(function="linear")
            >>> round(task.local_theory(0, 100, 0.1, "boundary")["bias_squared"] ** 0.5, 4)  # h sqrt(2 / pi)
            0.0798
        """
        x = self.queries()[self.region(region)]
        slope, curvature = (derivative(x) for derivative in FUNCTIONS[self.function][1:])
        half = region == "boundary"
        s0, s1, s2, s3 = (
            (0.5, (2 * math.pi) ** -0.5, 0.5, 2 * (2 * math.pi) ** -0.5) if half else (1, 0, 1, 0)
        )
        root = math.sqrt(math.pi)
        v0, v1, v2 = (1 / (4 * root), 1 / (4 * math.pi), 1 / (8 * root)) if half else (1 / (2 * root), 0, 0)
        span = s0 * s2 - s1**2
        if degree == 0:
            bias = bandwidth * slope * s1 / s0 if half else bandwidth**2 * curvature / 2
            factor = v0 / s0**2
        else:
            bias = bandwidth**2 / 2 * curvature * (s2**2 - s1 * s3) / span
            factor = (s2**2 * v0 - 2 * s1 * s2 * v1 + s1**2 * v2) / span**2
        variance = self.noise**2 * factor / (pairs * 0.5 * bandwidth)
        return {"bias_squared": float(bias.square().mean()), "variance": variance}
