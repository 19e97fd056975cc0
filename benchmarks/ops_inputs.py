"""Arguments of any op at any size, made from the names and shapes of its sample arguments."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recollect.ops import OPS

SAMPLE_LENGTH = 7
NUM_POLES = 4


@dataclass(frozen=True)
class Sizes:
    """Sizes of a run; values are as wide as keys."""

    batch: int = 1
    length: int = 2048
    heads: int = 4
    dim: int = 64

    def shape(self, sample: torch.Size) -> list[int]:
        """The shape of an argument whose sample has `sample`: there, the size of an axis is its name."""
        axes = {2: self.batch, 7: self.length, 14: 2 * self.length, 3: self.heads, 6: 2 * self.dim}
        return [axes.get(size, self.dim) for size in sample]


Draw = Callable[[torch.Generator, list[int]], Tensor]


def _normal(rng: torch.Generator, shape: list[int]) -> Tensor:
    return torch.randn(shape, generator=rng)


def _unit(rng: torch.Generator, shape: list[int]) -> Tensor:
    return torch.nn.functional.normalize(_normal(rng, shape), dim=-1)


def _between(low: float, high: float) -> Draw:
    return lambda rng, shape: low + (high - low) * torch.rand(shape, generator=rng)


def _poles(rng: torch.Generator, shape: list[int]) -> Tensor:
    shape = [shape[0], NUM_POLES]
    return torch.polar(_between(0.9, 1.0)(rng, shape), _between(0.0, 1.0)(rng, shape))


DRAWS: dict[str, Draw] = {
    "q": _unit,
    "k": _unit,
    "v": _normal,
    "r": _unit,
    "g": _between(-0.02, 0.0),
    "log_decay": _between(-0.02, 0.0),
    "beta": _between(0.1, 0.9),
    "eta": _between(0.001, 0.01),
    "momentum": _between(0.1, 0.9),
    "ridge": _between(0.5, 1.5),
    "poles": _poles,
    "residues": lambda rng, shape: torch.randn(shape[0], NUM_POLES, dtype=torch.complex64, generator=rng),
    "w1": lambda rng, shape: _normal(rng, shape) / shape[-2] ** 0.5,
    "w2": lambda rng, shape: _normal(rng, shape) / shape[-2] ** 0.5,
    "b1": lambda rng, shape: torch.zeros(shape),
    "b2": lambda rng, shape: torch.zeros(shape),
    "ln_weight": lambda rng, shape: torch.ones(shape),
    "ln_bias": lambda rng, shape: torch.zeros(shape),
}


def arguments(
    name: str, sizes: Sizes, *, dtype: torch.dtype = torch.float32, device: str = "cpu", seed: int = 0
) -> dict[str, Tensor]:
    """What the op must be given (and retention's decay), drawn in float32 for every `dtype`."""
    rng = torch.Generator().manual_seed(seed)
    samples = OPS[name].sample_inputs(rng, SAMPLE_LENGTH)
    drawn = {x: DRAWS[x](rng, sizes.shape(samples[x].shape)) for x in _required(name)}
    return {x: value.to(device, matching(value, dtype)) for x, value in drawn.items()}


def matching(value: Tensor, dtype: torch.dtype) -> torch.dtype:
    """`dtype`, or the complex one of its precision for a complex tensor."""
    return dtype.to_complex() if value.is_complex() else dtype


def drawable(name: str) -> bool:
    """Whether there is a rule for each argument of the op."""
    return set(_required(name)) <= set(DRAWS)


def has_fixed_state(name: str) -> bool:
    """Whether the state does not grow with the length."""
    sizes = []
    for length in (SAMPLE_LENGTH, 3 * SAMPLE_LENGTH):
        inputs = OPS[name].sample_inputs(torch.Generator().manual_seed(0), length)
        sizes.append(_numel(OPS[name].op(**inputs, output_final_state=True)[1]))
    return sizes[0] == sizes[1]


def _required(name: str) -> list[str]:
    parameters = inspect.signature(OPS[name].op).parameters.values()
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD or p.name == "log_decay"]


def _numel(state: Any) -> int:
    return state.numel() if isinstance(state, Tensor) else sum(map(_numel, state))
