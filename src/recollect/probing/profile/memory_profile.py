r"""What a probe found about one model: its memory function with a band, and what follows from it."""

import html
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.probing.profile.estimate import LagEstimate
from recollect.probing.profile.interval import Interval
from recollect.probing.profile.numbers import MemoryNumbers, memory_numbers
from recollect.probing.profile.profile_file import read_profile, write_profile
from recollect.probing.profile.profile_table import band, lag_table
from recollect.probing.profile.shares import content_adaptivity, linear_share, position_dependence

_DRAWS, _DRAWN = 64, 2**24
"""Draws of the errors: so many, unless that were more numbers than this."""


@dataclass(frozen=True, eq=False)
class MemoryProfile:
    r"""The memory function of a model with its band, and its numbers.

    With $J_s$ the Jacobian of an output by the input s steps earlier, and white Gaussian inputs of variance
    s2, the mean memory function is $k_s = E J_s$, and the variance of the output due to lag s lies in

    $$s2\, (E J_s)^2 \le \mathrm{Var}_s \le s2\, E[J_s^2] ,$$

    `bracket`. Both ends agree for a linear map; the gap is memory that depends on content.

    Attributes:
        estimate: at the last position.
        confidence: of bands and intervals.
        by_position: the same at earlier positions, by position; empty where not asked.
        name: of the model.
    """

    estimate: LagEstimate
    confidence: float
    by_position: dict[int, LagEstimate] = field(default_factory=dict)
    name: str = "model"

    @property
    def values(self) -> Float64[Tensor, "lags outputs inputs"]:
        """The memory function, lag 0 first."""
        return self.estimate.values

    @property
    def rms(self) -> Float64[Tensor, "lags outputs inputs"] | None:
        r"""$\sqrt{E J_s^2}$; None for estimators that do not see it."""
        return self.estimate.rms

    @property
    def lower(self) -> Float64[Tensor, "lags outputs inputs"]:
        """Lower end of the band around each value (Student's t)."""
        return self._band[0]

    @property
    def upper(self) -> Float64[Tensor, "lags outputs inputs"]:
        """Upper end of the band around each value (Student's t)."""
        return self._band[1]

    @cached_property
    def magnitude(self) -> Float64[Tensor, " lags"]:
        """Norm over outputs and inputs by lag, without what noise adds to it; 0 where that is all."""
        return (self.values.square() - self.estimate.standard_errors.square()).sum((1, 2)).clamp(min=0).sqrt()

    @cached_property
    def bracket(
        self,
    ) -> tuple[Float64[Tensor, "lags outputs inputs"], Float64[Tensor, "lags outputs inputs"]] | None:
        """Lower and upper bound of the outputs' variance due to each lag of each input.

        None unless the Jacobian was estimated, on white Gaussian inputs: for others there is no such bracket.
        """
        if self.rms is None or not self.estimate.is_white_gaussian:
            return None
        mean = (self.values.square() - self.estimate.standard_errors.square()).clamp(min=0)
        return mean * self.estimate.input_variance, self.rms.square() * self.estimate.input_variance

    @cached_property
    def linear_share(self) -> Interval | None:
        """Share of the outputs' variance that is linear in the past; for white Gaussian inputs only."""
        return linear_share(self.estimate, self.confidence)

    @cached_property
    def content_adaptivity(self) -> Interval | None:
        """Share of the squared Jacobian that changes with the content: 0 for a linear map. Jacobian only."""
        return content_adaptivity(self.estimate, self.confidence)

    @cached_property
    def position_dependence(self) -> dict[int, Interval]:
        """Squared difference to each earlier position, relative: 0 where nothing changes, at most 2."""
        return {
            position: position_dependence(self.estimate, early, self.confidence)
            for position, early in sorted(self.by_position.items())
        }

    @cached_property
    def numbers(self) -> MemoryNumbers:
        """Horizons, decay law, ranks, taps, sign changes and delay, all channels together."""
        return memory_numbers(self.values, self._errors, errors_are="sampling", confidence=self.confidence)

    def summary(self) -> dict[str, Any]:
        """All but the values by lag, as plain JSON: None where a number is not finite or was not measured.

        `not_measured` says why.
        """
        estimate = self.estimate
        return {
            "name": self.name,
            "estimator": estimate.estimator,
            "quantity": estimate.quantity,
            "background": estimate.background,
            "amplitude": estimate.amplitude,
            "is_white_gaussian": estimate.is_white_gaussian,
            "jump": estimate.jump,
            "samples": estimate.samples,
            "length": estimate.length,
            "position": estimate.position,
            "confidence": self.confidence,
            **self.numbers.document(),
            "linear_share": _document(self.linear_share),
            "content_adaptivity": _document(self.content_adaptivity),
            "position_dependence": {
                str(position): _document(change) for position, change in self.position_dependence.items()
            },
            "not_measured": self.not_measured,
        }

    @property
    def not_measured(self) -> dict[str, str]:
        """Reasons, by the name of what this profile has not."""
        estimate = self.estimate
        not_white = f"needs white Gaussian inputs, and these were: {estimate.background}"
        no_rms = f"needs estimator='jacobian', and this was {estimate.estimator!r}"
        reasons: dict[str, str] = {}
        if self.bracket is None:
            reasons["bracket"] = no_rms if self.rms is None else not_white
        if self.linear_share is None:
            reasons["linear_share"] = "the outputs do not vary" if estimate.is_white_gaussian else not_white
        if self.content_adaptivity is None:
            reasons["content_adaptivity"] = no_rms if self.rms is None else "the outputs depend on no lag"
        if not self.by_position:
            reasons["position_dependence"] = "no earlier position was asked"
        return reasons

    def frame(self) -> pd.DataFrame:
        """A row for each lag, output and input: `value`, `lower`, `upper`, `standard_error`, `rms`."""
        return lag_table(self.estimate, self.confidence)

    def plot(self, *, log: bool = False, most_channels: int = 6) -> Any:
        """An Altair chart: a panel for each pair of output and input, those of the largest energy.

        Args:
            log: magnitudes on a logarithmic axis in place of signed values.
            most_channels: panels at most.
        """
        # Altair takes half a second to import, and only charts need it.
        from recollect.probing.profile.profile_chart import profile_chart

        return profile_chart(self, log=log, most_channels=most_channels)

    def save(self, path: str | Path) -> Path:
        """Write everything to a Parquet file, whose table any program reads.

        Raises:
            ConfigError: `path` does not end in .parquet, or cannot be written.
        """
        last = self.estimate.position
        estimates = {**self.by_position, last: self.estimate}
        write_profile(Path(path), estimates, last=last, confidence=self.confidence, name=self.name)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "MemoryProfile":
        """The profile that was saved, to the bit.

        Raises:
            ConfigError: no such file, or one that holds no profile.
        """
        estimates, facts = read_profile(Path(path))
        return cls(estimates.pop(facts["position"]), facts["confidence"], estimates, facts["name"])

    def __str__(self) -> str:
        rows = [(name, text) for name, text in self._in_words().items() if text]
        width = max(len(name) for name, _ in rows)
        lines = [f"  {name:<{width}}  {text}" for name, text in rows]
        return "\n".join([f"Memory of {self.name}", *lines])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _in_words(self) -> dict[str, str]:
        numbers, estimate = self.numbers, self.estimate
        law = numbers.decay
        rate = {
            "exponential": f"exponential, rate {law.exponential}",
            "power": f"power, exponent {law.power}",
        }
        return {
            "estimated": f"{estimate.quantity} ({estimate.estimator}, {estimate.samples} sequences)",
            "background": estimate.background,
            "H50, H95": f"{numbers.h50}, {numbers.h95} of {estimate.length} lags",
            "decay": rate.get(law.preferred, law.preferred),
            "Hankel rank": f"at least {numbers.hankel_rank}",
            "tensor-train rank": f"at least {numbers.tensor_train_rank}",
            "effective taps": f"{numbers.effective_taps:.3g}",
            "sign changes": str(numbers.sign_changes),
            "delay": str(numbers.delay),
            "linear share": str(self.linear_share or ""),
            "content adaptivity": str(self.content_adaptivity or ""),
            "position dependence": ", ".join(
                f"{change} at {position}" for position, change in self.position_dependence.items()
            ),
        }

    @cached_property
    def _band(
        self,
    ) -> tuple[Float64[Tensor, "lags outputs inputs"], Float64[Tensor, "lags outputs inputs"]]:
        return band(self.estimate, self.confidence)

    @cached_property
    def _errors(self) -> Float64[Tensor, "draws lags outputs inputs"]:
        """Draws of the estimate's error: independent, as wide as the standard errors."""
        draws = min(_DRAWS, max(_DRAWN // self.values.numel(), 8))
        generator = torch.Generator().manual_seed(0)
        normal = torch.randn(draws, *self.values.shape, dtype=torch.float64, generator=generator)
        return normal * self.estimate.standard_errors


def _document(interval: Interval | None) -> dict[str, float | None] | None:
    return None if interval is None else interval.document()
