r"""Targets of a memory function: `y_t = f(M sum_{s=0..t} rho(s) x_{t-s}) + noise`.

In the spirit of the synthetic targets of Jiang, Bao, Wang, Li (2025), arXiv:2506.05678. With white
input, `f` the identity and unit-norm rho, the target's power at late positions is 1 whatever the
family and its alpha, so errors can be compared across them.
"""

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Float64
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from recollect.core import causal_convolution, derive_seed, normal
from recollect.core.shapes import Indices, Targets
from recollect.memory import MemoryFunction, effective_taps, energy_horizon
from recollect.tasks.base import Batch, Split
from recollect.tasks.inputs import Gaussian, InputLaw
from recollect.tasks.sequence import SequenceTask

NONLINEARITIES = {
    "identity": lambda y: y,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "square": torch.square,
    "sign": torch.sign,
}


class FunctionalTask(SequenceTask):
    r"""Predict `y_t` from `x_0 .. x_t`.

    Attributes:
        memory: the memory function rho.
        length: T, the training length in positions.
        channels: input channels; each is filtered by the same rho.
        mixing: matrix M, one row per output channel, applied to the filtered channels; identity if absent.
        input: law of the input (zero mean, unit variance).
        output: pointwise nonlinearity f.
        noise: standard deviation of white Gaussian noise added to the targets of every split.
        normalisation: norm of rho over the training length that is set to 1; longer tests keep its scale.
        dt: lag between two positions, in the units of alpha.

    Cost: O(T log T) an example, by FFT in float64.

    Example:
        >>> task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 2}, "length": 5})
        >>> batch = task.batch(seed=0, split="train", start=0, count=3)
        >>> torch.allclose(batch.targets[:, 2:], batch.inputs[:, :-2], atol=1e-6)
        True
    """

    criterion: ClassVar[str] = "nmse"
    is_tokens: ClassVar[bool] = False
    asks_everywhere: ClassVar[bool] = True

    kind: Literal["functional"] = "functional"
    memory: MemoryFunction
    length: PositiveInt = 64
    channels: PositiveInt = 1
    mixing: tuple[tuple[float, ...], ...] | None = None
    input: InputLaw = Field(default_factory=Gaussian)
    output: Literal["identity", "tanh", "relu", "square", "sign"] = "identity"
    noise: NonNegativeFloat = 0.0
    normalisation: Literal["none", "l1", "l2"] = "l2"
    dt: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _meaningful(self) -> "FunctionalTask":
        if self.mixing is not None and any(len(row) != self.channels for row in self.mixing):
            raise ValueError(f"`mixing` needs rows of {self.channels} numbers, one for each input channel")
        if not self.memory.values(self.length, dt=self.dt).any():
            raise ValueError(
                f"{self.memory.label} is zero at every lag below length={self.length}: "
                f"take a larger `length` or a smaller alpha"
            )
        return self

    @property
    def input_size(self) -> int:
        return self.channels

    @property
    def output_size(self) -> int:
        return self.channels if self.mixing is None else len(self.mixing)

    @property
    def label(self) -> str:
        """The task in tables and charts: its memory function, and whatever differs from the default."""
        default = type(self).model_construct(memory=self.memory)
        extra = [f"length={self.length}"] if self.length != default.length else []
        extra += [] if self.input == Gaussian() else [self.input.label]
        named = sorted(set(type(self).model_fields) - {"kind", "memory", "length", "input"})
        extra += [f"{n}={getattr(self, n)}" for n in named if getattr(self, n) != getattr(default, n)]
        return ", ".join([self.memory.label, *extra])

    def facts(self) -> dict[str, Any]:
        """Family, strength, length, and how far back the energy of rho lies."""
        taps = self.taps()
        return {
            "kind": self.kind,
            "family": self.memory.family,
            "alpha": getattr(self.memory, "alpha", None),
            "length": self.length,
            "h50": energy_horizon(taps, 0.5),
            "h95": energy_horizon(taps, 0.95),
            "effective_taps": effective_taps(taps),
        }

    def taps(self, length: int | None = None) -> Float64[Tensor, " T"]:
        """rho at lags 0..length-1, scaled so that its norm over the *training* length is 1."""
        values = self.memory.values(length or self.length, dt=self.dt)
        trained = self.memory.values(self.length, dt=self.dt)
        order = {"none": None, "l1": 1, "l2": 2}[self.normalisation]
        return values if order is None else values / torch.linalg.vector_norm(trained, order)

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        x = self.input.draw(derive_seed(seed, "inputs", split), split, indices, length, self.channels)
        targets = self.targets(x)
        if self.noise:
            shape = (length, self.output_size)
            draws = normal(derive_seed(seed, "noise", split), indices, length * self.output_size)
            targets = targets + self.noise * draws.unflatten(1, shape)
        mask = torch.ones(len(indices), length, dtype=torch.bool, device=indices.device)
        return Batch(x.to(dtype), targets.to(dtype), mask)

    def loss(self, outputs: Targets, batch: Batch) -> Float[Tensor, ""]:
        """Mean squared error over the positions that count."""
        errors = (outputs - batch.targets).square().mean(-1)
        return (errors * batch.mask).sum() / batch.mask.sum()

    def targets(self, x: Float64[Tensor, "B T inputs"]) -> Float64[Tensor, "B T outputs"]:
        """Noise-free targets of given inputs, by one FFT a sequence."""
        rho = self.taps(x.shape[1]).to(x.device)
        filtered = causal_convolution(x, rho[:, None])
        if self.mixing is not None:
            filtered = filtered @ filtered.new_tensor(self.mixing).mT
        return NONLINEARITIES[self.output](filtered)
