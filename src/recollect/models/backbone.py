"""One backbone for every mixer, so that models differ in what they are compared by."""

from collections.abc import Callable
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from recollect.core.errors import ConfigError, NotDefinedError
from recollect.core.mixer import Mixer, RespondingMixer, SeparableKernel, State
from recollect.core.shapes import Inputs, Mask, Sequence, Tokens
from recollect.models.channel_mixer import ChannelMixer, Norm, build_channel_mixer, build_norm
from recollect.models.embedding import TokenEmbedding
from recollect.models.linear_response import (
    Response,
    joined_with_constant,
    plus_at_lag_zero,
    response_to_impulses,
    responses_to_all_impulses,
)


class Block(nn.Module):
    """`x + mixer(norm(x))`, then `x + channel_mixer(norm(x))`; each part can be off."""

    def __init__(
        self,
        mixer: nn.Module,
        dim: int,
        *,
        norm: Norm,
        channel_mixer: ChannelMixer,
        expansion: int,
        residual: bool,
    ) -> None:
        super().__init__()
        self.mixer: Any = mixer
        self.residual = residual
        self.mixer_norm = build_norm(norm, dim)
        self.channel_mixer = build_channel_mixer(channel_mixer, dim, expansion)
        self.channel_norm = None if self.channel_mixer is None else build_norm(norm, dim)
        self.is_lti = norm == "none" and self.channel_mixer is None and getattr(mixer, "is_lti", False)

    def forward(self, x: Sequence) -> Sequence:
        return self._channels(self._joined(x, self._mixed(self.mixer_norm(x))))

    def step(self, x_t: Float[Tensor, "B D"], state: State) -> tuple[Float[Tensor, "B D"], State]:
        mixed, state = _streaming(self.mixer).step(self.mixer_norm(x_t), state)
        return self._channels(self._joined(x_t, mixed)), state

    def response(self, write: Tensor, read: Tensor, length: int) -> Tensor | SeparableKernel:
        """As `RespondingMixer.response`, with what passes the mixer by."""
        answers = self.mixer.response(write, read, length)
        return plus_at_lag_zero(answers, read @ write) if self.residual else answers

    def _mixed(self, x: Tensor) -> Tensor:
        # Under autocast a recurrence or a Fourier transform would lose what it carries over many steps.
        if not getattr(self.mixer, "needs_full_precision", False):
            return self.mixer(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.mixer(x.to(next(self.mixer.parameters()).dtype))

    def _channels(self, x: Tensor) -> Tensor:
        if self.channel_mixer is None or self.channel_norm is None:
            return x
        return self._joined(x, self.channel_mixer(self.channel_norm(x)))

    def _joined(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y if self.residual else y


class SequenceModel(nn.Module):
    r"""Encoder, blocks of mixer and channel mixer, norm, decoder: `(B, T, inputs)` to `(B, T, outputs)`.

    Everything but one mixer can be switched off, so that a bare linear recurrence is a model too. Reads a
    whole sequence (`forward`) or one position at a time (`step`); both are the same function.

    Args:
        make_mixer: builds the mixer of one block; called once a block.
        input_size: channels of the input, or tokens of the vocabulary.
        output_size: channels of the output.
        dim: width between encoder and decoder.
        num_layers: number of blocks.
        encoder: whether a linear map leads from the inputs to the width (else `input_size == dim`).
        decoder: whether one leads from the width to the outputs (else `output_size == dim`).
        bias: whether encoder and decoder add a constant.
        norm: before each part of a block, and before the decoder. A layer norm of an encoded scalar keeps
            little more than its sign: take `none` where the input is one channel and its size matters.
        channel_mixer: second half of each block.
        expansion: hidden width of the channel mixer over `dim`.
        residual: whether each part adds its input.
        is_tokens: whether the inputs are tokens: a table of embeddings is then the encoder.
        tied: whether the decoder's matrix is that table.

    Raises:
        ConfigError: tokens without an encoder, or a tied decoder of another size than the vocabulary.

    Example:
        >>> from recollect.models import GRU
        >>> SequenceModel(lambda: GRU(8), 1, 1, dim=8)(torch.zeros(2, 5, 1)).shape
        torch.Size([2, 5, 1])
    """

    def __init__(
        self,
        make_mixer: Callable[[], nn.Module],
        input_size: int,
        output_size: int,
        *,
        dim: int,
        num_layers: int = 1,
        encoder: bool = True,
        decoder: bool = True,
        bias: bool = True,
        norm: Norm = "none",
        channel_mixer: ChannelMixer = "none",
        expansion: int = 2,
        residual: bool = True,
        is_tokens: bool = False,
        tied: bool = False,
    ) -> None:
        super().__init__()
        _check_tokens(is_tokens, tied, encoder, decoder, input_size, output_size)
        self.input_size, self.dim, self.is_tokens = input_size, dim, is_tokens
        self.encoder: Any = _encoder(input_size, dim, encoder, bias, is_tokens)
        self.blocks = nn.ModuleList(
            Block(
                make_mixer(),
                dim,
                norm=norm,
                channel_mixer=channel_mixer,
                expansion=expansion,
                residual=residual,
            )
            for _ in range(num_layers)
        )
        self.norm = build_norm(norm, dim)
        self.decoder = nn.Linear(dim, output_size, bias=bias) if decoder else nn.Identity()
        if tied:
            self.decoder.weight = self.encoder.weight
        affine = is_tokens or (bias and (encoder or decoder))
        self.is_lti = not affine and norm == "none" and all(block.is_lti for block in self._blocks)
        self.receptive_field = _receptive_field(self.mixers)

    def forward(self, x: Inputs | Tokens, asked: Mask | None = None) -> Tensor:
        """Outputs at all positions, `(B, T, outputs)`; with a mask at those alone, `(asked, outputs)`.

        The norm and the decoder then read the asked positions only, which over a large vocabulary is most of
        the work.
        """
        h = self.encoder(x)
        for block in self.blocks:
            h = block(h)
        return self.decoder(self.norm(h if asked is None else h[asked]))

    def initial_state(self, batch_size: int) -> tuple[State, ...]:
        """The mixers' states before the first input."""
        return tuple(_streaming(mixer).initial_state(batch_size) for mixer in self.mixers)

    def step(
        self, x_t: Float[Tensor, "B inputs"] | Int64[Tensor, "B *slots"], state: tuple[State, ...]
    ) -> tuple[Float[Tensor, "B outputs"], tuple[State, ...]]:
        """One position; the state that came in is left as it was."""
        h_t = self.encoder(x_t[:, None])[:, 0]
        states = []
        for block, before in zip(self._blocks, state, strict=True):
            h_t, after = block.step(h_t, before)
            states.append(after)
        return self.decoder(self.norm(h_t)), tuple(states)

    def state_size(self, length: int) -> int | None:
        """Scalars that `step` carries after `length` inputs; `None` where a mixer does not say."""
        if not all(isinstance(mixer, Mixer) for mixer in self.mixers):
            return None
        return sum(mixer.state_size(length) for mixer in self.mixers)

    def kernel(self, length: int) -> Float[Tensor, "T outputs inputs"]:
        """Impulse response at lags 0..length-1, differentiable in the parameters.

        Raises:
            NotDefinedError: where the model is not linear and time-invariant.
        """
        if not self.is_lti:
            raise NotDefinedError(
                "an impulse response describes linear time-invariant models only: needs an LTI mixer, "
                "bias=False, norm='none' and channel_mixer='none'."
            )
        return self.linear_response(length).kernel

    def linear_response(self, length: int) -> Response:
        """Kernel and bias over `length` positions, differentiable in the parameters.

        One mixer between two linear maps answers in closed form where it can (`RespondingMixer`). Otherwise
        impulses are read: inputs + 1 sequences where the model is time-invariant, T inputs + 1 where not.

        Raises:
            NotDefinedError: where the model is not affine; names the parts that are not.

        Example:
            >>> from recollect.models import SSM
            >>> model = SequenceModel(lambda: SSM(8), 2, 3, dim=8)
            >>> model.linear_response(5).kernel.shape
            torch.Size([5, 3, 2])
        """
        if not self.is_affine:
            raise NotDefinedError(
                f"a linear response is that of an affine model; not affine here: "
                f"{', '.join(self.nonlinear_parts)}."
            )
        like = next(self.parameters())
        zeros = like.new_zeros(1, length, self.input_size)
        if len(self.blocks) == 1 and isinstance(self.mixers[0], RespondingMixer):
            return self._response_of_one_mixer(zeros)
        if self.is_time_invariant:
            return response_to_impulses(self, zeros, self.receptive_field)
        return responses_to_all_impulses(self, zeros)

    def _response_of_one_mixer(self, zeros: Inputs) -> Response:
        write, constant = _matrix_and_bias(self.encoder, self.dim, zeros)
        read, last = _matrix_and_bias(self.decoder, self.dim, zeros)
        columns = torch.cat([write, constant[:, None]], dim=1)
        return joined_with_constant(self._blocks[0].response(columns, read, zeros.shape[1]), last)

    @property
    def is_affine(self) -> bool:
        """Whether outputs are linear in the inputs, up to a constant at each position."""
        return not self.nonlinear_parts

    @property
    def is_time_invariant(self) -> bool:
        """Whether the model is affine with one kernel for all positions; a bias may still settle in time."""
        return self.is_affine and all(block.is_lti for block in self._blocks)

    @property
    def nonlinear_parts(self) -> list[str]:
        """What keeps the model from being affine; empty where it is."""
        parts = ["the inputs (tokens)"] if self.is_tokens else []
        parts += [] if isinstance(self.norm, nn.Identity) else [f"the norm ({type(self.norm).__name__})"]
        for block in self._blocks:
            mixer, channels = block.mixer, block.channel_mixer
            if not (getattr(mixer, "is_lti", False) or getattr(mixer, "is_linear", False)):
                parts.append(f"the mixer ({type(mixer).__name__})")
            if channels is not None:
                parts.append(f"the channel mixer ({type(channels).__name__})")
        return list(dict.fromkeys(parts))

    @property
    def mixers(self) -> list[Any]:
        """The mixer of each block, as far as the contract goes that it fulfils."""
        return [block.mixer for block in self._blocks]

    @property
    def _blocks(self) -> list[Block]:
        return cast("list[Block]", list(self.blocks))


def _encoder(input_size: int, dim: int, encoder: bool, bias: bool, is_tokens: bool) -> nn.Module:
    if is_tokens:
        return TokenEmbedding(input_size, dim)
    return nn.Linear(input_size, dim, bias=bias) if encoder else nn.Identity()


def _matrix_and_bias(layer: nn.Module, dim: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Of an encoder or decoder; one that is off is the identity."""
    if not isinstance(layer, nn.Linear):
        return torch.eye(dim, dtype=like.dtype, device=like.device), like.new_zeros(dim)
    return layer.weight, like.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias


def _check_tokens(
    is_tokens: bool, tied: bool, encoder: bool, decoder: bool, input_size: int, output_size: int
) -> None:
    if is_tokens and not encoder:
        raise ConfigError("a task on tokens needs `encoder: true`: its table of embeddings.")
    if tied and not (is_tokens and decoder and input_size == output_size):
        raise ConfigError(
            f"`tied` needs tokens in and out of one vocabulary and a decoder, got {input_size} inputs "
            f"({'tokens' if is_tokens else 'channels'}) and {output_size} outputs."
        )


def _streaming(mixer: nn.Module) -> Any:
    if not isinstance(mixer, Mixer):
        raise NotDefinedError(
            f"{type(mixer).__name__} cannot be read one step at a time: expected `initial_state`, `step`, "
            "`state_size`, `receptive_field` and `is_lti` (see recollect.core.Mixer) beside `forward`."
        )
    return mixer


def _receptive_field(mixers: list[Any]) -> int | None:
    """Fields of stacked mixers add up, the present input counted once; what is not stated is unbounded."""
    field = 1
    for mixer in mixers:
        own = getattr(mixer, "receptive_field", None)
        if own is None:
            return None
        field += own - 1
    return field
