"""Configuration of a model: a value that says everything but the sizes of its task and the seed."""

from itertools import cycle
from typing import Any

import torch
from pydantic import Field, JsonValue, model_validator
from torch import nn

from recollect.core import Config, ConfigError, load_object, lookup, seeded_initialisation
from recollect.models.backbone import SequenceModel
from recollect.models.channel_mixer import ChannelMixer, Norm
from recollect.models.options import Factory, complete_options, options_model, typed_options
from recollect.models.registry import known_mixers


class MixerConfig(Config):
    """A mixer by name or import path, and its options, checked and completed with its defaults."""

    mixer: str
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> "MixerConfig":
        options = complete_options(mixer_factory(self.mixer), self.options, f"options of {self.mixer}")
        object.__setattr__(self, "options", options)  # frozen for its users; this is its construction
        return self

    def make(self, dim: int) -> nn.Module:
        """The mixer at a width.

        Raises:
            ConfigError: options that do not fit the width, or something that is no module.
        """
        try:
            factory = mixer_factory(self.mixer)
            mixer = factory(dim, **typed_options(factory, self.options, self.mixer))
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"{self.mixer} cannot be built with dim={dim} and options {self.options}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(mixer, nn.Module):
            raise ConfigError(f"{self.mixer}: expected a torch.nn.Module, got {type(mixer).__name__}.")
        return mixer


class ModelConfig(MixerConfig):
    """A mixer in the backbone (`SequenceModel` says what each switch does).

    `options` are checked against the mixer's constructor and completed with its defaults, so that equal
    models have equal configurations.

    Attributes:
        mixer: a name in `MIXERS` or `LAYERS`, or the import path of a user's class, `package.module:Class`.
        options: keyword arguments of the mixer.
        alternate: another mixer, which takes every second block beginning with the first; `num_layers` counts
            both. A gated short convolution there is the usual company of a layer with a state.
        tied: whether a decoder of tokens has the embeddings as its matrix.
        label: how the model is called in tables, where `title` would not do.

    Example:
        >>> model = ModelConfig(mixer="ssm", options={"states": "complex"}, dim=8).build(1, 1, seed=0)
        >>> model(torch.zeros(2, 5, 1)).shape
        torch.Size([2, 5, 1])
    """

    dim: int = Field(default=32, ge=1)
    num_layers: int = Field(default=1, ge=1)
    encoder: bool = True
    decoder: bool = True
    bias: bool = True
    norm: Norm = "none"
    channel_mixer: ChannelMixer = "none"
    expansion: int = Field(default=2, ge=1)
    residual: bool = True
    alternate: MixerConfig | None = None
    tied: bool = False
    label: str | None = None

    @model_validator(mode="after")
    def _has_room_for_both(self) -> "ModelConfig":
        if self.alternate is not None and self.num_layers < 2:
            raise ValueError("`alternate` takes the first block: with it `num_layers` must be 2 or more")
        return self

    @property
    def mixer_names(self) -> tuple[str, ...]:
        """The names of all its mixers."""
        return (self.mixer,) if self.alternate is None else (self.mixer, self.alternate.mixer)

    @property
    def title(self) -> str:
        """The label or, without one, the mixer's name and the options that are not its defaults."""
        if self.label is not None:
            return self.label
        fields = options_model(mixer_factory(self.mixer), self.mixer).model_fields
        name = self.mixer.rpartition(":")[2]
        distinct = {k: v for k, v in self.options.items() if k not in fields or fields[k].default != v}
        shown = (f"{key}={_short(value)}" for key, value in distinct.items())
        return f"{name}({', '.join(shown)})" if distinct else name

    def build(
        self, input_size: int, output_size: int, seed: int, *, is_tokens: bool = False
    ) -> SequenceModel:
        """The model, with parameters that depend on `seed` alone; of tokens, `input_size` is how many.

        Raises:
            ConfigError: sizes that do not fit, or a user's mixer that breaks the contract.
        """
        for part, size, present in (
            ("encoder", input_size, self.encoder or is_tokens),
            ("decoder", output_size, self.decoder),
        ):
            if not present and size != self.dim:
                raise ConfigError(f"without {part} the task's {size} channels must be dim={self.dim}.")
        mixers = [self] if self.alternate is None else [self.alternate, self]
        blocks = cycle(mixers)
        with seeded_initialisation(seed):
            model = SequenceModel(
                lambda: next(blocks).make(self.dim),
                input_size,
                output_size,
                is_tokens=is_tokens,
                **self.model_dump(exclude={"mixer", "options", "label", "alternate"}),
            )
            for config, mixer in zip(mixers, model.mixers, strict=False):
                _check_shape(config.mixer, mixer, self.dim)
        return model


def _short(value: JsonValue) -> JsonValue:
    """An option in a title: of a nested value only what kind it is."""
    return value.get("kind", value) if isinstance(value, dict) else value


def mixer_factory(name: str) -> Factory:
    """The mixer's class by name or import path.

    Raises:
        ConfigError: nothing there; says what is known.
    """
    if ":" not in name:
        return lookup(known_mixers(), name, "mixer")
    factory = load_object(name)
    if not callable(factory):
        raise ConfigError(f"{name}: expected a mixer's class, got {type(factory).__name__} {factory!r}.")
    return factory


def _check_shape(name: str, mixer: nn.Module, dim: int) -> None:
    """One small forward: a mixer that breaks the contract is refused before any training."""
    batch_size, length = 2, 3
    training = mixer.training
    mixer.eval()  # running statistics, if a user's mixer has them, must not see these zeros
    try:
        with torch.no_grad():
            output: Any = mixer(torch.zeros(batch_size, length, dim))
    except Exception as error:
        raise ConfigError(
            f"{name} cannot read a sequence of shape (batch {batch_size}, length {length}, dim {dim}): "
            f"{type(error).__name__}: {error}"
        ) from error
    mixer.train(training)
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if shape != (batch_size, length, dim):
        raise ConfigError(f"{name}: expected an output of shape {(batch_size, length, dim)}, got {shape}.")
