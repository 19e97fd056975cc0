"""Sequence mixers and the one backbone that makes models of them."""

from recollect.models.attention import Attention
from recollect.models.backbone import SequenceModel
from recollect.models.config import MixerConfig, ModelConfig
from recollect.models.diagonal_recurrence import diagonal_recurrence
from recollect.models.facts import MixerFacts, mixer_facts
from recollect.models.gated_conv import GatedConv
from recollect.models.gru import GRU
from recollect.models.lru import LRU
from recollect.models.lstm import LSTM
from recollect.models.registry import LAYERS, MIXERS
from recollect.models.rnn import RNN
from recollect.models.s4d import S4D
from recollect.models.ssm import SSM
from recollect.models.state import measured_state_bytes
from recollect.models.tcn import TCN
from recollect.models.vandermonde import vandermonde_kernel

__all__ = [
    "GRU",
    "LAYERS",
    "LRU",
    "LSTM",
    "MIXERS",
    "RNN",
    "S4D",
    "SSM",
    "TCN",
    "Attention",
    "GatedConv",
    "MixerConfig",
    "MixerFacts",
    "ModelConfig",
    "SequenceModel",
    "diagonal_recurrence",
    "measured_state_bytes",
    "mixer_facts",
    "vandermonde_kernel",
]
