"""Axis legend, strict configuration, seeds and draws, errors, the mixer contract."""

from recollect.core.config import Config
from recollect.core.convolution import causal_convolution
from recollect.core.draws import integers, normal, random_words, signs, uniform
from recollect.core.errors import ConfigError, NotDefinedError, NumericalError, RecollectError, StoreError
from recollect.core.imports import add_working_directory, load_object, source_hash
from recollect.core.mixer import LtiMixer, Mixer, State
from recollect.core.names import lookup, one_of, suggestion
from recollect.core.seeds import derive_seed, seeded_initialisation

__all__ = [
    "Config",
    "ConfigError",
    "LtiMixer",
    "Mixer",
    "NotDefinedError",
    "NumericalError",
    "RecollectError",
    "State",
    "StoreError",
    "add_working_directory",
    "causal_convolution",
    "derive_seed",
    "integers",
    "load_object",
    "lookup",
    "normal",
    "one_of",
    "random_words",
    "seeded_initialisation",
    "signs",
    "source_hash",
    "suggestion",
    "uniform",
]
