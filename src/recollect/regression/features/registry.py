"""The feature maps by name; the name is that of the file."""

import inspect
from typing import Any

from pydantic import create_model

from recollect.core.config import Config
from recollect.core.errors import ConfigError
from recollect.core.names import lookup
from recollect.regression.features.cosine import Cosine
from recollect.regression.features.dct import Dct
from recollect.regression.features.elu import Elu
from recollect.regression.features.favor import Favor
from recollect.regression.features.feature_map import FeatureMap
from recollect.regression.features.hedgehog import Hedgehog
from recollect.regression.features.none import Identity
from recollect.regression.features.random_fourier import RandomFourier
from recollect.regression.features.relu import Relu
from recollect.regression.features.softmax import ChannelSoftmax
from recollect.regression.features.squared import Squared
from recollect.regression.features.taylor import Taylor

FEATURES: dict[str, type[FeatureMap]] = {
    "none": Identity,
    "elu": Elu,
    "relu": Relu,
    "softmax": ChannelSoftmax,
    "favor": Favor,
    "random_fourier": RandomFourier,
    "cosine": Cosine,
    "dct": Dct,
    "taylor": Taylor,
    "squared": Squared,
    "hedgehog": Hedgehog,
}


def build_features(
    name: str, key_dim: int, num_heads: int, options: dict[str, int | float | bool] | None = None
) -> FeatureMap:
    """The feature map of a name, its options checked. It is an `nn.Module`.

    Args:
        name: key of `FEATURES`.
        key_dim: channels K of a head.
        num_heads: number H of heads.
        options: further arguments of the map.

    Raises:
        ConfigError: an unknown name, an option that the map does not have, or a bad value.

    Example:
        >>> build_features("taylor", 4, 2).size
        15
        >>> build_features("favor", 4, 2, {"num_feature": 8})
        Traceback (most recent call last):
        recollect.core.errors.ConfigError: favor: unknown field 'num_feature'; did you mean 'num_features'?
    """
    features = lookup(FEATURES, name, "feature map")
    fields: dict[str, Any] = {
        option.name: (option.annotation, option.default)
        for option in inspect.signature(features).parameters.values()
        if option.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if options and not fields:
        raise ConfigError(f"{name}: this feature map has no options, got {', '.join(options)}.")
    model = create_model(name, __base__=Config, **fields)
    return features(key_dim, num_heads, **dict(model.parse(options or {}, name)))
