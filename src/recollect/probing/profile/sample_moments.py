"""Mean and spread of samples that come in blocks, in float64."""

from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

LagValues = Float64[Tensor, "lags outputs inputs"]


class MeanAnswer(NamedTuple):
    """The mean of independent memory functions, one a sample.

    Attributes:
        mean: over the samples.
        standard_errors: of the mean.
        degrees_of_freedom: of the standard errors.
        samples: their number.
        mean_square: of the samples.
    """

    mean: LagValues
    standard_errors: LagValues
    degrees_of_freedom: int
    samples: int
    mean_square: LagValues

    def averaged(self, other: "MeanAnswer", *, independent: bool) -> "MeanAnswer":
        """The mean of two halves whose means may differ: each keeps its own in the spread.

        Where one has been used for the other they are not quite independent, and the degrees of freedom are
        those of one: at 16 samples that makes up for what their covariance takes from the spread.
        """
        degrees = (self.degrees_of_freedom, other.degrees_of_freedom)
        return MeanAnswer(
            mean=(self.mean + other.mean) / 2,
            standard_errors=self.standard_errors.hypot(other.standard_errors) / 2,
            degrees_of_freedom=sum(degrees) if independent else min(degrees),
            samples=self.samples + other.samples,
            mean_square=(self.mean_square + other.mean_square) / 2,
        )

    def divided(self, scale: Float64[Tensor, " inputs"]) -> "MeanAnswer":
        """The same of inputs that are larger by `scale`."""
        return self._replace(
            mean=self.mean / scale,
            standard_errors=self.standard_errors / scale,
            mean_square=self.mean_square / scale.square(),
        )


class SampleMoments:
    """Running mean and sum of squared deviations; blocks are merged without cancellation.

    Blocks may be of any shape; samples are their first axis. The formula is that of Chan, Golub and
    LeVeque (1979).

    Attributes:
        count: samples so far.
        mean: of the samples.

    Example:
        >>> moments = SampleMoments()
        >>> for block in (torch.tensor([1.0, 2.0]), torch.tensor([6.0])):
        ...     moments.add(block)
        >>> float(moments.mean), float(moments.variance)
        (3.0, 7.0)
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self._squares = torch.zeros((), dtype=torch.float64)

    def add(self, block: Tensor) -> None:
        """One more block of samples, of any dtype and device."""
        block = block.detach().to("cpu", torch.float64)
        added, mean = len(block), block.mean(0)
        total = self.count + added
        between = (mean - self.mean).square() * (self.count * added / total)
        self._squares = self._squares + (block - mean).square().sum(0) + between
        self.mean = self.mean + (mean - self.mean) * (added / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """Of the samples, unbiased."""
        return self._squares / (self.count - 1)

    def answer(self) -> MeanAnswer:
        """The mean with its standard errors, where samples are memory functions."""
        return MeanAnswer(
            mean=self.mean,
            standard_errors=(self.variance / self.count).sqrt(),
            degrees_of_freedom=self.count - 1,
            samples=self.count,
            mean_square=self.mean.square() + self._squares / self.count,
        )
