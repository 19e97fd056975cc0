"""The mixers by name; the name is that of the file."""

from torch import nn

from recollect.models.attention import Attention
from recollect.models.gru import GRU
from recollect.models.lru import LRU
from recollect.models.lstm import LSTM
from recollect.models.rnn import RNN
from recollect.models.s4d import S4D
from recollect.models.ssm import SSM
from recollect.models.tcn import TCN

MIXERS: dict[str, type[nn.Module]] = {
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "tcn": TCN,
    "s4d": S4D,
    "ssm": SSM,
    "lru": LRU,
    "attention": Attention,
}
