"""All parameters of a model as one flat vector, and back.

A flat vector makes the optimizer a handful of tensor operations however many parameters there are,
a checkpoint one clone, and a stack of models one matrix `(R, P)`.
"""

from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recollect.core import ConfigError

Flat = Float[Tensor, " P"]


@dataclass(frozen=True)
class ParameterLayout:
    """Names and shapes of the trainable parameters, in the order in which the flat vector holds them."""

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    is_complex: tuple[bool, ...]

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        """The layout of a model's parameters that require a gradient (tied ones once)."""
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        if not named:
            raise ConfigError("the model has no trainable parameters; nothing can be learned.")
        return cls(
            names=tuple(name for name, _ in named),
            shapes=tuple(p.shape for _, p in named),
            is_complex=tuple(p.is_complex() for _, p in named),
        )

    def flatten(self, model: nn.Module, dtype: torch.dtype) -> Flat:
        """A copy of the model's parameters; a complex one as its real and imaginary parts."""
        parameters = dict(model.named_parameters())
        parts = (parameters[name].detach() for name in self.names)
        return torch.cat(
            [(torch.view_as_real(p) if p.is_complex() else p).flatten().to(dtype) for p in parts]
        )

    def unflatten(self, flat: Flat) -> dict[str, Tensor]:
        """The parts of `flat` under the parameters' names, differentiable in `flat`."""
        # One split has one concatenation as its backward; slices would each write a full-size zero.
        parts = flat.split([self._size(i) for i in range(len(self.names))])
        return {
            # Views as complex begin at even places only.
            name: torch.view_as_complex(part.view(*shape, 2).clone()) if is_complex else part.view(shape)
            for name, part, shape, is_complex in zip(
                self.names, parts, self.shapes, self.is_complex, strict=True
            )
        }

    def matrices(self) -> Bool[Tensor, " P"]:
        """True where an element belongs to a parameter with two axes or more (those are decayed)."""
        return torch.cat(
            [torch.full((self._size(i),), len(shape) >= 2) for i, shape in enumerate(self.shapes)]
        )

    @torch.no_grad()
    def load(self, flat: Flat, model: nn.Module) -> None:
        """Write `flat` into the model's own parameters."""
        parameters = dict(model.named_parameters())
        for name, value in self.unflatten(flat).items():
            parameters[name].copy_(value)

    def _size(self, i: int) -> int:
        return self.shapes[i].numel() * (2 if self.is_complex[i] else 1)
