"""What a block does at each position on its own: a small network over the channels, and the norms."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

Norm = Literal["none", "layer", "rms"]
ChannelMixer = Literal["none", "mlp", "glu"]
Vectors = Float[Tensor, "*B D"]


class MLP(nn.Module):
    r"""`W_2 gelu(W_1 x)`, hidden width `expansion * dim`.

    Example:
        >>> import torch
        >>> MLP(4, 2)(torch.zeros(3, 4)).shape
        torch.Size([3, 4])
    """

    def __init__(self, dim: int, expansion: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(dim, expansion * dim), nn.Linear(expansion * dim, dim)

    def forward(self, x: Vectors) -> Vectors:
        return self.down(nn.functional.gelu(self.up(x)))


class GLU(nn.Module):
    r"""Gated linear unit `W_3 (silu(W_1 x) * W_2 x)` (arXiv:2002.05202), hidden width `expansion * dim`.

    Example:
        >>> import torch
        >>> GLU(4, 2)(torch.zeros(3, 4)).shape
        torch.Size([3, 4])
    """

    def __init__(self, dim: int, expansion: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(dim, 2 * expansion * dim), nn.Linear(expansion * dim, dim)

    def forward(self, x: Vectors) -> Vectors:
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(nn.functional.silu(gate) * value)


def build_norm(name: Norm, dim: int) -> nn.Module:
    """The norm over channels called `name`; `none` is the identity."""
    return {"none": nn.Identity, "layer": nn.LayerNorm, "rms": nn.RMSNorm}[name](dim)


def build_channel_mixer(name: ChannelMixer, dim: int, expansion: int) -> nn.Module | None:
    """The channel mixer called `name`; `none` is `None`, since a block then has no second half."""
    return {"none": lambda *_: None, "mlp": MLP, "glu": GLU}[name](dim, expansion)
