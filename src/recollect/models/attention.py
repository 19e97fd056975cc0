"""Causal softmax attention as a mixer."""

import math
from typing import Literal, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core.errors import ConfigError, NotDefinedError
from recollect.core.mixer import SeparableKernel
from recollect.core.shapes import Sequence, Step
from recollect.models.positions import alibi_slopes, rotate, sinusoids
from recollect.ops import diagonal_scan

HeadSequence = Float[Tensor, "B H T K"]


class KeyValueCache(NamedTuple):
    """Keys and values of all inputs so far."""

    keys: Float[Tensor, "B H _ K"]
    values: Float[Tensor, "B H _ K"]


class Averages(NamedTuple):
    """Without content: for each head the sum of values by age so far, and of the weights."""

    values: Float[Tensor, "B H K"]
    weights: Float[Tensor, "B H"]


class Attention(nn.Module):
    r"""Causal multi-head softmax attention (arXiv:1706.03762), with a choice of positions.

    $$y_t = W_o \sum_{i \le t} a_{ti} v_i, \qquad a_{ti} = \mathrm{softmax}_i (q_t^\top k_i / \sqrt K)$$

    State `2 D T` scalars (all keys and values); work O(T D^2 + T^2 D). Without positions one layer sees its
    past as a set.

    Without content the scores are those of ALiBi alone, with trained slopes $p_h > 0$: each head is a mean of
    its past that forgets,

    $$y_t = W_o \sum_h \sum_{s \le t} \frac{e^{-p_h s}}{Z_{th}} W_h x_{t-s}, \qquad
    Z_{th} = \sum_{s \le t} e^{-p_h s}$$

    which is linear in x, yet changes with t. State `D + H` scalars; work O(T D^2), no queries and no keys.

    Args:
        dim: width `D` of input and output.
        num_heads: number `H` of heads; divides `dim`.
        positions: `learned` or `sinusoidal` (added to the input), `rope` (arXiv:2104.09864), `alibi`
            (arXiv:2108.12409) or `none`.
        qk_norm: normalise queries and keys to norm `sqrt(K)` before the product (arXiv:2010.04245), with a
            trained gain for each head: attention then is kernel smoothing in the angle.
        max_length: for `learned` positions, the training length; nothing is defined beyond it.
        form: `fused`, PyTorch's kernel, memory O(T); or `explicit`, the equation, memory O(T^2), which also
            runs under `torch.func.vmap`. Without content both are one recurrence.
        content: whether the scores depend on the input; without it `positions` must be `alibi`.

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
        content: bool = True,
    ) -> None:
        super().__init__()
        _check(dim, num_heads, positions, max_length)
        _check_content(content, positions, qk_norm)
        self.dim, self.num_heads, self.positions, self.form = dim, num_heads, positions, form
        # The recurrence without content would lose in low precision what it carries over many steps.
        self.is_linear = self.needs_full_precision = not content
        self.project_in = nn.Linear(dim, (3 if content else 1) * dim, bias=False)
        self.project_out = nn.Linear(dim, dim, bias=False)
        self.gain = nn.Parameter(torch.ones(num_heads, 1, 1)) if qk_norm else None
        learned = positions == "learned"
        self.table = nn.Parameter(0.02 * torch.randn(max_length or 0, dim)) if learned else None
        self.log_slopes = None if content else nn.Parameter(alibi_slopes(num_heads).log())
        for layer in (self.project_in, self.project_out):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(dim))

    def forward(self, x: Sequence) -> Sequence:
        if self.is_linear:
            return self._averaged(x)
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

    def initial_state(self, batch_size: int) -> KeyValueCache | Averages:
        like, head_dim = self.project_in.weight, self.dim // self.num_heads
        if self.is_linear:
            values = like.new_zeros(batch_size, self.num_heads, head_dim)
            return Averages(values, like.new_zeros(batch_size, self.num_heads))
        empty = like.new_zeros(batch_size, self.num_heads, 0, head_dim)
        return KeyValueCache(empty, empty)

    def step(self, x_t: Step, state: KeyValueCache | Averages) -> tuple[Step, KeyValueCache | Averages]:
        if isinstance(state, Averages):
            return self._average(x_t, state)
        q, k, v = self._heads(x_t[:, None], start=state.keys.shape[2])
        keys, values = torch.cat([state.keys, k], dim=2), torch.cat([state.values, v], dim=2)
        mixed = _explicit(q, keys, values, self._bias(q, keys.shape[2]))
        return self.project_out(rearrange(mixed, "b h 1 k -> b (h k)")), KeyValueCache(keys, values)

    def state_size(self, length: int) -> int:
        return self.dim + self.num_heads if self.is_linear else 2 * self.dim * length

    def response(
        self, write: Float[Tensor, "D inputs"], read: Float[Tensor, "outputs D"], length: int
    ) -> SeparableKernel:
        """Without content: a term a head, `e^(-p s)` at the lags and `1 / Z` at the positions."""
        written = rearrange(self.project_in.weight @ write, "(h k) i -> h k i", h=self.num_heads)
        reading = rearrange(read @ self.project_out.weight, "o (h k) -> o h k", h=self.num_heads)
        by_age, sums = self._weights(length)
        present = torch.einsum("ohk,hki->hoi", reading, written)
        return SeparableKernel(sums.reciprocal(), by_age[..., None, None] * present)

    def _averaged(self, x: Sequence) -> Sequence:
        """Without content, all positions: a recurrence with one decay a head."""
        values = rearrange(self.project_in(x), "b t (h k) -> b t h k", h=self.num_heads)
        decay = self._weights(2)[0][1]
        sums, _ = diagonal_scan(decay[None, None, :, None], values)
        mean = sums / self._weights(x.shape[1])[1][..., None]
        return self.project_out(rearrange(mean, "b t h k -> b t (h k)"))

    def _average(self, x_t: Step, state: Averages) -> tuple[Step, Averages]:
        decay = self._weights(2)[0][1]
        values = rearrange(self.project_in(x_t), "b (h k) -> b h k", h=self.num_heads)
        state = Averages(decay[:, None] * state.values + values, decay * state.weights + 1)
        mean = state.values / state.weights[..., None]
        return self.project_out(rearrange(mean, "b h k -> b (h k)")), state

    def _weights(self, length: int) -> tuple[Float[Tensor, "T H"], Float[Tensor, "T H"]]:
        """Of the ages 0..length-1 without content, and their sums at the positions."""
        if self.log_slopes is None:
            raise NotDefinedError("attention that reads content has no weights of its own: content=False.")
        ages = torch.arange(length, dtype=self.log_slopes.dtype, device=self.log_slopes.device)
        by_age = torch.exp(-ages[:, None] * self.log_slopes.exp())
        return by_age, by_age.cumsum(0)

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


def _check_content(content: bool, positions: str, qk_norm: bool) -> None:
    if not content and (positions != "alibi" or qk_norm):
        raise ConfigError(
            "content=False has no queries and keys, and trained slopes of ALiBi: it needs positions='alibi' "
            f"and qk_norm=False, got positions={positions!r}, qk_norm={qk_norm}."
        )
