r"""A single convolution of several inputs that begins as a given filter.

An encoder E carries the inputs to the width, a decoder f reads it. With the matrices
$W_j = \frac{f}{|f|^2}\, k_j\, E^+$ at delay j, $E^+ E = I$, the memory function at lag j is $k_j$.
"""

from typing import Any

import torch
from torch import nn

from recollect.core import ConfigError
from recollect.diagnosis.input_metric import Memory
from recollect.models import TCN, SequenceModel


def is_single_filter(model: SequenceModel) -> bool:
    """Whether it is one linear convolution between encoder and decoder, with nothing that passes it by."""
    blocks: list[Any] = list(model.blocks)
    mixers = model.mixers
    if len(mixers) != 1 or not isinstance(mixers[0], TCN) or not model.is_affine:
        return False
    return len(mixers[0].delays) == 1 and not mixers[0].residual and not blocks[0].residual


@torch.no_grad()
def start_from_filter(model: SequenceModel, values: Memory) -> None:
    """Sets a model for which `is_single_filter` holds, in place, to the filter of its receptive field.

    Args:
        model: of as many inputs as `values` has, at least as wide.
        values: taps at lags 0, 1, ...; those beyond the receptive field are left out.

    Raises:
        ConfigError: another model, which is then unchanged.

    Example:
        >>> convolution = lambda: TCN(2, kernel_size=2, num_levels=1, activation="linear", residual=False)
        >>> model = SequenceModel(convolution, 2, 1, dim=2, residual=False).double()
        >>> start_from_filter(model, torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64))
        >>> model.linear_response(2).kernel[:, 0].round(decimals=9).tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    ends = [end for end in (model.encoder, model.decoder) if isinstance(end, nn.Linear)]
    if not is_single_filter(model) or len(ends) < 2:
        raise ConfigError("a filter is held by one linear convolution of one level, with residual=False.")
    encoder, decoder = (end.weight.double() for end in ends)
    if torch.linalg.matrix_rank(encoder) < encoder.shape[1] or len(decoder) != 1:
        raise ConfigError(f"expected a width of at least {encoder.shape[1]}, and one output.")
    level = model.mixers[0].levels[0]
    field = model.mixers[0].receptive_field
    taps = nn.functional.pad(values[:field], (0, 0, 0, max(field - len(values), 0)))
    write = decoder[0] / decoder.square().sum()
    matrices = torch.einsum("o,ji,id->ojd", write, taps, torch.linalg.pinv(encoder))
    level.weight.copy_(matrices.flatten(1))
    for end in ends:
        if end.bias is not None:
            end.bias.zero_()
