"""The models of this package: numbers as they are, tokens from their embeddings on."""

from torch import Tensor

from recollect.models import SequenceModel
from recollect.probing.maps.reader import Reader, inferred_max_length, placement
from recollect.probing.maps.readout import Readout, read_through, read_tokens_through


def read_own_model(model: SequenceModel, readout: Readout | None) -> Reader:
    """Of a `SequenceModel`; one of tokens is everything after its `encoder`.

    Raises:
        ConfigError: a readout that does not fit.
    """
    dtype, device = placement(model)
    names = dict.fromkeys(type(mixer).__name__ for mixer in model.mixers)
    name = f"model of {len(model.mixers)} {' and '.join(names)} block{'s' if len(model.mixers) > 1 else ''}"
    if not model.is_tokens:
        reader = Reader(
            apply=model,
            input_size=model.input_size,
            name=name,
            module=model,
            dtype=dtype,
            device=device,
            max_length=inferred_max_length(model),
        )
        return read_through(reader, readout)

    def hidden(x: Tensor) -> Tensor:
        for block in model.blocks:
            x = block(x)
        return model.norm(x)

    reader = Reader(
        apply=hidden,
        input_size=model.dim,
        name=name,
        module=model,
        dtype=dtype,
        device=device,
        max_length=inferred_max_length(model),
        embed=model.encoder,
        vocabulary_size=model.input_size,
    )
    return read_tokens_through(reader, lambda x: model.decoder(hidden(x)), readout)
