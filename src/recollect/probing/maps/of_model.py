"""Any causal model as a sequence map."""

from typing import Any

from torch import nn

from recollect.core import ConfigError
from recollect.models import SequenceModel
from recollect.probing.maps.background import Amplitude, choose_background
from recollect.probing.maps.function import read_function
from recollect.probing.maps.language_model import is_language_model, read_language_model
from recollect.probing.maps.layer import read_layer
from recollect.probing.maps.own_model import read_own_model
from recollect.probing.maps.reader import Reader, tried_output_size
from recollect.probing.maps.readout import Readout, read_through
from recollect.probing.maps.sequence_map import SequenceMap


def sequence_map(
    model: Any,
    *,
    input_size: int | None = None,
    background: Any = None,
    amplitude: Amplitude = 1.0,
    readout: Readout | None = None,
    name: str | None = None,
) -> SequenceMap:
    """A model as a map of numbers, with the inputs it is probed on. The model itself is left untouched.

    Args:
        model: a `SequenceModel`; any module `(B, T, D)` to `(B, T, outputs)`, whose output may also begin a
            tuple or lie in an output object; a causal language model of `transformers`, probed through its
            input embeddings; a function of tensors or of NumPy arrays; or a `SequenceMap`, returned as it is.
        input_size: channels of the input, where the model does not say.
        background: what it reads: `"white"` Gaussian numbers (default), or `"tokens"`, embeddings of
            uniformly random ones (default of a model of tokens); a table `(N, inputs)` of data, of which
            windows are read; tokens `(N,)` of a text; or a task, whose inputs are read.
        amplitude: standard deviation of white numbers, for all channels or each. Nonlinear models remember
            differently at different amplitudes: take that of the data.
        readout: matrix `(outputs, probed)` that the outputs are read through, `y @ readout`. Of a model of
            tokens its rows are the logits or the channels of the last hidden state; by default a few random
            unit directions of the latter are read.
        name: what the map is called, by default what the model is; a readout is named behind it.

    Cost: one forward pass over two short sequences.

    Raises:
        ConfigError: what cannot be read, and what to give instead.

    Example:
        >>> ready = sequence_map(torch.nn.GRU(3, 5), amplitude=0.5)
        >>> ready.input_size, ready.output_size, ready.background
        (3, 5, 'white Gaussian, deviation 0.5')
        >>> ready.apply(ready.draw(2, 7, 0)).shape
        torch.Size([2, 7, 5])
    """
    if isinstance(model, SequenceMap):
        return model
    reader = _reader(model, input_size, _columns(background), readout)
    if input_size not in (None, reader.input_size):
        raise ConfigError(f"{reader.name} reads {reader.input_size} inputs, got input_size={input_size}.")
    output_size = tried_output_size(reader)
    chosen = choose_background(reader, background, amplitude)
    return SequenceMap(
        apply=reader.apply,
        input_size=reader.input_size,
        output_size=output_size,
        draw=chosen.draw,
        background=chosen.words,
        input_scale=chosen.scale,
        is_white_gaussian=chosen.is_white_gaussian,
        name=(name or reader.name) + (f": {reader.part_read}" if reader.part_read else ""),
        module=reader.module,
        dtype=reader.dtype,
        device=reader.device,
        differentiable=reader.differentiable,
        max_length=reader.max_length,
    )


def _reader(model: Any, input_size: int | None, columns: int | None, readout: Readout | None) -> Reader:
    if isinstance(model, SequenceModel):
        return read_own_model(model, readout)
    if is_language_model(model):
        return read_language_model(model, readout)
    if isinstance(model, nn.Module):
        return read_through(read_layer(model, input_size, columns), readout)
    if isinstance(model, type) or not callable(model):
        came = f"the class {model.__name__}: build it" if isinstance(model, type) else type(model).__name__
        raise ConfigError(
            f"expected a model or a function of (batch, time, inputs) to (batch, time, outputs), got {came}."
        )
    return read_through(read_function(model, columns if input_size is None else input_size), readout)


def _columns(background: Any) -> int | None:
    """What a background says of the number of inputs: a table its columns, a task of numbers its channels."""
    shape = getattr(background, "shape", ())
    if len(shape) == 2:
        return int(shape[1])
    return None if getattr(background, "is_tokens", True) else background.input_size
