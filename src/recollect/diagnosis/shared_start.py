r"""A recurrence of several inputs that begins where a fit with shared poles ends.

An encoder E carries the p inputs to the width, a decoder f reads it. State n of the mixer reads
$b_n = c_n E^+$ with $E^+ E = I$, so that it is driven by $c_n x_t$, and writes along $f / |f|^2$: its part of
the memory function is $\mathrm{Re}\, c_n \lambda_n^s$, for each input its own residue. The feed-through is
$\sum_d f_d (d_d + r) E_{di}$, with r = 1 where a residual goes past the mixer.
"""

import math
from typing import Any

import torch
from jaxtyping import Complex128, Float64
from torch import Tensor, nn

from recollect.core import ConfigError
from recollect.diagnosis.shared_poles import SharedPoles
from recollect.models import LRU, SSM, SequenceModel
from recollect.models.parametrisation import from_modulus

Settings = list[tuple[Tensor, Tensor]]


@torch.no_grad()
def start_from_poles(model: SequenceModel, fit: SharedPoles) -> None:
    """Sets an LRU or SSM of one plain layer, in place, to a fit: its memory function is then the fit's.

    Exact to rounding, like `recollect.floors.warm_start` for one input. States that the fit does not need are
    not read.

    Raises:
        ConfigError: a model that cannot hold the fit, which is then unchanged.

    Example:
        >>> from recollect.models import LRU
        >>> pole = torch.full((1,), 0.5, dtype=torch.complex128)
        >>> fit = SharedPoles(pole, torch.stack([pole, -pole], dim=1), torch.ones(2, dtype=torch.float64))
        >>> model = SequenceModel(lambda: LRU(4, num_states=2), 2, 1, dim=4).double()
        >>> start_from_poles(model, fit)
        >>> [[round(tap, 9) for tap in taps] for taps in model.linear_response(2).kernel[:, 0].tolist()]
        [[1.5, 0.5], [0.25, -0.25]]
    """
    encoder, decoder = _matrix(model.encoder), _matrix(model.decoder)
    blocks: list[Any] = list(model.blocks)
    mixer = blocks[0].mixer
    if len(blocks) != 1 or not model.is_affine or not isinstance(mixer, LRU | SSM):
        raise ConfigError("shared poles need one LRU or SSM, with norm='none' and channel_mixer='none'.")
    if len(fit.poles) > mixer.system.num_states:
        raise ConfigError(f"{len(fit.poles)} poles do not fit into {mixer.system.num_states} states.")
    if mixer.system.num_parts == 1 and bool(fit.poles.imag.any()):
        raise ConfigError("the fit has complex poles and the SSM real states: fit real poles.")
    if torch.linalg.matrix_rank(encoder) < encoder.shape[1] or len(decoder) != 1:
        raise ConfigError(
            f"expected a width of at least {encoder.shape[1]}, one for each input, and one output."
        )
    settings = [*_poles(mixer, fit), *_ends(mixer, fit, encoder, decoder[0], float(blocks[0].residual))]
    if not all(bool(value.isfinite().all()) for _, value in settings):
        raise ConfigError("a pole of the fit is out of reach of this parametrisation.")
    biases = [end.bias for end in (model.encoder, model.decoder) if isinstance(end, nn.Linear)]
    for parameter, value in settings + [(bias, 0 * bias) for bias in biases if bias is not None]:
        parameter.copy_(value)


def _matrix(end: nn.Module) -> Float64[Tensor, "outputs inputs"]:
    if not isinstance(end, nn.Linear):
        raise ConfigError(f"shared poles need a linear encoder and decoder, got {type(end).__name__}.")
    return end.weight.double()


def _poles(mixer: LRU | SSM, fit: SharedPoles) -> Settings:
    used = slice(len(fit.poles))
    moduli, phases = fit.poles.abs().clamp_min(1e-300), fit.poles.angle()
    if isinstance(mixer, LRU):
        # A phase has a logarithm: a turn more is the same pole.
        turned = torch.where(phases > 0, phases, phases + 2 * math.pi)
        rates = -moduli.log()
        return [
            (mixer.log_rate[used], rates.log()),
            (mixer.log_phase[used], turned.log()),
            (mixer.log_gain[used], _drive(moduli).log()),
        ]
    if mixer.phase is None:
        return [(mixer.pole[used], from_modulus(fit.poles.real, mixer.parametrisation))]
    return [(mixer.pole[used], from_modulus(moduli, mixer.parametrisation)), (mixer.phase[used], phases)]


def _ends(
    mixer: LRU | SSM,
    fit: SharedPoles,
    encoder: Float64[Tensor, "D inputs"],
    decoder: Float64[Tensor, " D"],
    residual: float,
) -> Settings:
    """Input and output matrices and the feed-through; states of about unit variance under white input."""
    system, used = mixer.system, slice(len(fit.poles))
    gain = _drive(fit.poles.abs()) if isinstance(mixer, LRU) else torch.ones_like(fit.poles.real)
    # What a real pole's residue has of an imaginary part is never read, and may be any number.
    residues = torch.where(fit.poles.imag[:, None] == 0, fit.residues.real + 0j, fit.residues)
    size = residues.abs().square().sum(1).sqrt().clamp_min(1e-300) / _drive(fit.poles.abs())
    read = (residues / (size * gain)[:, None]) @ torch.linalg.pinv(encoder).to(residues.dtype)
    write = torch.outer(decoder / decoder.square().sum(), size).to(residues.dtype)
    through = decoder[:, None] * encoder
    wanted = torch.linalg.lstsq(through.mT, fit.feed_through - residual * through.sum(0)).solution
    return [
        (system.input_parts[used], _parts(read, system.num_parts)),
        (system.output_parts[:, used], _parts(write, system.num_parts)),
        (
            system.output_parts[:, len(fit.poles) :],
            torch.zeros_like(system.output_parts[:, len(fit.poles) :]),
        ),
        (system.feedthrough, wanted),
    ]


def _parts(
    matrix: Complex128[Tensor, "rows columns"], num_parts: int
) -> Float64[Tensor, "rows columns parts"]:
    return torch.view_as_real(matrix)[..., :num_parts]


def _drive(moduli: Float64[Tensor, " N"]) -> Float64[Tensor, " N"]:
    """Input gains that give a fading state unit variance under white input."""
    fading = 1 - moduli.square()
    return torch.where(fading > 0, fading, 1.0).sqrt()
