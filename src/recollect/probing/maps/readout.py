"""Which outputs of a model are looked at: all of them, or a few directions."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from recollect.core import ConfigError, normal
from recollect.probing.maps.reader import Reader, tried_output_size

NUM_DIRECTIONS = 4
"""Random directions of a hidden state that are read by default."""

Readout = Float[Tensor, "outputs probed"]


def read_through(reader: Reader, readout: Readout | None) -> Reader:
    """A map followed by a matrix.

    Raises:
        ConfigError: a matrix whose rows are not the outputs.
    """
    if readout is None:
        return reader
    size = tried_output_size(reader)
    if len(readout) != size:
        raise ConfigError(
            f"readout has {len(readout)} rows, {reader.name} has {size} outputs: expected one row for each."
        )
    return _followed_by(reader, readout, f"{readout.shape[1]} combinations of its {size} outputs")


def read_tokens_through(
    hidden: Reader, logits: Callable[[Tensor], Tensor], readout: Readout | None
) -> Reader:
    """A model of tokens, of which a few numbers are read: its logits are too many.

    By default these are `NUM_DIRECTIONS` fixed random unit directions of the last hidden state, which the
    logits are a linear map of. A matrix with a row for each token reads the logits, one with a row for each
    channel the last hidden state.

    Raises:
        ConfigError: a matrix that has neither.
    """
    width = tried_output_size(hidden)
    if readout is None:
        words = f"last hidden state along {NUM_DIRECTIONS} random unit directions"
        return _followed_by(hidden, random_directions(width), words)
    whole = replace(hidden, apply=logits)
    if len(readout) == (vocabulary := tried_output_size(whole)):
        return _followed_by(whole, readout, f"{readout.shape[1]} combinations of its logits")
    if len(readout) == width:
        return _followed_by(hidden, readout, f"{readout.shape[1]} combinations of its last hidden state")
    raise ConfigError(
        f"readout has {len(readout)} rows: expected {vocabulary}, one for each logit of {hidden.name}, or "
        f"{width}, one for each channel of its last hidden state."
    )


def random_directions(size: int) -> Float64[Tensor, "outputs probed"]:
    """The same unit vectors every time, as columns."""
    directions = normal(0, torch.arange(size), NUM_DIRECTIONS)
    return directions / torch.linalg.vector_norm(directions, dim=0)


def _followed_by(reader: Reader, readout: Readout, words: str) -> Reader:
    matrix, apply = readout.to(dtype=reader.dtype, device=reader.device), reader.apply

    def read(x: Tensor) -> Tensor:
        y = apply(x)
        return y @ matrix.to(y.dtype)

    return replace(reader, apply=read, part_read=words)
