"""Causal softmax attention as a mixer."""

import math
from typing import Literal, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core.errors import ConfigError, NotDefinedError
from recollect.core.shapes import Sequence, Step
from recollect.models.positions import alibi_slopes, rotate, sinusoids

HeadSequence = Float[Tensor, "B H T K"]


class KeyValueCache(NamedTuple):
    """Keys and values of all inputs so far."""

    keys: Float[Tensor, "B H _ K"]
    values: Float[Tensor, "B H _ K"]


class Attention(nn.Module):
    r"""Causal multi-head softmax attention (arXiv:1706.03762), with a choice of positions.

    $$y_t = W_o \sum_{i \le t} a_{ti} v_i, \qquad a_{ti} = \mathrm{softmax}_i (q_t^\top k_i / \sqrt K)$$

    State `2 D T` scalars (all keys and values); work O(T D^2 + T^2 D). Without positions one layer sees its
    past as a set.

    Args:
        dim: width `D` of input and output.
        num_heads: number `H` of heads; divides `dim`.
        positions: `learned` or `sinusoidal` (added to the input), `rope` (arXiv:2104.09864), `alibi`
            (arXiv:2108.12409) or `none`.
        qk_norm: normalise queries and keys to norm `sqrt(K)` before the product (arXiv:2010.04245), with a
            trained gain for each head: attention then is kernel smoothing in the angle.
        max_length: for `learned` positions, the training length; nothing is defined beyond it.
        form: `fused`, PyTorch's kernel, memory O(T); or `explicit`, the equation, memory O(T^2), which also
            runs under `torch.func.vmap`.

    Example:
        >>> Attention(8, num_heads=2, positions="rope")(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    receptive_field = None
    is_lti = False

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int = 4,
        positions: Literal["learned", "sinusoidal", "rope", "alibi", "none"] = "rope",
        qk_norm: bool = False,
        max_length: int | None = None,
        form: Literal["fused", "explicit"] = "fused",
    ) -> None:
        super().__init__()
        _check(dim, num_heads, positions, max_length)
        self.dim, self.num_heads, self.positions, self.form = dim, num_heads, positions, form
        self.project_in = nn.Linear(dim, 3 * dim, bias=False)
        self.project_out = nn.Linear(dim, dim, bias=False)
        self.gain = nn.Parameter(torch.ones(num_heads, 1, 1)) if qk_norm else None
        learned = positions == "learned"
        self.table = nn.Parameter(0.02 * torch.randn(max_length or 0, dim)) if learned else None
        for layer in (self.project_in, self.project_out):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(dim))

    def forward(self, x: Sequence) -> Sequence:
        q, k, v = self._heads(x, start=0)
        # Without a bias the kernel is told that it is causal, and never forms the T x T scores.
        biased = self.positions == "alibi" or self.form == "explicit"
        bias = self._bias(q, x.shape[1]) if biased else None
        if bias is None or self.form == "fused":
            mixed = nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=bias, is_causal=bias is None
            )
        else:
            mixed = _explicit(q, k, v, bias)
        return self.project_out(rearrange(mixed, "b h t k -> b t (h k)"))

    def initial_state(self, batch_size: int) -> KeyValueCache:
        empty = self.project_in.weight.new_zeros(batch_size, self.num_heads, 0, self.dim // self.num_heads)
        return KeyValueCache(empty, empty)

    def step(self, x_t: Step, state: KeyValueCache) -> tuple[Step, KeyValueCache]:
        q, k, v = self._heads(x_t[:, None], start=state.keys.shape[2])
        keys, values = torch.cat([state.keys, k], dim=2), torch.cat([state.values, v], dim=2)
        mixed = _explicit(q, keys, values, self._bias(q, keys.shape[2]))
        return self.project_out(rearrange(mixed, "b h 1 k -> b (h k)")), KeyValueCache(keys, values)

    def state_size(self, length: int) -> int:
        return 2 * self.dim * length

    def _heads(self, x: Sequence, start: int) -> tuple[HeadSequence, HeadSequence, HeadSequence]:
        """Queries, keys and values of inputs at positions `start`, `start + 1`, ..."""
        stop = start + x.shape[1]
        positions = torch.arange(start, stop, dtype=x.dtype, device=x.device)
        if self.table is not None:
            if stop > len(self.table):
                raise NotDefinedError(
                    f"learned positions end at max_length={len(self.table)}, got length {stop}: there is "
                    "no position trained beyond it. Use positions='rope', 'alibi' or 'sinusoidal'."
                )
            x = x + self.table[start:stop]
        elif self.positions == "sinusoidal":
            x = x + sinusoids(positions, self.dim)
        q, k, v = rearrange(self.project_in(x), "b t (n h k) -> n b h t k", n=3, h=self.num_heads)
        if self.gain is not None:
            q, k = nn.functional.normalize(q, dim=-1), nn.functional.normalize(k, dim=-1)
            # The scores are divided by sqrt(K) later on: norms of sqrt(K) leave sqrt(K) times a cosine.
            q, k = q * (self.gain * math.sqrt(q.shape[-1])), k * math.sqrt(k.shape[-1])
        if self.positions == "rope":
            q, k = rotate(torch.stack([q, k]), positions)
        return q, k, v

    def _bias(self, q: HeadSequence, num_keys: int) -> Float[Tensor, "H T keys"]:
        """Added to the scores: minus infinity for the future; with ALiBi, minus slope times age."""
        index = torch.arange(num_keys, device=q.device)
        age = (index[num_keys - q.shape[2] :, None] - index).to(q.dtype)
        slopes = (
            alibi_slopes(self.num_heads).to(q) if self.positions == "alibi" else q.new_zeros(self.num_heads)
        )
        return torch.where(age < 0, -math.inf, -slopes[:, None, None] * age)


def _explicit(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> HeadSequence:
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]) + bias, dim=-1) @ v


def _check(dim: int, num_heads: int, positions: str, max_length: int | None) -> None:
    if num_heads < 1 or dim % num_heads:
        fitting = [heads for heads in range(1, dim + 1) if dim % heads == 0]
        raise ConfigError(f"dim={dim} must be divisible by num_heads={num_heads}; possible: {fitting}.")
    if positions == "rope" and dim // num_heads % 2:
        raise ConfigError(f"positions='rope' turns pairs: dim / num_heads = {dim // num_heads} must be even.")
    if positions == "sinusoidal" and dim % 2:
        raise ConfigError(f"positions='sinusoidal' needs an even dim, got {dim}.")
    if (positions == "learned") != (max_length is not None):
        raise ConfigError(
            f"max_length is the training length of positions='learned', and of these alone: "
            f"got positions={positions!r} with max_length={max_length}."
        )
