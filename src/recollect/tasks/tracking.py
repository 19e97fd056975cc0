r"""Regression whose coefficients move: associations that a regressor has to follow.

$$W_t = a_t W_{t-1} + \sqrt{s_t}\, E_t, \qquad v_t = W_t^\top k_t + \sigma \varepsilon_t$$

with Gaussian $E_t$ and $\varepsilon_t$, and keys that are correlated over their channels. What is asked at
each position is the noise-free value of the next key, before its association is learned. Coefficients that
switch have $a_t = 0$, $s_t = 1$ at a switch: everything is a linear Gaussian system, and the Kalman filter
that knows $a_t$ and $s_t$ is the best there is.
"""

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float64
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from recollect.core import Config, derive_seed, normal, uniform
from recollect.core.shapes import Indices
from recollect.tasks.labels import label_of
from recollect.tasks.untrained import UntrainedTask

CHUNK = 64
"""Examples drawn and read at once."""


class Motion(NamedTuple):
    """How the coefficients move into each position.

    Attributes:
        kept: `a_t`, the share that stays.
        added: `s_t`, the variance of what is new in each coefficient.
    """

    kept: Float64[Tensor, "B T"]
    added: Float64[Tensor, "B T"]


class Constant(Config):
    """Coefficients that stay as they were drawn."""

    law: Literal["constant"] = "constant"

    @property
    def label(self) -> str:
        return "constant"

    def motion(self, seed: int, indices: Indices, length: int) -> Motion:
        kept = torch.ones(len(indices), length, dtype=torch.float64, device=indices.device)
        return _from_nothing(kept, torch.zeros_like(kept))

    def variogram(self, lags: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        return torch.zeros_like(lags)


class Switch(Config):
    """Coefficients that are redrawn.

    Attributes:
        every: positions between switches, or
        rate: probability of a switch at each position.
    """

    law: Literal["switch"] = "switch"
    every: PositiveInt | None = None
    rate: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Switch":
        if (self.every is None) == (self.rate is None):
            raise ValueError("give `every` (positions between switches) or `rate` (their probability)")
        return self

    @property
    def label(self) -> str:
        return f"switch(rate={self.rate:g})" if self.every is None else f"switch(every={self.every})"

    def motion(self, seed: int, indices: Indices, length: int) -> Motion:
        if self.every is None:
            assert self.rate is not None
            switches = (uniform(seed, indices, length) < self.rate).double()
        else:
            positions = torch.arange(length, device=indices.device)
            switches = (positions % self.every == 0).double().expand(len(indices), -1)
        return _from_nothing(1 - switches, switches.clone())

    def variogram(self, lags: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        if self.every is None:
            assert self.rate is not None
            return 2 - 2 * (1 - self.rate) ** lags
        return 2 * (lags / self.every).clamp(max=1)


class Drift(Config):
    """Coefficients that forget themselves while their variance stays 1: an AR(1) process.

    Attributes:
        memory: positions after which their correlation is `1 / e`.
    """

    law: Literal["drift"] = "drift"
    memory: PositiveFloat = 100.0

    @property
    def label(self) -> str:
        return f"drift(memory={self.memory:g})"

    def motion(self, seed: int, indices: Indices, length: int) -> Motion:
        kept = torch.full((len(indices), length), -1 / self.memory, dtype=torch.float64).exp()
        kept = kept.to(indices.device)
        return _from_nothing(kept, 1 - kept**2)

    def variogram(self, lags: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        return -2 * torch.expm1(-lags / self.memory)


class Walk(Config):
    """Coefficients that walk at random, from a start of variance 1.

    Attributes:
        step: standard deviation of a step of one coefficient.
    """

    law: Literal["walk"] = "walk"
    step: PositiveFloat = 0.05

    @property
    def label(self) -> str:
        return f"walk(step={self.step:g})"

    def motion(self, seed: int, indices: Indices, length: int) -> Motion:
        kept = torch.ones(len(indices), length, dtype=torch.float64, device=indices.device)
        return _from_nothing(kept, torch.full_like(kept, self.step**2))

    def variogram(self, lags: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
        return lags * self.step**2


DriftLaw = Annotated[Constant | Switch | Drift | Walk, Field(discriminator="law")]
"""How coefficients move. `motion` gives the system itself, `variogram` the mean of
`(W_t - W_{t-lag})^2` for one coefficient."""


class Tracked(NamedTuple):
    """Examples of a tracking task.

    Attributes:
        k: keys of mean squared norm 1.
        v: values.
        signal: values without their noise, `W_t^T k_t`.
        motion: the system that drew them.
    """

    k: Float64[Tensor, "B T K"]
    v: Float64[Tensor, "B T V"]
    signal: Float64[Tensor, "B T V"]
    motion: Motion


class TrackingTask(UntrainedTask):
    r"""Follow a regression whose coefficients move; nothing is trained.

    Coefficients have variance 1 (those that walk, at the start), so values have a signal of variance about
    1 in each channel.

    Attributes:
        drift: how coefficients move.
        length: associations of an example.
        key_dim: key channels, and value channels.
        keys: `sphere`, of norm 1 each (delta rules need their step times the squared norm below 2), or
            `gaussian`, of norm 1 in the mean square.
        correlation: c of the keys' covariance $c^{|i-j|}$ between channels, before norms are taken.
        noise: standard deviation of the noise of values.
        decays: at which weighted least squares is solved; the best counts as the reference.
        burn_in: positions at the start that are left out of means (not of curves).
        examples: independent sequences.

    Cost: `T K V` normal draws an example.

    Example:
        >>> task = TrackingTask.parse({"drift": {"law": "switch", "every": 4}, "length": 8, "key_dim": 2})
        >>> task.label, task.draw(seed=0, start=0, count=3).v.shape
        ('tracking(switch(every=4), length=8, key_dim=2)', torch.Size([3, 8, 2]))
    """

    criterion: ClassVar[str] = "tracking_error"

    kind: Literal["tracking"] = "tracking"
    drift: DriftLaw = Field(default_factory=Drift)
    length: Annotated[int, Field(ge=3)] = 256
    key_dim: PositiveInt = 8
    keys: Literal["sphere", "gaussian"] = "sphere"
    correlation: Annotated[float, Field(gt=-1, lt=1)] = 0.0
    noise: PositiveFloat = 0.3
    decays: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (*(1 - 2.0**-j for j in range(1, 9)), 1.0)
    burn_in: NonNegativeInt = 0
    examples: Annotated[int, Field(ge=2)] = 256

    @model_validator(mode="after")
    def _meaningful(self) -> "TrackingTask":
        if not self.decays:
            raise ValueError("`decays` needs at least one decay")
        if self.burn_in >= self.length - 1:
            raise ValueError(f"`burn_in` must leave positions: below length - 1 = {self.length - 1}")
        return self

    @property
    def label(self) -> str:
        """How coefficients move, and whatever differs from the defaults."""
        rest = label_of(self, "drift", "decays").removeprefix("tracking").strip("()")
        return f"tracking({', '.join([self.drift.label, *([rest] if rest else [])])})"

    @property
    def dim(self) -> int:
        """Width of a layer with one head that has keys and values of this size."""
        return self.key_dim

    @property
    def steps(self) -> int:
        """Chunks that a measurement reads."""
        return -(-self.examples // CHUNK)

    @property
    def cost(self) -> float:
        """Associations read."""
        return float(self.examples * self.length)

    def facts(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "criterion": self.criterion,
            "length": self.length,
            "drift": self.drift.law,
            "motion": self.drift.label,
            "key_dim": self.key_dim,
            "keys": self.keys,
            "noise": self.noise,
            "correlation": self.correlation,
        }

    def draw(self, seed: int, start: int, count: int, *, device: torch.device | str = "cpu") -> Tracked:
        """Examples `start` to `start + count`; each depends on seed and index alone."""
        T, K = self.length, self.key_dim
        indices = torch.arange(start, start + count, device=device)
        motion = self.drift.motion(derive_seed(seed, "tracking-switches", "test"), indices, T)
        news = normal(derive_seed(seed, "tracking-coefficients", "test"), indices, T * K * K).view(
            count, T, K, K
        )
        noise = normal(derive_seed(seed, "tracking-noise", "test"), indices, T * K).view(count, T, K)
        k = self._keys(normal(derive_seed(seed, "tracking-keys", "test"), indices, T * K).view(count, T, K))
        coefficients, signal = torch.zeros_like(news[:, 0]), []
        for k_t, news_t, kept, added in zip(
            k.unbind(1), news.unbind(1), motion.kept.unbind(1), motion.added.unbind(1), strict=True
        ):
            coefficients = kept[:, None, None] * coefficients + added.sqrt()[:, None, None] * news_t
            signal.append(torch.einsum("bkv,bk->bv", coefficients, k_t))
        values = torch.stack(signal, dim=1)
        return Tracked(k, values + self.noise * noise, values, motion)

    def forgetting_error(self, decay: float) -> float | None:
        r"""Squared error of least squares with weights that decay, by theory: noise against what moved.

        With weights $w_j \propto \gamma^j$, $j < t$, that sum to 1, and $D(j) = E (W_t - W_{t-j})^2$,

        $$\frac{\sigma^2 K \sum_j w_j^2 + \sum_j w_j D(j + 1) - \frac12 \sum_{ij} w_i w_j D(i - j)}
        {1 - K \sum_j w_j^2} ,$$

        averaged over the positions that count. The effective sample is $1 / \sum_j w_j^2$, which tends to
        $(1 + \gamma) / (1 - \gamma)$; for the random walk the second part tends to
        $s / (1 - \gamma^2)$: the trade-off of adaptive filters with forgetting (Eleftheriou and Falconer
        1986; Sayed 2008, *Adaptive Filters*, on tracking). Weighted second moments of the keys are taken as
        their mean, with the denominator as the first correction: good for slow drift and an effective sample
        of several times `K`. `None` where some position that counts has less than `2 K`.

        Example:
            >>> task = TrackingTask.parse({"drift": {"law": "constant"}, "noise": 1, "burn_in": 253})
            >>> round(task.forgetting_error(1.0) / (8 / (254 - 8) + 8 / (255 - 8)), 9)
            0.5
        """
        T, K = self.length, self.key_dim
        reads = torch.arange(self.burn_in + 1, T, dtype=torch.float64)[:, None]
        lags = torch.arange(1, T, dtype=torch.float64)
        moved = self.drift.variogram(lags)
        sums = (decay ** (lags - 1)).cumsum(0)[self.burn_in :, None]
        squares = (decay ** (2 * (lags - 1))).cumsum(0)
        concentration = squares[self.burn_in :, None] / sums**2
        if 2 * K * float(concentration.max()) > 1:
            return None
        newest = (decay ** (lags - 1) / sums).where(lags <= reads, 0.0) @ moved
        # The sum over j of w_j w_{j+lag} has reads - lag terms.
        terms = (reads - lags).long().clamp(min=1) - 1
        pairs = (decay**lags * squares[terms] / sums**2).where(lags < reads, 0.0) @ moved
        noise = self.noise**2 * K * concentration[:, 0]
        return float(((noise + newest - pairs) / (1 - K * concentration[:, 0])).mean())

    def _keys(self, white: Float64[Tensor, "B T K"]) -> Float64[Tensor, "B T K"]:
        channel = torch.arange(self.key_dim, dtype=torch.float64, device=white.device)
        covariance = self.correlation ** (channel[:, None] - channel).abs()
        k = white @ torch.linalg.cholesky(covariance).mT
        return torch.nn.functional.normalize(k, dim=-1) if self.keys == "sphere" else k / self.key_dim**0.5


def _from_nothing(kept: Float64[Tensor, "B T"], added: Float64[Tensor, "B T"]) -> Motion:
    """A motion whose first position draws coefficients of variance 1."""
    kept, added = kept.clone(), added.clone()
    kept[:, 0], added[:, 0] = 0.0, 1.0
    return Motion(kept, added)
