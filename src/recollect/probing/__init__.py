"""The memory of a sequence map, measured: of a trained model by lag, of an untrained layer by association."""

from recollect.probing.audit import Audit, audit
from recollect.probing.capacity import measure_capacity
from recollect.probing.measures import MEASURES
from recollect.probing.projection import Projection, Projector
from recollect.probing.smoothing import measure_smoothing
from recollect.probing.tracking import measure_tracking

__all__ = [
    "MEASURES",
    "Audit",
    "Projection",
    "Projector",
    "audit",
    "measure_capacity",
    "measure_smoothing",
    "measure_tracking",
]
