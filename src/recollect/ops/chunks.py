"""Cutting a sequence into chunks, and carrying a linear state from chunk to chunk."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

ChunkStates = Float[Tensor, "B H N K V"]
"""A state for each of `N` chunks."""


def split_chunks(x: Float[Tensor, "B T H *rest"], chunk_size: int) -> Float[Tensor, "B H N C *rest"]:
    """`(B, T, H, .)` as chunks, the last one filled with zeros.

    Zeros are what an op must not notice: a key, value, step size or log-decay of 0 leaves a state as it is.

    Example:
        >>> split_chunks(torch.ones(1, 5, 1), 3).squeeze()
        tensor([[1., 1., 1.],
                [1., 1., 0.]])
    """
    missing = -x.shape[1] % chunk_size
    x = torch.nn.functional.pad(x, (0, 0) * (x.ndim - 2) + (0, missing))
    return rearrange(x, "b (n c) h ... -> b h n c ...", c=chunk_size)


def merge_chunks(x: Float[Tensor, "B H N C V"], length: int) -> Float[Tensor, "B T H V"]:
    """The inverse of `split_chunks`."""
    return rearrange(x, "b h n c v -> b (n c) h v")[:, :length]


def causal_mask(chunk_size: int, like: Tensor) -> Tensor:
    """`(C, C)`, true where the column is not later than the row."""
    return torch.ones(chunk_size, chunk_size, dtype=torch.bool, device=like.device).tril()


def decay_within(g: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C C"]:
    r"""$e^{g_{j+1} + \dots + g_i}$ for $j \le i$, else 0: what is left at $i$ of what was written at $j$.

    Masked before the exponential: entries above the diagonal would overflow, and then gradients are NaN.

    Example:
        >>> decay_within(torch.tensor([0.5, 0.0, 0.5]).log())
        tensor([[1.0000, 0.0000, 0.0000],
                [0.0000, 1.0000, 0.0000],
                [0.0000, 0.5000, 1.0000]])
    """
    return log_decay_within(g).exp()


def log_decay_within(g: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C C"]:
    r"""$g_{j+1} + \dots + g_i$ for $j \le i$, else $-\infty$.

    Sums of what lies between instead of differences of sums from the start: a strong decay then does not cost
    the weak ones after it their digits, and $g = -\infty$ is one after which nothing is left.
    """
    past = causal_mask(g.shape[-1], g)
    since = g.unsqueeze(-2).expand(*g.shape, g.shape[-1]).masked_fill(~past.mT.triu(1), 0.0).cumsum(-1).mT
    return since.masked_fill(~past, -torch.inf)


def carry(
    decay: Float[Tensor, "B H N"] | Float[Tensor, "B H N K"],
    writes: ChunkStates,
    state: Float[Tensor, "B H K V"],
) -> tuple[ChunkStates, Float[Tensor, "B H K V"]]:
    """States before each chunk, and after the last: `S <- decay_n S + writes_n`.

    `decay` is that of a whole chunk, per head or per key channel.
    """
    factors = decay[..., None, None] if decay.ndim == 3 else decay[..., None]
    before = []
    for factor, write in zip(factors.unbind(2), writes.unbind(2), strict=True):
        before.append(state)
        state = torch.addcmul(write, factor, state)
    return torch.stack(before, dim=2), state
