"""From a layer's input to the queries, keys and values of its heads."""

import math
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core import ConfigError, one_of
from recollect.core.shapes import Queries, Sequence
from recollect.regression.problem import EntryKeys, EntryValues, HeadSizes
from recollect.regression.short_convolution import Buffer, ShortConvolution

KeySource = Literal["projected", "queries", "ones", "decay"]
Activation = Literal["none", "silu", "silu_qk"]
Empty = tuple[()]


class ProjectionState(NamedTuple):
    """The last inputs of the two convolutions; empty where there is none."""

    stream: Buffer | Empty
    heads: Buffer | Empty


class Projected(NamedTuple):
    """What the heads read: `stream` is what gates look at. Keys and values may be several a position."""

    stream: Sequence
    q: Queries
    k: EntryKeys
    v: EntryValues
    state: ProjectionState


class Projections(nn.Module):
    """Linear maps to queries, keys and values, with a short convolution over all of them.

    Args:
        dim: channels of the input.
        sizes: heads, key and value channels.
        num_key_heads: heads that have queries and keys of their own, shared in groups; all if `None`.
        num_steps: keys and values for each position.
        keys: `projected`; `queries`, the queries themselves; `ones`, queries and keys that do not depend on
            the input, a diagonal recurrence of the values (the first half of the key channels is 1, the rest
            0; queries are trained); `decay`, where the layer makes keys of the decay.
        stream: channels of an inner stream, `silu(conv(W x))`, from which queries, keys and gates are
            computed and whose channels are the values (Mamba); values are projected from the input if `None`.
        short_conv: taps of the convolution, or `None`.
        conv_bias: whether it adds a constant.
        activation: applied to queries, keys and values after it; `silu_qk` spares the values.
    """

    unit_key: Tensor

    def __init__(
        self,
        dim: int,
        sizes: HeadSizes,
        *,
        num_key_heads: int | None,
        num_steps: int,
        keys: KeySource,
        stream: int | None,
        short_conv: int | None,
        conv_bias: bool,
        activation: Activation,
    ) -> None:
        super().__init__()
        one_of(keys, get_args(KeySource), "keys")
        one_of(activation, get_args(Activation), "activation")
        if activation == "silu" and stream is not None:
            raise ConfigError("activation='silu' is the stream's already: take 'none', or 'silu_qk'.")
        H, K, V = sizes.num_heads, sizes.key_dim, sizes.value_dim
        num_key_heads = H if num_key_heads is None else num_key_heads
        if H % num_key_heads:
            raise ConfigError(f"num_heads={H} must be a multiple of num_key_heads={num_key_heads}.")
        if stream is not None and stream != H * V:
            raise ConfigError(
                f"stream={stream}: its channels are the values, num_heads * value_dim = {H * V}."
            )
        self.sizes, self.num_key_heads, self.num_steps = sizes, num_key_heads, num_steps
        self.activation, self.has_stream, self.keys = activation, stream is not None, keys
        queries = 0 if keys == "ones" else num_key_heads * K
        key_channels = num_steps * num_key_heads * K if keys == "projected" else 0
        values = 0 if self.has_stream else num_steps * H * V
        self.widths = (queries, key_channels, values)
        inner = dim if stream is None else stream
        self.to_stream = None if stream is None else nn.Linear(dim, stream, bias=False)
        convolve = short_conv is not None
        self.stream_convolution = (
            ShortConvolution(stream, window=short_conv, bias=conv_bias) if convolve and stream else None
        )
        self.to_heads = nn.Linear(inner, sum(self.widths), bias=False)
        self.convolution = (
            ShortConvolution(sum(self.widths), window=short_conv, bias=conv_bias)
            if convolve and not stream
            else None
        )
        self.query = nn.Parameter(_unit_keys(sizes)) if keys == "ones" else None
        self.register_buffer("unit_key", _unit_keys(sizes) if keys == "ones" else None)
        nn.init.normal_(self.to_heads.weight, std=1 / math.sqrt(inner))

    def forward(self, x: Sequence, state: ProjectionState) -> Projected:
        stream, stream_state = x, state.stream
        if self.to_stream is not None:
            stream = self.to_stream(x)
            if self.stream_convolution is not None:
                stream, stream_state = self.stream_convolution(stream, _buffer(stream_state))
            stream = nn.functional.silu(stream)
        heads, heads_state = self.to_heads(stream), state.heads
        if self.convolution is not None:
            heads, heads_state = self.convolution(heads, _buffer(heads_state))
        if self.activation == "silu":
            heads = nn.functional.silu(heads)
        q, k, v = heads.split(self.widths, dim=-1)
        if self.activation == "silu_qk":
            q, k = nn.functional.silu(q), nn.functional.silu(k)
        return Projected(
            stream, self._queries(q), self._keys(q, k, x), self._values(v, stream),
            ProjectionState(stream_state, heads_state),
        )  # fmt: skip

    def initial_state(self, batch_size: int) -> ProjectionState:
        """Zeros before the first input."""
        return ProjectionState(*(
            () if part is None else part.initial_state(batch_size)
            for part in (self.stream_convolution, self.convolution)
        ))  # fmt: skip

    def state_size(self) -> int:
        """Scalars of one sequence."""
        return sum(
            part.state_size() for part in (self.stream_convolution, self.convolution) if part is not None
        )

    def _queries(self, q: Tensor) -> Queries:
        if self.query is not None:
            return self.query.expand(*q.shape[:2], -1, -1)
        return self._shared(q.unflatten(-1, (self.num_key_heads, self.sizes.key_dim)))

    def _keys(self, q: Tensor, k: Tensor, x: Sequence) -> EntryKeys:
        if self.keys == "ones":
            length = x.shape[1] * self.num_steps
            return self.unit_key.expand(len(x), length, -1, -1)
        if self.keys == "queries":
            return self._queries(q)
        if self.keys == "decay":  # the decay gate supplies all but a factor of one
            return x.new_ones(*x.shape[:2], self.sizes.num_heads, self.sizes.key_dim)
        return self._shared(self._by_step(k).unflatten(-1, (self.num_key_heads, self.sizes.key_dim)))

    def _values(self, v: Tensor, stream: Sequence) -> EntryValues:
        by_step = stream if self.has_stream else self._by_step(v)
        return by_step.unflatten(-1, (self.sizes.num_heads, self.sizes.value_dim))

    def _by_step(self, x: Tensor) -> Float[Tensor, "B steps channels"]:
        return x.unflatten(-1, (self.num_steps, -1)).flatten(1, 2)

    def _shared(self, x: Tensor) -> Tensor:
        shared = self.sizes.num_heads // self.num_key_heads
        # One head for all is a view: an inner channel of Mamba is a head, and there are many.
        if self.num_key_heads == 1:
            return x.expand(-1, -1, shared, -1)
        return x.repeat_interleave(shared, dim=2)


def _buffer(state: Buffer | Empty) -> Buffer:
    assert isinstance(state, Tensor)
    return state


def _unit_keys(sizes: HeadSizes) -> Float[Tensor, "H K"]:
    """1 in the first half of the channels, 0 in the second: the real parts of complex keys."""
    key = torch.zeros(sizes.num_heads, sizes.key_dim)
    key[:, : max(1, sizes.key_dim // 2)] = 1.0
    return key
