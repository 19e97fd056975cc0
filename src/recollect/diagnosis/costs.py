"""What a model costs at each position: its multiplications and additions, counted from its equations."""

from collections.abc import Callable

from recollect.core import NotDefinedError
from recollect.models import ModelConfig

_Count = Callable[[ModelConfig], int]


def _lru(config: ModelConfig) -> int:
    """Reading and writing two parts, the gain, a complex product (4) and the direct path."""
    dim, states = config.dim, int(str(config.options["num_states"]))
    return 4 * dim * states + 2 * states + 4 * states + dim


def _ssm(config: ModelConfig) -> int:
    dim, states = config.dim, int(str(config.options["num_states"]))
    if config.options["states"] == "complex":
        return 4 * dim * states + 4 * states + dim
    return 2 * dim * states + states + dim


def _tcn(config: ModelConfig) -> int:
    options = config.options
    return int(str(options["num_levels"])) * int(str(options["kernel_size"])) * config.dim**2


def _attention(config: ModelConfig) -> int:
    """Without content: two matrices, a decay for each channel and head, a division."""
    if config.options["content"]:
        raise NotDefinedError("attention that reads content costs more at each position than at the last.")
    heads = int(str(config.options["num_heads"]))
    return 2 * config.dim**2 + 2 * config.dim + heads


_COUNTS: dict[str, _Count] = {
    "lru": _lru,
    "ssm": _ssm,
    "tcn": _tcn,
    "attention": _attention,
    "rnn": lambda config: 2 * config.dim**2,
    "gru": lambda config: 6 * config.dim**2 + 3 * config.dim,
    "lstm": lambda config: 8 * config.dim**2 + 3 * config.dim,
}


def multiply_adds(config: ModelConfig, num_inputs: int, num_outputs: int = 1) -> int:
    """Multiply-adds a position of a model that reads one position after the other.

    Additions of constants and values of nonlinear functions are left out.

    Args:
        config: the model; norms and channel mixers are not counted.
        num_inputs: channels that its encoder reads.
        num_outputs: channels that its decoder writes.

    Raises:
        NotDefinedError: a mixer whose steps are not counted here, or whose cost grows with the position.

    Example:
        >>> multiply_adds(ModelConfig(mixer="rnn", dim=4), num_inputs=1)
        40
    """
    if config.mixer not in _COUNTS:
        raise NotDefinedError(f"the steps of {config.mixer!r} are not counted; known: {', '.join(_COUNTS)}.")
    ends = config.encoder * num_inputs + config.decoder * num_outputs
    return config.num_layers * _COUNTS[config.mixer](config) + ends * config.dim
