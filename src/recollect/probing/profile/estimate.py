"""What one estimator found about the memory of a model, and how it was found."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import NumericalError
from recollect.probing.maps import SequenceMap
from recollect.probing.profile.sample_moments import LagValues, MeanAnswer


@dataclass(frozen=True, eq=False)
class LagEstimate:
    r"""A memory function $k(s)$ with its standard errors, at `[lag, output, input]`.

    Attributes:
        estimator: `jacobian`, `correlation`, `impulse` or `step`.
        quantity: which quantity it estimates, in words.
        values: the estimate.
        standard_errors: of `values`; not below what rounding in the model's dtype may do.
        degrees_of_freedom: of the standard errors, for Student's t.
        rms: $\sqrt{E J_s^2}$ over the samples; of the mean Jacobian only.
        output_variance: of the outputs, at the probed position (correlation: over all its positions).
        input_variance: of the background.
        background: the random inputs the model was read on, in words.
        amplitude: deviation of the background, root mean square over its channels.
        position: the output that was read, counted from 0; the last one where several were.
        samples: independent sequences.
        length: number of lags.
        is_white_gaussian: whether the background is independent Gaussian numbers.
        jump: size of the impulse or step, in deviations of the background; None for other estimators.
    """

    estimator: str
    quantity: str
    values: Float64[Tensor, "lags outputs inputs"]
    standard_errors: Float64[Tensor, "lags outputs inputs"]
    degrees_of_freedom: int
    rms: Float64[Tensor, "lags outputs inputs"] | None
    output_variance: Float64[Tensor, " outputs"]
    input_variance: Float64[Tensor, " inputs"]
    background: str
    amplitude: float
    position: int
    samples: int
    length: int
    is_white_gaussian: bool
    jump: float | None = None


def lag_estimate(
    probed: SequenceMap,
    answer: MeanAnswer,
    output_variance: Float64[Tensor, " outputs"],
    *,
    estimator: str,
    quantity: str,
    position: int,
    rounding: float | LagValues = 0.0,
    jump: float | None = None,
) -> LagEstimate:
    """The estimate from what the samples answered.

    Args:
        probed: what was probed.
        answer: mean and spread over the samples.
        output_variance: at the probed position.
        estimator: its name.
        quantity: what it estimates.
        position: of the output.
        rounding: an error of the mean that does not show in the spread of the samples, besides that of sums
            over lags, which is always counted.
        jump: of impulses and steps.

    Raises:
        NumericalError: the map answered NaN or infinity.
    """
    if not answer.mean_square.isfinite().all():
        raise NumericalError(
            f"{probed.name} answers numbers that are not finite on {probed.background}: probe it "
            "at a smaller amplitude or length, or look whether it is stable."
        )
    least = _rounding_of_sums(probed, answer.mean) + rounding
    return LagEstimate(
        estimator=estimator,
        quantity=quantity,
        values=answer.mean,
        standard_errors=answer.standard_errors.hypot(least),
        degrees_of_freedom=answer.degrees_of_freedom,
        rms=answer.mean_square.sqrt() if estimator == "jacobian" else None,
        output_variance=output_variance,
        input_variance=probed.input_scale.square().cpu(),
        background=probed.background,
        amplitude=float(probed.input_scale.square().mean().sqrt()),
        position=position,
        samples=answer.samples,
        length=len(answer.mean),
        is_white_gaussian=probed.is_white_gaussian,
        jump=jump,
    )


def _rounding_of_sums(probed: SequenceMap, values: LagValues) -> LagValues:
    """What a sum over all lags may lose in the map's dtype: of each output, one last digit a lag.

    The samples of a linear map agree to the last digits, and their spread says nothing about the digits that
    all of them have lost.
    """
    largest = values.abs().amax(dim=(0, 2), keepdim=True)
    return (len(values) * torch.finfo(probed.dtype).eps * largest).expand_as(values)
