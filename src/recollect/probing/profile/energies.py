r"""The energy of a memory function by lag, cleared of what the errors of its estimate add or hide.

With $k_s$ the estimate, $e_s$ a draw of its error and $v_s = E|e_s|^2$ (norms over the channels),

$$E|k_s|^2 = |\rho_s|^2 + v_s \quad\text{(sampling: } k = \rho + e), \qquad
E|\rho_s|^2 = |k_s|^2 + v_s \quad\text{(posterior: } \rho = k + e),$$

so the energies are $|k_s|^2 - v_s$ or $|k_s|^2 + v_s$, and their own errors are
$2 \langle k_s, e_s \rangle + |e_s|^2 - v_s$.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

CONFIDENCE = 0.95
"""At which a lag, or a singular value, is said to stand above the noise."""

ROUNDING = 1e-12
"""Share of the largest magnitude below which nothing is told from 0."""

ErrorsAre = Literal["sampling", "posterior"]


@dataclass(frozen=True, eq=False)
class Energies:
    """Energies by lag, in units of the largest entry's square: a share needs no unit.

    Attributes:
        values: the estimate, its largest entry set to 1.
        errors: draws of its error in the same unit.
        mean: energy of each lag, cleared of the noise; may be negative for `sampling`.
        deviations: draws of the error of `mean`; for `posterior`, `mean + deviations` are draws of the truth.
        above: whether an entry stands above the noise, for all entries at once at `CONFIDENCE`.
        lags_above: the same for the magnitude of a lag.
        errors_are: what the errors are errors of.
    """

    values: Float64[Tensor, "lags outputs inputs"]
    errors: Float64[Tensor, "draws lags outputs inputs"]
    mean: Float64[Tensor, " lags"]
    deviations: Float64[Tensor, "draws lags"]
    above: Bool[Tensor, "lags outputs inputs"]
    lags_above: Bool[Tensor, " lags"]
    errors_are: ErrorsAre

    @property
    def last(self) -> int:
        """The last lag above the noise, -1 if there is none."""
        found = self.lags_above.nonzero()
        return int(found[-1]) if len(found) else -1

    @property
    def along(self) -> Float64[Tensor, " lags"]:
        """Variance of the error e in the direction of a lag's value; its energy E is off by `2 sqrt(E) e`."""
        norms = self.values.square().sum((-2, -1)).sqrt()
        crossed = torch.einsum("soi,dsoi->ds", self.values, self.errors) / norms.where(norms > 0, 1.0)
        return crossed.square().mean(0)

    @property
    def across(self) -> Float64[Tensor, " lags"]:
        """Variance of the squared error: what is left of an energy's error where there is no memory."""
        return self.errors.square().sum((-2, -1)).var(0, correction=0)

    @property
    def spread(self) -> Float64[Tensor, " lags"]:
        """Standard deviation of the error of each energy."""
        return self.deviations.square().mean(0).sqrt()


def energies(
    values: Float64[Tensor, "lags outputs inputs"],
    errors: Float64[Tensor, "draws lags outputs inputs"] | None,
    errors_are: ErrorsAre,
) -> Energies:
    """Energies of an estimate. Without errors it is taken as exact.

    Raises:
        ValueError: errors that do not fit the values, fewer than two draws, or numbers that are not finite.
    """
    errors = torch.zeros_like(values).expand(2, *values.shape) if errors is None else errors
    _check(values, errors)
    largest = values.abs().max()
    scale = torch.where(largest > 0, largest, 1.0)
    values, errors = values / scale, errors / scale
    noise = errors.square().sum((-2, -1)).mean(0)
    squares = values.square().sum((-2, -1))
    if errors_are == "sampling":
        # The truth is smaller than its noisy estimate: scaled to the cleared energy, which stands for it.
        kept = (1 - noise / squares).clamp(min=0).nan_to_num().sqrt()
        mean, truth = squares - noise, values * kept[:, None, None]
    else:
        mean, truth = squares + noise, values
    crossed = 2 * torch.einsum("soi,dsoi->ds", truth, errors)
    return Energies(
        values=values,
        errors=errors,
        mean=mean,
        deviations=crossed + errors.square().sum((-2, -1)) - noise,
        above=_above(values, errors),
        lags_above=_above(squares.sqrt(), errors.square().sum((-2, -1)).sqrt()),
        errors_are=errors_are,
    )


def _above(
    values: Float64[Tensor, "*shape"], errors: Float64[Tensor, "draws *shape"]
) -> Bool[Tensor, "*shape"]:
    """Entries beyond what the largest of all errors reaches, each in units of the deviation of the others."""
    squares = errors.square()
    others = (squares.sum(0) - squares) / (len(errors) - 1)
    largest = (squares / others).nan_to_num(0.0).clamp(min=0).flatten(1).amax(1)
    factor, deviation = bound_of_next(largest).sqrt(), squares.mean(0).sqrt()
    rounding = ROUNDING * values.abs().max()
    return (values.abs() > factor * deviation) & (values.abs() > rounding)


def bound_of_next(drawn: Float64[Tensor, " draws"]) -> Float64[Tensor, ""]:
    """What one more draw stays below at `CONFIDENCE`; the largest draw where they are few."""
    share = (CONFIDENCE * (len(drawn) + 1) - 1) / max(len(drawn) - 1, 1)
    return torch.quantile(drawn, min(share, 1.0))


def _check(
    values: Float64[Tensor, "lags outputs inputs"], errors: Float64[Tensor, "draws more_lags others more"]
) -> None:
    if values.numel() == 0:
        raise ValueError(f"a memory function needs a lag, an output and an input, got {tuple(values.shape)}.")
    if len(errors) < 2 or errors.shape[1:] != values.shape:
        raise ValueError(
            f"`errors` must hold two draws or more of the shape of `values`, {tuple(values.shape)}; got "
            f"{tuple(errors.shape)}. Leave them out where the values are exact."
        )
    if not (values.isfinite().all() and errors.isfinite().all()):
        raise ValueError("`values` and `errors` must be finite, and are not: look at the estimate first.")
