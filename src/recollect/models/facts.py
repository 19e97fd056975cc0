"""What people choose a mixer by, measured on one that is built with its defaults."""

import inspect
from dataclasses import dataclass
from typing import Any

from recollect.core import Mixer, seeded_initialisation
from recollect.models.config import mixer_factory
from recollect.models.options import option_type, options_model

DIM = 32


@dataclass(frozen=True)
class Option:
    """One option of a mixer; `default` is `None` also where there is none and `required` says so."""

    name: str
    type: str
    default: Any
    required: bool


@dataclass(frozen=True)
class MixerFacts:
    """A mixer at `dim=32`. Facts that a user's mixer does not state are `None`.

    Attributes:
        summary: first line of the class's documentation.
        description: all of it (equation, cost, citation).
        state_size: scalars carried after one input.
        state_growth: scalars more that each further input adds.
    """

    name: str
    summary: str
    description: str
    options: tuple[Option, ...]
    is_lti: bool | None
    receptive_field: int | None
    state_size: int | None
    state_growth: int | None


def mixer_facts(name: str) -> MixerFacts:
    """The facts of a mixer in `MIXERS` or `LAYERS`, or of a user's by its import path.

    Example:
        >>> mixer_facts("lstm").state_size
        64
    """
    factory = mixer_factory(name)
    description = inspect.getdoc(factory) or ""
    fields = options_model(factory, name).model_fields
    options = tuple(
        Option(key, option_type(field), None if field.is_required() else field.default, field.is_required())
        for key, field in fields.items()
    )
    summary = description.partition("\n")[0]
    if any(option.required for option in options):
        return MixerFacts(name, summary, description, options, None, None, None, None)
    with seeded_initialisation(0):
        mixer = factory(DIM)
    if not isinstance(mixer, Mixer):
        return MixerFacts(name, summary, description, options, None, None, None, None)
    size = mixer.state_size(1)
    growth = mixer.state_size(2) - size
    return MixerFacts(name, summary, description, options, mixer.is_lti, mixer.receptive_field, size, growth)
