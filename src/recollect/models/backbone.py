"""One backbone for every mixer, so that models differ in what they are compared by."""

from collections.abc import Callable
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from recollect.core.errors import ConfigError, NotDefinedError
from recollect.core.mixer import Mixer, State
from recollect.core.shapes import Inputs, Mask, Sequence, Tokens
from recollect.models.channel_mixer import ChannelMixer, Norm, build_channel_mixer, build_norm
from recollect.models.embedding import TokenEmbedding


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
        self.input_size, self.is_tokens = input_size, is_tokens
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
        like = next(self.parameters())
        impulses = torch.eye(self.input_size, dtype=like.dtype, device=like.device)[:, None]
        return self(nn.functional.pad(impulses, (0, 0, 0, length - 1))).permute(1, 2, 0)

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
