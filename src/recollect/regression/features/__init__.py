"""Feature maps: a regression that is linear in `phi(k)` instead of in the key itself."""

from recollect.regression.features.cosine import Cosine
from recollect.regression.features.dct import Dct
from recollect.regression.features.elu import Elu
from recollect.regression.features.favor import Favor
from recollect.regression.features.feature_map import FeatureMap, Role
from recollect.regression.features.hedgehog import Hedgehog
from recollect.regression.features.none import Identity
from recollect.regression.features.random_fourier import RandomFourier
from recollect.regression.features.registry import FEATURES, build_features
from recollect.regression.features.relu import Relu
from recollect.regression.features.softmax import ChannelSoftmax
from recollect.regression.features.squared import Squared
from recollect.regression.features.taylor import Taylor

__all__ = [
    "FEATURES",
    "ChannelSoftmax",
    "Cosine",
    "Dct",
    "Elu",
    "Favor",
    "FeatureMap",
    "Hedgehog",
    "Identity",
    "RandomFourier",
    "Relu",
    "Role",
    "Squared",
    "Taylor",
    "build_features",
]
