r"""The Gaussian cross-correlation: what the outputs have in common with the inputs s positions ago.

$$k(s) = E[y_t x_{t-s}] / s2$$

For white Gaussian input that is the best linear memory function, and the mean Jacobian (Stein's identity). It
needs outputs alone, and no small jump: a black box can be asked. Sequences are longer than the lags; the mean
is over all positions that have every lag, by one Fourier transform of a whole sequence: with outputs set to
zero at the first `length - 1` positions no product wraps around.

Most of the noise of a cross-correlation comes from the outputs' linear part, at all other lags. It is taken
away without bias: memory functions are fitted by least squares on one half of the samples, their answer is
subtracted from the outputs of the other half, and they are added to the correlation of what remains,

$$\hat k = \hat k_A + \mathrm{corr}_B(y - \hat k_A * x), \qquad E\,[\hat k \mid A] = k ,$$

then the halves change places and the two are averaged: control variates with cross-fitting. Of a map that is
linear with no more than `length` lags next to nothing remains.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Complex128, Float64
from torch import Tensor, nn

from recollect.core import ConfigError, derive_seed
from recollect.ops.conjugate_gradient import conjugate_gradient
from recollect.probing.maps import SequenceMap
from recollect.probing.profile.backgrounds import backgrounds, check_probe
from recollect.probing.profile.estimate import LagEstimate, lag_estimate
from recollect.probing.profile.sample_moments import LagValues, MeanAnswer, SampleMoments

_QUANTITY = (
    "cross-correlation E[y_t x_(t-s)]/s2 with white Gaussian input, the linear memory function k1 (mean over "
    "positions {first} to {last})"
)

_PRODUCT_VALUES = 2**21
_FIT_ITERATIONS = 8
_FIT_TOLERANCE = 1e-12
_NUMBERS_A_COEFFICIENT = 4


@torch.no_grad()
def gaussian_correlation(
    probed: SequenceMap, *, length: int, samples: int = 256, seed: int = 0, windows: int = 4
) -> LagEstimate:
    """Lags 0..length-1, over positions `length - 1` to `windows * length - 1`.

    Cost: each sample is read once, over `windows * length` positions; a Fourier transform of it each time
    the fit is improved, eight times.

    Args:
        probed: any map on white Gaussian inputs.
        length: number of lags.
        samples: independent sequences, at least 4.
        seed: of the sequences.
        windows: sequences have this many times `length` positions, or as many as the map can read. One
            window: the single position `length - 1`, for maps that change with the position.

    Raises:
        ConfigError: a background that is not white Gaussian, or a map that cannot be read so far.
        NumericalError: outputs that are not finite.

    Example:
        >>> from recollect.probing.maps import sequence_map
        >>> delayed = sequence_map(lambda x: torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1], input_size=1)
        >>> gaussian_correlation(delayed, length=3, samples=16).values.flatten().round(decimals=4).abs()
        tensor([0., 1., 0.], dtype=torch.float64)
    """
    check_probe(probed, length, samples)
    if not probed.is_white_gaussian:
        raise ConfigError(
            f"a cross-correlation is the memory function for white Gaussian inputs alone, and the background "
            f"is {probed.background}, whose own correlations would be added to the map's: take "
            "estimator='jacobian', or 'impulse' for a black box."
        )
    if probed.max_length is not None:
        windows = max(1, min(windows, probed.max_length // length))
    halves = [
        _read(probed, count, length, windows, half_seed)
        for count, half_seed in (
            (samples // 2, derive_seed(seed, "half", 0)),
            (samples - samples // 2, derive_seed(seed, "half", 1)),
        )
    ]
    fits = [half.fit() for half in halves]
    answers = [half.answer(fit) for half, fit in zip(halves, reversed(fits), strict=True)]
    answer = answers[0].averaged(answers[1], independent=not any(fit.values.any() for fit in fits))
    return lag_estimate(
        probed,
        answer.divided(probed.input_scale.to("cpu", torch.float64)),
        torch.cat([half.outputs.flatten(0, 1) for half in halves]).var(0),
        estimator="correlation",
        quantity=_QUANTITY.format(first=length - 1, last=windows * length - 1),
        position=windows * length - 1,
    )


@dataclass(frozen=True)
class _Fit:
    """What one half says about the other: a memory function of the scaled inputs, and a mean by position."""

    values: LagValues
    means: Float64[Tensor, "positions outputs"]


@dataclass(frozen=True)
class _Half:
    """Half of the samples, inputs scaled to unit variance.

    Attributes:
        spectra: of the inputs.
        outputs: at the positions that have every lag.
        length: number of lags.
    """

    spectra: Complex128[Tensor, "n frequencies inputs"]
    outputs: Float64[Tensor, "n positions outputs"]
    length: int

    def fit(self) -> _Fit:
        """Least squares on lags and means, by conjugate gradients on the normal equations.

        The means, one a position, hold what a model does from its first state on, whatever the inputs are.
        With few numbers a coefficient the fit would follow chance: then it is the means alone.
        """
        num_outputs, num_inputs = self.outputs.shape[-1], self.spectra.shape[-1]
        values = self.outputs.new_zeros(self.length, num_outputs, num_inputs)
        if self.outputs.shape[:2].numel() < _NUMBERS_A_COEFFICIENT * self.length * num_inputs:
            return _Fit(values, self.outputs.mean(0))

        def product(flat: Tensor) -> Tensor:
            return _flat(self._mean_correlation(self._answers(_by_lag(flat, values))))

        target = _flat(self._mean_correlation(self.outputs))
        solution, _ = conjugate_gradient(
            product, target, lambda r: r, tolerance=_FIT_TOLERANCE, max_iterations=_FIT_ITERATIONS
        )
        values = _by_lag(solution, values)
        return _Fit(values, (self.outputs - self._answers(values)).mean(0))

    def answer(self, fit: _Fit) -> MeanAnswer:
        """The memory function by every sample: what the other half fitted, and what that misses here."""
        remains = self.outputs - self._answers(fit.values) - fit.means
        numbers = self.length * fit.values[0].numel()
        chunk = max(1, _PRODUCT_VALUES // numbers)
        moments = SampleMoments()
        for part, spectra in zip(remains.split(chunk), self.spectra.split(chunk), strict=True):
            products = torch.einsum("nfo,nfi->nfoi", self._spectrum(part), spectra.conj())
            moments.add(fit.values + self._at_lags(products, dim=1))
        return moments.answer()

    @property
    def _positions(self) -> int:
        return self.outputs.shape[1]

    @property
    def _window(self) -> int:
        return self._positions + self.length - 1

    def _answers(self, values: LagValues) -> Float64[Tensor, "n positions outputs"]:
        """Of a linear map with these memory functions, where every lag is there."""
        products = torch.einsum("nfi,foi->nfo", self.spectra, torch.fft.rfft(values, self._window, dim=0))
        return torch.fft.irfft(products, self._window, dim=1)[:, self.length - 1 :]

    def _mean_correlation(self, signal: Float64[Tensor, "n positions outputs"]) -> LagValues:
        centred = signal - signal.mean(0)
        products = torch.einsum("nfo,nfi->foi", self._spectrum(centred), self.spectra.conj())
        return self._at_lags(products, dim=0) / len(signal)

    def _spectrum(self, signal: Float64[Tensor, "n positions outputs"]) -> Tensor:
        silent = nn.functional.pad(signal, (0, 0, self.length - 1, 0))
        return torch.fft.rfft(silent, dim=1)

    def _at_lags(self, products: Tensor, dim: int) -> Tensor:
        sums = torch.fft.irfft(products, self._window, dim=dim).narrow(dim, 0, self.length)
        return sums / self._positions


def _read(probed: SequenceMap, samples: int, length: int, windows: int, seed: int) -> _Half:
    scale = probed.input_scale.to("cpu", torch.float64)
    spectra, outputs = [], []
    for x in backgrounds(probed, samples, windows * length, seed):
        spectra.append(torch.fft.rfft(x.to("cpu", torch.float64) / scale, dim=1))
        outputs.append(probed.apply(x)[:, length - 1 :].to("cpu", torch.float64))
    return _Half(torch.cat(spectra), torch.cat(outputs), length)


def _flat(values: LagValues) -> Float64[Tensor, "outputs coefficients"]:
    return rearrange(values, "s o i -> o (s i)")


def _by_lag(flat: Float64[Tensor, "outputs coefficients"], like: LagValues) -> LagValues:
    return rearrange(flat, "o (s i) -> s o i", s=len(like))
