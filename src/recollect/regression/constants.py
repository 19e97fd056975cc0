"""The numbers of a regression that do not depend on the input."""

import math

import torch
from torch import Tensor, nn

from recollect.regression.function_classes import MLP
from recollect.regression.memory_weights import memory_weights
from recollect.regression.optimizers import Exact, OneStep
from recollect.regression.problem import Composition, Constants, HeadSizes


class RegressionConstants(nn.Module):
    """Ridge, bandwidth, memory function, start of a network and bonus, as far as a composition has them."""

    log_ridge: Tensor | None
    log_bandwidth: Tensor | None
    poles: Tensor | None
    residues: Tensor | None
    taps: Tensor | None

    def __init__(self, composition: Composition, sizes: HeadSizes) -> None:
        super().__init__()
        optimizer, similarity = composition.optimizer, composition.similarity
        H, K = sizes.num_heads, sizes.key_dim
        exact = isinstance(optimizer, Exact)
        ridge = torch.full((H, K), math.log(optimizer.ridge)) if exact else None
        keep(self, "log_ridge", ridge, learned=exact and optimizer.learned)
        bandwidth = None if similarity is None else torch.full((H,), math.log(similarity.bandwidth))
        keep(self, "log_bandwidth", bandwidth, learned=similarity is not None and similarity.learned)
        has_bonus = isinstance(optimizer, OneStep) and optimizer.bonus
        self.bonus = nn.Parameter(torch.ones(H, K)) if has_bonus else None
        memory = None if composition.memory is None else memory_weights(composition.memory)
        self.memory_description = "" if memory is None else memory.description
        found = None if memory is None else memory.sum
        self.register_buffer("poles", None if found is None else torch.view_as_real(found.poles))
        self.register_buffer("residues", None if found is None else torch.view_as_real(found.residues))
        self.register_buffer("taps", memory.taps if memory is not None and found is None else None)
        self.start = nn.ParameterList(_network_start(composition, sizes))
        is_normed = isinstance(composition.function_class, MLP) and composition.function_class.layer_norm
        shape = (H, sizes.value_dim)
        self.norm = nn.ParameterList([torch.ones(shape), torch.zeros(shape)] if is_normed else [])

    def forward(self, like: Tensor) -> Constants:
        """The constants, in the dtype of `like`."""
        return Constants(
            ridge=None if self.log_ridge is None else self.log_ridge.exp(),
            bandwidth=None if self.log_bandwidth is None else self.log_bandwidth.exp(),
            poles=None if self.poles is None else torch.complex(*self.poles.to(like).unbind(-1)),
            residues=None if self.residues is None else torch.complex(*self.residues.to(like).unbind(-1)),
            taps=None if self.taps is None else self.taps.to(like),
            start=tuple(self.start) if len(self.start) else None,
            norm=(self.norm[0], self.norm[1]) if len(self.norm) else None,
            bonus=self.bonus,
        )


def keep(module: nn.Module, name: str, value: Tensor | None, *, learned: bool) -> None:
    """Give a module a tensor, as a parameter if training is to move it."""
    if value is not None and learned:
        module.register_parameter(name, nn.Parameter(value))
    else:
        module.register_buffer(name, value)


def _network_start(composition: Composition, sizes: HeadSizes) -> list[Tensor]:
    if not isinstance(composition.function_class, MLP):
        return []
    H, K, V = sizes.num_heads, sizes.key_dim, sizes.value_dim
    if composition.function_class.depth == 1:
        return [torch.randn(H, K, V) / math.sqrt(K), torch.zeros(H, V)]
    hidden = composition.function_class.expansion * K
    first, second = torch.randn(H, K, hidden) / math.sqrt(K), torch.randn(H, hidden, V) / math.sqrt(hidden)
    return [first, torch.zeros(H, hidden), second, torch.zeros(H, V)]
