"""The memory of a sequence map or of data, measured: by lag, and of an untrained layer by association."""

from recollect.probing.audit import Audit, audit
from recollect.probing.capacity import measure_capacity
from recollect.probing.estimation import Excitation, LinearShare, MemoryEstimator, RemainderTest
from recollect.probing.maps import SequenceMap, check_causal, sequence_map, untouched
from recollect.probing.measures import MEASURES
from recollect.probing.population import (
    PopulationLoss,
    check_population,
    linear_response,
    population_loss,
    population_nmse,
)
from recollect.probing.profile import (
    DecayLaw,
    Interval,
    LagEstimate,
    MemoryNumbers,
    MemoryProfile,
    memory_numbers,
    memory_of,
)
from recollect.probing.projection import Projection, Projector
from recollect.probing.sensitivity import Sensitivity, gauss_newton, sensitivity, sensitivity_table
from recollect.probing.smoothing import measure_smoothing
from recollect.probing.stability import StabilityCurve, stability_curve
from recollect.probing.tracking import measure_tracking

__all__ = [
    "MEASURES",
    "Audit",
    "DecayLaw",
    "Excitation",
    "Interval",
    "LagEstimate",
    "LinearShare",
    "MemoryEstimator",
    "MemoryNumbers",
    "MemoryProfile",
    "PopulationLoss",
    "Projection",
    "Projector",
    "RemainderTest",
    "Sensitivity",
    "SequenceMap",
    "StabilityCurve",
    "audit",
    "check_causal",
    "check_population",
    "gauss_newton",
    "linear_response",
    "measure_capacity",
    "measure_smoothing",
    "measure_tracking",
    "memory_numbers",
    "memory_of",
    "population_loss",
    "population_nmse",
    "sensitivity",
    "sensitivity_table",
    "sequence_map",
    "stability_curve",
    "untouched",
]
