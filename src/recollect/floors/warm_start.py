r"""A model that begins where a construction ends: its parameters are set so that it is the fit.

One layer reads one channel through an encoder e and is read by a decoder f. Its impulse response is
$f^\top (k_s + r\, \delta_{s0}) e$, with the mixer's kernel k, and r = 1 where a residual goes past the mixer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Complex128, Float64
from torch import Tensor, nn

from recollect.core import ConfigError
from recollect.floors.floor import Fit
from recollect.floors.recurrence_fit import RecurrenceFit
from recollect.floors.tensor_train_fit import tensor_train
from recollect.memory import tensor_train_ranks
from recollect.models import LRU, RNN, S4D, SSM, TCN, SequenceModel
from recollect.models.parametrisation import from_decay_rate, from_modulus

Vector = Float64[Tensor, " D"]
ComplexVector = Complex128[Tensor, " N"]
Settings = list[tuple[Tensor, Tensor]]
"""Parameters, or parts of them, and what they are to hold."""

# In place of a modulus of 0, whose logarithm is infinite.
_SMALLEST_MODULUS = 1e-300
# Singular values below it, relative to the largest, are rounding of the fit's taps.
_ROUNDING = 1e-14


@torch.no_grad()
def warm_start(model: SequenceModel, fit: Fit) -> None:
    """Sets a linear model of one layer, in place, to a fit: its impulse response is then the fit's taps.

    To rounding: about 1e-12 in float64; in float32 a slow or oscillating pole is itself rounded, which an
    error of 1e-7 per lag shows, and large residues of opposite sign multiply it. States that the fit does
    not need keep their poles and inputs and are not read: training can take them up. Constants become 0.

    | model | holds |
    |---|---|
    | `ssm`, real | a `RecurrenceFit` with as many real poles, of moduli that its parametrisation reaches |
    | `ssm`, complex; `lru` | one with as many poles, real or one of a pair, inside the unit circle |
    | `s4d` | the same, spread over the channels |
    | `rnn`, linear | one with as many real states as the width, register and all, anywhere |
    | `tcn`, linear | any fit that ends within its receptive field, if its width is that of the tensor train |

    With the parametrisation `direct` poles of an `ssm` or `s4d` may lie anywhere.

    Raises:
        ConfigError: a model that cannot hold the fit, which is then unchanged; says what is missing.

    Example:
        >>> from recollect.memory import ExponentialSum
        >>> one = torch.ones(1, dtype=torch.complex128)
        >>> model = SequenceModel(lambda: SSM(4, num_states=3), 1, 1, dim=4, bias=False).double()
        >>> warm_start(model, RecurrenceFit(ExponentialSum(one / 2, one)))
        >>> [round(tap, 9) for tap in model.kernel(3).flatten().tolist()]
        [1.0, 0.5, 0.25]
    """
    place = _Place.of(model)
    known = [kind for kind in _SETTINGS if isinstance(place.mixer, kind)]
    if not known or not place.mixer.is_lti:
        names = ", ".join(kind.__name__ for kind in _SETTINGS)
        raise ConfigError(
            f"a warm start needs one of the mixers {names}, with activation='linear' where it has one; got "
            f"{type(place.mixer).__name__}."
        )
    settings = _SETTINGS[known[0]](place, fit)
    for parameter, value in settings:
        if not bool(value.to(parameter.dtype).isfinite().all()):
            raise ConfigError(
                f"the poles of the fit are out of reach of this {type(place.mixer).__name__}: take a fit "
                "with all poles inside the unit circle (`max_modulus`), positive ones for a real SSM under "
                "'exp' or 'softplus', or parametrisation='direct'."
            )
    for parameter, value in settings + place.without_constants():
        parameter.copy_(value)


@dataclass(frozen=True, eq=False)
class _Place:
    """The mixer, and what stands around it."""

    model: SequenceModel
    mixer: Any
    residual: float
    encoder: Vector
    decoder: Vector

    @classmethod
    def of(cls, model: SequenceModel) -> "_Place":
        blocks: list[Any] = list(model.blocks)
        plain = isinstance(model.norm, nn.Identity) and blocks[0].channel_mixer is None
        if len(blocks) != 1 or not plain:
            raise ConfigError(
                f"a warm start needs one layer with norm='none' and channel_mixer='none', got {len(blocks)} "
                f"layers, norm {type(model.norm).__name__} and channel mixer "
                f"{type(blocks[0].channel_mixer).__name__}."
            )
        encoder = _matrix(model.encoder, model.input_size)
        decoder = _matrix(model.decoder, len(encoder))
        if encoder.shape[1] != 1 or decoder.shape[0] != 1 or not encoder.any() or not decoder.any():
            raise ConfigError(
                "a warm start needs one channel in and one out, and an encoder and decoder that are not 0, "
                f"got {encoder.shape[1]} in and {decoder.shape[0]} out."
            )
        return cls(model, blocks[0].mixer, float(blocks[0].residual), encoder[:, 0], decoder[0])

    def without_constants(self) -> Settings:
        """Biases of encoder and decoder at 0."""
        ends = (self.model.encoder, self.model.decoder)
        biases = [end.bias for end in ends if isinstance(end, nn.Linear) and end.bias is not None]
        return [(bias, torch.zeros_like(bias)) for bias in biases]

    def even(self) -> "_Place":
        """With an encoder and a decoder that treat all channels alike."""
        ones = torch.ones_like(self.encoder)
        return replace(self, encoder=ones, decoder=ones / len(ones) ** 0.5)

    def as_settings(self) -> Settings:
        """Its encoder and decoder, where the model has them."""
        ends = ((self.model.encoder, self.encoder[:, None]), (self.model.decoder, self.decoder[None]))
        return [(end.weight, value) for end, value in ends if isinstance(end, nn.Linear)]

    def feedthrough(self, wanted: float) -> Vector:
        """What each channel passes on, so that with the residual `wanted` reaches the output."""
        gains = self.encoder * self.decoder
        return wanted * gains / gains.square().sum() - self.residual


def _matrix(end: nn.Module, size: int) -> Float64[Tensor, "outputs inputs"]:
    if isinstance(end, nn.Identity):
        return torch.eye(size, dtype=torch.float64)
    if not isinstance(end, nn.Linear):
        raise ConfigError(f"a warm start needs a linear encoder and decoder, got {type(end).__name__}.")
    return end.weight.double()


def _recurrence(fit: Fit) -> RecurrenceFit:
    if not isinstance(fit, RecurrenceFit):
        raise ConfigError(f"a recurrence starts from a RecurrenceFit, got {type(fit).__name__}.")
    return fit


def _modes(fit: Fit, room: int, unit: str) -> tuple[ComplexVector, ComplexVector, float]:
    """Poles, residues and feed-through for a diagonal model, if it has room for them."""
    found = _recurrence(fit)
    d = found.feed_through
    if len(found.register) == 1 and found.register_start == 0:
        d += float(found.register[0])
    elif len(found.register):
        raise ConfigError(
            f"the fit is a shift register of {len(found.register)} taps, which no diagonal recurrence is: "
            "start a linear rnn from it."
        )
    poles = found.sum.poles
    if len(poles) > room:
        raise ConfigError(
            f"the fit has {len(poles)} poles, one of each pair, and the model {room} {unit}: give it more, "
            "or fit fewer."
        )
    return torch.where(poles == 0, _SMALLEST_MODULUS, poles), found.sum.residues, d


def _drive(moduli: Float64[Tensor, "*N"]) -> Float64[Tensor, "*N"]:
    """Input gains that give a fading state unit variance under white input."""
    fading = 1 - moduli.square()
    return torch.where(fading > 0, fading, 1.0).sqrt()


def _start_ssm(place: _Place, fit: Fit) -> Settings:
    mixer: SSM = place.mixer
    poles, residues, d = _modes(fit, len(mixer.pole), "states")
    used = slice(len(poles))
    drive = _drive(poles.abs())
    system = _system(place, drive, residues / drive, d)
    if mixer.phase is not None:
        moduli = from_modulus(poles.abs(), mixer.parametrisation)
        return [*system, (mixer.pole[used], moduli), (mixer.phase[used], poles.angle())]
    if bool(poles.imag.any()):
        raise ConfigError("the fit has complex poles and the SSM real states: fit with poles='real'.")
    return [*system, (mixer.pole[used], from_modulus(poles.real, mixer.parametrisation))]


def _start_lru(place: _Place, fit: Fit) -> Settings:
    mixer: LRU = place.mixer
    poles, residues, d = _modes(fit, mixer.num_states, "states")
    used = slice(len(poles))
    drive = _drive(poles.abs())
    # A phase of 0 has no logarithm: a whole turn is the same pole.
    phases = torch.where(poles.angle() == 0, 2 * math.pi, poles.angle())
    return [
        *_system(place, torch.ones_like(drive), residues / drive, d),
        (mixer.log_gain[used], drive.log()),
        (mixer.log_rate[used], (-poles.abs().log()).log()),
        (mixer.log_phase[used], phases.log()),
    ]


def _system(place: _Place, inputs: Vector, outputs: ComplexVector, d: float) -> Settings:
    """`B`, `C` and `d` of a `DiagonalSystem`: each state reads and writes along encoder and decoder."""
    system, used = place.mixer.system, len(inputs)
    read = torch.einsum("n,d->nd", inputs, _inverse(place.encoder))
    # The output is the real part of the conjugate of C times the state.
    write = torch.einsum(
        "d,np->dnp", _inverse(place.decoder), torch.view_as_real(outputs.conj().resolve_conj())
    )
    is_complex = system.num_parts == 2
    return [
        (system.input_parts[:used], torch.stack([read, 0 * read], -1) if is_complex else read[..., None]),
        (system.output_parts[:, :used], write if is_complex else write[..., :1]),
        (system.output_parts[:, used:], torch.zeros_like(system.output_parts[:, used:])),
        (system.feedthrough, place.feedthrough(d)),
    ]


def _start_s4d(place: _Place, fit: Fit) -> Settings:
    """Poles in the order of their decay, spread over the channels, which all count alike."""
    mixer: S4D = place.mixer
    poles, residues, d = _modes(fit, mixer.dim * mixer.num_states, "states in all channels")
    even = place.even()
    share = even.encoder * even.decoder
    settings: Settings = [
        *even.as_settings(),
        (mixer.output_parts, torch.zeros_like(mixer.output_parts)),
        (mixer.feedthrough, even.feedthrough(d)),
    ]
    for channel, chosen in enumerate(poles.abs().argsort().tensor_split(mixer.dim)):
        if len(chosen):
            settings += _channel(mixer, channel, poles[chosen], residues[chosen] / share[channel])
    return settings


def _channel(mixer: S4D, channel: int, poles: ComplexVector, residues: ComplexVector) -> Settings:
    """One channel; its step size is such that the fastest mode decays at the rate 1/2, as at first."""
    used = slice(len(poles))
    z = poles.log() if mixer.discretisation == "zoh" else 2 * (poles - 1) / (poles + 1)
    fastest = (-z.real).max()
    dt = 2 * fastest if fastest > 0 else mixer.log_dt[channel, 0].double().exp()
    a = z / dt
    held = torch.expm1(z) / a if mixer.discretisation == "zoh" else dt / (1 - z / 2)
    return [
        (mixer.log_dt[channel], dt.log()[None]),
        (mixer.decay[channel, used], from_decay_rate(-a.real, mixer.parametrisation)),
        (mixer.frequency[channel, used], a.imag),
        (mixer.output_parts[channel, used], torch.view_as_real(residues / (2 * held))),
    ]


def _start_rnn(place: _Place, fit: Fit) -> Settings:
    """A rotation for each pair of poles, and a chain for the register, before the states left alone."""
    mixer: RNN = place.mixer
    encoder, decoder = place.model.encoder, place.model.decoder
    if isinstance(encoder, nn.Identity) or isinstance(decoder, nn.Identity):
        raise ConfigError(
            "a warm start of an rnn needs an encoder and a decoder: its states are its outputs."
        )
    found = _recurrence(fit)
    past_states = bool(place.residual) and found.sum.num_states > 0
    transition, drive, read = _realised(found, with_feed_through=not past_states)
    used, dim = len(read), mixer.dim
    if used > dim:
        raise ConfigError(f"the fit needs {used} real states, got dim={dim}: widen it, or fit fewer.")
    readout = nn.functional.pad(read, (0, dim - used))
    inputs = place.encoder
    if place.residual:
        wanted = found.feed_through if past_states else 0.0
        inputs = inputs + readout * (wanted - readout @ inputs) / readout.square().sum()
    if inputs.norm() < _ROUNDING * place.encoder.norm():
        raise ConfigError("a residual past a single state cannot be cancelled: widen it, or residual=False.")
    zero = mixer.recurrent_matrix.new_zeros
    return [
        (mixer.recurrent_matrix[:used, :used], transition),
        (mixer.recurrent_matrix[:used, used:], zero(used, dim - used)),
        (mixer.recurrent_matrix[used:, :used], zero(dim - used, used)),
        (mixer.input_matrix[:used], torch.outer(drive, _inverse(inputs))),
        (encoder.weight, inputs[:, None]),
        (decoder.weight, readout[None]),
    ]


def _realised(
    fit: RecurrenceFit, *, with_feed_through: bool
) -> tuple[Float64[Tensor, "N N"], Float64[Tensor, " N"], Float64[Tensor, " N"]]:
    """A, b and c with taps `c A^s b`; the first tap with or without the feed-through."""
    chain = nn.functional.pad(fit.register, (fit.register_start if len(fit.register) else 0, 0))
    if with_feed_through and fit.feed_through:
        chain = chain.clone() if len(chain) else chain.new_zeros(1)
        chain[0] += fit.feed_through
    blocks, drives, reads = [torch.diag(torch.ones_like(chain[1:]), -1)] if len(chain) else [], [], []
    if len(chain):
        drives.append(nn.functional.pad(chain.new_ones(1), (0, len(chain) - 1)))
        reads.append(chain)
    for pole, residue in zip(fit.sum.poles, fit.sum.residues, strict=True):
        gain = _drive(pole.abs())
        a, b = pole.real, pole.imag
        count = 2 if b else 1
        blocks.append(torch.stack([a, -b, b, a]).reshape(2, 2)[:count, :count])
        drives.append(torch.stack([gain, 0 * gain])[:count])
        reads.append(torch.stack([residue.real, -residue.imag])[:count] / gain)
    if not blocks:
        return chain.new_zeros(0, 0), chain, chain
    return torch.block_diag(*blocks), torch.cat(drives), torch.cat(reads)


def _start_tcn(place: _Place, fit: Fit) -> Settings:
    """Kernels of the tensor train; channels beyond its ranks are computed as before, and not read."""
    mixer: TCN = place.mixer
    base, reach = len(mixer.delays[0]), mixer.receptive_field
    if any(delays[-1] != (base - 1) * base**level for level, delays in enumerate(mixer.delays)):
        raise ConfigError("a warm start of a tcn needs kernel_size equal to dilation_base.")
    taps = fit.taps(2 * reach)
    if bool(taps[reach:].any()):
        raise ConfigError(f"the fit reaches beyond the {reach} inputs that this tcn reads: add levels.")
    values = taps[:reach].clone()
    values[0] -= place.residual * (place.encoder @ place.decoder)
    width = max(tensor_train_ranks(values, base, _ROUNDING), default=1)
    if width > mixer.dim:
        raise ConfigError(f"the fit is a tensor train of rank {width}, got dim={mixer.dim}: widen it.")
    cores = tensor_train(values, base, max(width, 1))
    return [
        (level.weight, _level(place, level.weight.double(), core, first=k == 0, last=k == len(cores) - 1))
        for k, (level, core) in enumerate(zip(mixer.levels, cores, strict=True))
    ]


def _level(
    place: _Place,
    weight: Float64[Tensor, "D taps_D"],
    core: Float64[Tensor, "taps outputs inputs"],
    *,
    first: bool,
    last: bool,
) -> Float64[Tensor, "D taps_D"]:
    dim, eye = len(weight), torch.eye(len(weight), dtype=torch.float64)
    read = _inverse(place.encoder)[None] if first else eye[: core.shape[2]]
    write = _inverse(place.decoder)[:, None] if last else eye[:, : core.shape[1]]
    matrices = torch.einsum("do,joi,ie->jde", write, core, read)
    matrices[0] -= float(place.mixer.residual) * eye
    used = dim if last else core.shape[1]
    before = torch.stack(weight.chunk(len(core), dim=1))
    return torch.cat([*torch.cat([matrices[:, :used], before[:, used:]], dim=1)], dim=1)


def _inverse(vector: Vector) -> Vector:
    """The shortest vector whose product with it is 1."""
    return vector / vector.square().sum()


_SETTINGS: dict[type[nn.Module], Callable[[_Place, Fit], Settings]] = {
    SSM: _start_ssm,
    LRU: _start_lru,
    S4D: _start_s4d,
    RNN: _start_rnn,
    TCN: _start_tcn,
}
