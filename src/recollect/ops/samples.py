"""Arguments to try an op with: small, in float64, and with sizes that are all different."""

import torch
from torch import Tensor

B, H, K, V = 2, 3, 5, 4


def normal(rng: torch.Generator, *shape: int) -> Tensor:
    """Standard normal draws in float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=rng)


def unit(x: Tensor) -> Tensor:
    """The same directions at norm 1, as a layer gives its keys."""
    return x / x.norm(dim=-1, keepdim=True)


def log_decay(rng: torch.Generator, *shape: int) -> Tensor:
    """Logarithms of decays between 0.4 and 1."""
    return -0.9 * torch.rand(*shape, dtype=torch.float64, generator=rng)


def step_sizes(rng: torch.Generator, *shape: int) -> Tensor:
    """Numbers between 0.1 and 0.9."""
    return 0.1 + 0.8 * torch.rand(*shape, dtype=torch.float64, generator=rng)


def queries_keys_values(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    """`q`, `k` (of norm 1) and `v` for `B, H, K, V = 2, 3, 5, 4`."""
    return {
        "q": normal(rng, B, length, H, K),
        "k": unit(normal(rng, B, length, H, K)),
        "v": normal(rng, B, length, H, V),
    }
