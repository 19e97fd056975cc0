"""What a map is read on: white noise, the user's own data, the inputs of a task, random tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from recollect.core import ConfigError, derive_seed, integers, normal, one_of
from recollect.probing.maps.reader import Reader
from recollect.tasks import FunctionalTask, Gaussian, Task

Amplitude = float | int | Sequence[float] | Tensor
"""Of all channels, or of each."""
Draw = Callable[[int, int, int], Tensor]

_SCALE_EXAMPLES = 256
_TOKENS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Background:
    """Seeded sequences: `draw(count, length, seed)`, what they are in words, and how large by channel."""

    draw: Draw
    words: str
    scale: Float64[Tensor, " inputs"]
    is_white_gaussian: bool = False


def choose_background(reader: Reader, background: Any, amplitude: Amplitude) -> Background:
    """The background that is asked for, as numbers that the map reads.

    Args:
        reader: the map.
        background: `"white"` Gaussian numbers (what None means for a model of numbers); `"tokens"`, uniformly
            random (for one of tokens); a task; whole numbers `(N,)`, tokens of a text; or data `(N, inputs)`.
        amplitude: standard deviation of white numbers, for all channels or each; others have their own.

    Raises:
        ConfigError: a background that does not fit the map, or an amplitude beside one that has its own.
    """
    kind = ("white" if reader.embed is None else "tokens") if background is None else background
    if isinstance(kind, str):
        one_of(kind, ("white", "tokens"), "background")
    if isinstance(kind, str) and kind == "white":
        return _white(reader, amplitude)
    if not (isinstance(amplitude, float | int) and amplitude == 1):
        raise ConfigError(
            f"amplitude={amplitude} is the standard deviation of a white background; the one asked for has "
            "its own. Leave out `amplitude`, or scale the data."
        )
    if isinstance(kind, str):
        return _random_tokens(reader)
    if isinstance(kind, Task):
        return _inputs_of(kind, reader)
    values = _array(kind)
    if reader.embed is not None and values.ndim == 1 and not values.is_floating_point():
        return _text(values, reader)
    return _data(values.double(), reader)


def _white(reader: Reader, amplitude: Amplitude) -> Background:
    given = torch.as_tensor(amplitude, dtype=torch.float64).cpu()
    if given.ndim > 1 or len(given.flatten()) not in (1, reader.input_size) or not (given > 0).all():
        raise ConfigError(
            f"expected a positive amplitude, or one for each of {reader.input_size} inputs; got {amplitude}."
        )
    scale = given.expand(reader.input_size).clone()

    def draw(count: int, length: int, seed: int) -> Tensor:
        numbers = normal(derive_seed(seed, "background"), torch.arange(count), length * reader.input_size)
        return _placed(numbers.unflatten(1, (length, reader.input_size)) * scale, reader)

    sizes = " ".join(f"{size:g}" for size in scale.unique().tolist())
    return Background(draw, f"white Gaussian, deviation {sizes}", scale, is_white_gaussian=True)


def _data(values: Float64[Tensor, "time inputs"] | Float64[Tensor, " time"], reader: Reader) -> Background:
    series = values[:, None] if values.ndim == 1 else values
    if series.ndim != 2 or series.shape[1] != reader.input_size:
        raise ConfigError(
            f"the background has shape {tuple(values.shape)}: expected (time, {reader.input_size}), one "
            f"column for each input of {reader.name}."
        )
    if not series.isfinite().all():
        row, column = (~series.isfinite()).nonzero()[0].tolist()
        raise ConfigError(f"the background has no number at row {row}, column {column}: leave such rows out.")
    scale = series.std(0, correction=0)
    if not (scale > 0).all():
        column = int((scale == 0).nonzero()[0])
        raise ConfigError(f"column {column} of the background does not vary: a channel needs an amplitude.")

    def draw(count: int, length: int, seed: int) -> Tensor:
        return _placed(_windows(series, count, length, seed), reader)

    return Background(draw, f"windows of {len(series)} rows of data", scale)


def _text(tokens: Int64[Tensor, " time"], reader: Reader) -> Background:
    if not len(tokens) or int(tokens.min()) < 0 or int(tokens.max()) >= reader.vocabulary_size:
        raise ConfigError(f"the background's tokens must lie in 0..{reader.vocabulary_size - 1}.")

    def draw(count: int, length: int, seed: int) -> Tensor:
        return _embedded(_windows(tokens, count, length, seed), reader)

    counts = torch.bincount(tokens, minlength=reader.vocabulary_size)
    return Background(draw, f"embeddings of windows of {len(tokens)} tokens", _deviation(counts, reader))


def _random_tokens(reader: Reader) -> Background:
    if reader.embed is None:
        raise ConfigError(f"{reader.name} reads numbers, no tokens: take background='white', data or a task.")

    def draw(count: int, length: int, seed: int) -> Tensor:
        stream = derive_seed(seed, "background")
        return _embedded(integers(stream, torch.arange(count), length, reader.vocabulary_size), reader)

    counts = torch.ones(reader.vocabulary_size, dtype=torch.int64)
    return Background(draw, "embeddings of uniformly random tokens", _deviation(counts, reader))


def _inputs_of(task: Task, reader: Reader) -> Background:
    known = reader.vocabulary_size if task.is_tokens else reader.input_size
    fits = task.input_size <= known if task.is_tokens else task.input_size == known
    if not fits:
        sort = "tokens" if task.is_tokens else "inputs"
        raise ConfigError(
            f"{task.label} has {task.input_size} {sort}, {reader.name} reads {known}: they must fit."
        )

    def draw(count: int, length: int, seed: int) -> Tensor:
        x = task.batch(seed, "test", 0, count, length=length, dtype=torch.float64).inputs
        return _embedded(x, reader) if task.is_tokens else _placed(x, reader)

    words = f"inputs of {task.label}"
    if isinstance(task, FunctionalTask) and isinstance(task.input, Gaussian):
        scale = torch.ones(reader.input_size, dtype=torch.float64)
        return Background(draw, f"{words}: white Gaussian, deviation 1", scale, is_white_gaussian=True)
    example = draw(_SCALE_EXAMPLES, task.length, derive_seed(0, "scale"))
    if example.shape[2:] != (reader.input_size,):
        raise ConfigError(f"{task.label} gives several tokens a position, which {reader.name} does not read.")
    return Background(draw, words, example.double().flatten(0, 1).std(0).cpu())


def _windows(series: Tensor, count: int, length: int, seed: int) -> Tensor:
    """Windows that begin anywhere, with equal probability."""
    if length > len(series):
        raise ConfigError(
            f"the background has {len(series)} rows, fewer than the length {length}: give more rows, or "
            "probe fewer lags."
        )
    starts = integers(derive_seed(seed, "background"), torch.arange(count), 1, len(series) - length + 1)
    return series[starts + torch.arange(length)]


def _deviation(counts: Int64[Tensor, " tokens"], reader: Reader) -> Float64[Tensor, " inputs"]:
    """Standard deviation of the embeddings of tokens that occur so often."""
    total = counts.sum().double()
    first = second = torch.zeros(reader.input_size, dtype=torch.float64)
    for tokens in counts.nonzero()[:, 0].split(_TOKENS_AT_ONCE):
        vectors, share = _embedded(tokens[None], reader)[0].double().cpu(), counts[tokens] / total
        first = first + share @ vectors
        second = second + share @ vectors.square()
    return (second - first.square()).clamp(min=0).sqrt()


@torch.no_grad()
def _embedded(tokens: Tensor, reader: Reader) -> Tensor:
    assert reader.embed is not None
    return _placed(reader.embed(tokens.to(reader.device)), reader)


def _placed(values: Tensor, reader: Reader) -> Tensor:
    return values.to(dtype=reader.dtype, device=reader.device)


def _array(values: Any) -> Tensor:
    """Whole numbers as int64, others as float64, on the CPU."""
    try:
        if isinstance(values, Tensor):
            return values.detach().cpu().to(torch.float64 if values.is_floating_point() else torch.int64)
        array = np.asarray(values)
        kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float64
        return torch.from_numpy(array.astype(kind))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"expected a background of numbers (time, inputs), a task, 'white' or 'tokens'; got "
            f"{type(values).__name__} ({error})."
        ) from error
