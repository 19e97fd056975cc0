"""The numbers of a memory function that is known up to errors, whether measured in a model or in data."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.memory.sign_changes import sign_changes
from recollect.probing.profile.decay_law import DecayLaw, decay_law_of
from recollect.probing.profile.effective_rank import hankel_rank, tensor_train_rank
from recollect.probing.profile.energies import Energies, ErrorsAre, energies
from recollect.probing.profile.horizons import effective_taps, horizon
from recollect.probing.profile.interval import Interval

SMALLEST_ONSET = 0.02
"""Share of the largest magnitude from which a lag ends the delay."""


@dataclass(frozen=True)
class MemoryNumbers:
    """What a memory function asks of a model. All of it is without a unit.

    Attributes:
        h50: lags that hold half of the energy.
        h95: lags that hold 95 % of the energy.
        decay: exponential or power law.
        hankel_rank: states that a linear recurrence needs at least (95 % lower bound).
        tensor_train_rank: width that a dilated convolution with two taps a level needs at least.
        effective_taps: number of equal taps that would spread the energy as much.
        sign_changes: along the lags that stand above the noise, of the channel that has the most.
        delay: lags before the first one that stands above the noise and above 2 % of the largest.
    """

    h50: Interval
    h95: Interval
    decay: DecayLaw
    hankel_rank: int
    tensor_train_rank: int
    effective_taps: float
    sign_changes: int
    delay: int

    @property
    def has_memory(self) -> bool:
        """Whether any lag stands above the noise."""
        return self.decay.preferred != "none"

    def document(self) -> dict[str, object]:
        """Plain JSON: None where a number is not finite."""
        return {
            "horizon": {"h50": self.h50.document(), "h95": self.h95.document()},
            "decay_law": self.decay.document(),
            "hankel_rank": self.hankel_rank,
            "tensor_train_rank": self.tensor_train_rank,
            "effective_taps": self.effective_taps,
            "sign_changes": self.sign_changes,
            "delay": self.delay,
        }


def memory_numbers(
    values: Float64[Tensor, "lags outputs inputs"],
    errors: Float64[Tensor, "draws lags outputs inputs"] | None = None,
    *,
    errors_are: ErrorsAre = "sampling",
    confidence: float = 0.95,
) -> MemoryNumbers:
    """All numbers at once, the channels together: a lag is judged by its norm.

    Args:
        values: the estimate at `[lag, output, input]`, lag 0 first.
        errors: draws of the estimate's error, mean zero; 32 to 64 are enough. None: the values are exact.
        errors_are: `sampling`: the estimate is the truth plus an error, as of a mean over samples;
            `posterior`: the truth is the estimate plus an error, as of a Bayesian fit.
        confidence: of the intervals, in (0, 1).

    Raises:
        ValueError: shapes that do not fit, or numbers that are not finite.

    Cost: singular values of matrices of at most 2^18 entries; under two seconds for 512 lags of 4 inputs.

    Example:
        >>> numbers = memory_numbers(torch.eye(9, dtype=torch.float64)[3][:, None, None])
        >>> numbers.delay, numbers.hankel_rank, numbers.h95.value
        (3, 4, 4.0)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie in (0, 1), got {confidence}.")
    found = energies(values, errors, errors_are)
    return MemoryNumbers(
        h50=horizon(found, 0.5, confidence),
        h95=horizon(found, 0.95, confidence),
        decay=decay_law_of(found, confidence),
        hankel_rank=hankel_rank(found),
        tensor_train_rank=tensor_train_rank(found),
        effective_taps=effective_taps(found),
        sign_changes=_sign_changes(found),
        delay=_delay(found),
    )


def _sign_changes(energies: Energies) -> int:
    certain = torch.where(energies.above, energies.values, 0.0).flatten(1)
    return max(sign_changes(channel) for channel in certain.unbind(1))


def _delay(energies: Energies) -> int:
    """0 where no lag stands above the noise."""
    magnitudes = energies.values.square().sum((-2, -1)).sqrt()
    found = (energies.lags_above & (magnitudes > SMALLEST_ONSET * magnitudes.max())).nonzero()
    return int(found[0]) if len(found) else 0
