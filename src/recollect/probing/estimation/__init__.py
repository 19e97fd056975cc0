"""The memory function of data: regularised impulse-response estimation and what can go wrong with it."""

from recollect.probing.estimation.excitation import Excitation
from recollect.probing.estimation.linear_share import LinearShare
from recollect.probing.estimation.memory_estimator import MemoryEstimator
from recollect.probing.estimation.nonlinear_remainder import RemainderTest
from recollect.probing.estimation.priors import PRIORS

__all__ = ["PRIORS", "Excitation", "LinearShare", "MemoryEstimator", "RemainderTest"]
