"""The random sequences a map is read on, in blocks that fit into memory."""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from recollect.core import ConfigError, derive_seed
from recollect.probing.maps import SequenceMap

_BLOCK_VALUES = 2**22
_ANSWERS = 2**25


def backgrounds(
    probed: SequenceMap, samples: int, length: int, seed: int
) -> Iterator[Float[Tensor, "B T inputs"]]:
    """Independent sequences in the map's dtype and on its device, in blocks of at most 2^22 numbers a table.

    The largest table of a model is taken to be that of its scores, of its widest layer, or of the answers.
    """
    parameters = [] if probed.module is None else list(probed.module.parameters())
    widest = max((max(parameter.shape, default=1) for parameter in parameters), default=1)
    numbers = length * max(length, widest, probed.input_size * probed.output_size)
    size = max(1, min(samples, _BLOCK_VALUES // numbers))
    for first in range(0, samples, size):
        block = probed.draw(min(size, samples - first), length, derive_seed(seed, "background", first))
        yield block.to(probed.device, probed.dtype)


def check_probe(probed: SequenceMap, length: int, samples: int) -> None:
    """Whether a map can be read that far, that often.

    Raises:
        ConfigError: names the range.
    """
    if length < 1:
        raise ConfigError(f"length={length}: expected at least one lag.")
    if probed.max_length is not None and length > probed.max_length:
        raise ConfigError(
            f"length={length}, but {probed.name} reads at most {probed.max_length} positions: "
            f"take length={probed.max_length} or less."
        )
    if (answers := length * probed.output_size * probed.input_size) > _ANSWERS:
        raise ConfigError(
            f"{length} lags of {probed.output_size} outputs and {probed.input_size} inputs are {answers} "
            f"numbers, more than {_ANSWERS}: give a readout of a few combinations, or fewer lags."
        )
    if samples < 4:
        raise ConfigError(f"samples={samples}: a standard error needs at least 4, and is good from 32 on.")


def jump_position(probed: SequenceMap, length: int, samples: int, burn_in: int | None) -> int:
    """Where an impulse or step begins: after as many positions as lags are asked, if the map can read so far.

    Raises:
        ConfigError: a map that cannot be read so far.
    """
    check_probe(probed, length, samples)
    if burn_in is None:
        return length if probed.max_length is None else min(length, probed.max_length - length)
    if burn_in < 0:
        raise ConfigError(f"burn_in={burn_in}: expected a number of positions, 0 or more.")
    check_probe(probed, burn_in + length, samples)
    return burn_in


def check_jump(probed: SequenceMap, jump: float) -> None:
    """Whether an input can be moved by a multiple of its deviation.

    Raises:
        ConfigError: a jump that is not positive, or an input that does not vary.
    """
    if not jump > 0:
        raise ConfigError(f"jump={jump}: expected a positive number of the background's deviations.")
    still = (probed.input_scale <= 0).nonzero().flatten().tolist()
    if still:
        raise ConfigError(
            f"input channel {still[0]} does not vary in the background ({probed.background}), so there is no "
            "deviation to measure a jump by: leave the channel out, or take estimator='jacobian'."
        )
