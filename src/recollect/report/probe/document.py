"""What a probe found, as plain JSON: what `--json` prints, and the page and the terminal are drawn from."""

from typing import Any

from jaxtyping import Float64
from scipy.stats import t as student
from torch import Tensor

import recollect
from recollect.core.plain import finite
from recollect.probing import LagEstimate, MemoryProfile
from recollect.report.probe.sentences import probe_sentences

VERSION = 1
"""Of the keys and their meaning."""

MOST_CHANNELS = 6
"""Pairs of output and input of which every lag is kept: those of the largest memory."""


def probe_document(profile: MemoryProfile, *, most_channels: int = MOST_CHANNELS) -> dict[str, Any]:
    """Everything as plain JSON, with fixed keys; numbers that are not finite are null.

    `memory_function` has an object for each of the `most_channels` pairs of output and input with the largest
    memory, `magnitude` the norm over all pairs, `bracket` the share of the outputs' variance that each lag is
    responsible for. All lists have lag 0 first.
    """
    estimate = profile.estimate
    _, outputs, inputs = estimate.values.shape
    seen = [*sorted(profile.by_position.items()), (estimate.position, estimate)]
    document = {
        "version": VERSION,
        "recollect": recollect.__version__,
        **profile.summary(),
        "channels": {"outputs": outputs, "inputs": inputs, "shown": min(most_channels, outputs * inputs)},
        "memory_function": [_channel(profile, *pair) for pair in _largest(estimate.values, most_channels)],
        "magnitude": _magnitude(estimate, profile.confidence),
        "bracket": _bracket(profile),
        "positions": [
            {"position": position, "magnitude": _plain(_energy(at).clamp(min=0).sqrt())}
            for position, at in seen
        ],
    }
    return {"sentences": probe_sentences(document), **document}


def _largest(values: Float64[Tensor, "lags outputs inputs"], most: int) -> list[tuple[int, int]]:
    """Pairs of output and input, in their order, of the largest energies."""
    energy = values.square().sum(0)
    kept = energy.flatten().topk(min(most, energy.numel())).indices.sort().values
    return [divmod(int(place), energy.shape[1]) for place in kept]


def _channel(profile: MemoryProfile, output: int, channel: int) -> dict[str, Any]:
    rms = profile.estimate.rms
    return {
        "output": output,
        "input": channel,
        "values": _plain(profile.values[:, output, channel]),
        "lower": _plain(profile.lower[:, output, channel]),
        "upper": _plain(profile.upper[:, output, channel]),
        "rms": None if rms is None else _plain(rms[:, output, channel]),
    }


def _magnitude(estimate: LagEstimate, confidence: float) -> dict[str, Any]:
    """Norm over all channels by lag, cleared of the noise, with its band and that of single sequences."""
    energy, noise = _energy(estimate), estimate.standard_errors.square()
    cleared = (estimate.values.square() - noise).clamp(min=0)
    error = (4 * cleared * noise + 2 * noise.square()).sum((1, 2)).sqrt()
    reach = float(student.ppf((1 + confidence) / 2, estimate.degrees_of_freedom)) * error
    sizes = {"values": energy, "lower": energy - reach, "upper": energy + reach}
    rms = None if estimate.rms is None else _plain(estimate.rms.square().sum((1, 2)).sqrt())
    return {name: _plain(size.clamp(min=0).sqrt()) for name, size in sizes.items()} | {"rms": rms}


def _energy(estimate: LagEstimate) -> Float64[Tensor, " lags"]:
    """Of all channels by lag; a square of an estimate is too large by the estimate's variance."""
    return (estimate.values.square() - estimate.standard_errors.square()).sum((1, 2))


def _bracket(profile: MemoryProfile) -> dict[str, list[float | None]] | None:
    """As shares of the variance of all outputs."""
    if profile.bracket is None:
        return None
    variance = float(profile.estimate.output_variance.sum())
    if not variance > 0:
        return None
    lower, upper = (end.sum((1, 2)) / variance for end in profile.bracket)
    return {"lower": _plain(lower), "upper": _plain(upper)}


def _plain(values: Tensor) -> list[float | None]:
    return [finite(value) for value in values.tolist()]
