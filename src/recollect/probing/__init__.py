"""The memory of a sequence map, measured: of a trained model by lag, of an untrained layer by association."""

from recollect.probing.audit import Audit, audit
from recollect.probing.capacity import measure_capacity
from recollect.probing.measures import MEASURES
from recollect.probing.population import (
    PopulationLoss,
    check_population,
    linear_response,
    population_loss,
    population_nmse,
)
from recollect.probing.projection import Projection, Projector
from recollect.probing.sensitivity import Sensitivity, gauss_newton, sensitivity, sensitivity_table
from recollect.probing.smoothing import measure_smoothing
from recollect.probing.stability import StabilityCurve, stability_curve
from recollect.probing.tracking import measure_tracking

__all__ = [
    "MEASURES",
    "Audit",
    "PopulationLoss",
    "Projection",
    "Projector",
    "Sensitivity",
    "StabilityCurve",
    "audit",
    "check_population",
    "gauss_newton",
    "linear_response",
    "measure_capacity",
    "measure_smoothing",
    "measure_tracking",
    "population_loss",
    "population_nmse",
    "sensitivity",
    "sensitivity_table",
    "stability_curve",
]
