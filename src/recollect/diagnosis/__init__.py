"""From a user's series to the smallest architecture that can learn it."""

from recollect.diagnosis.confirmation import Confirmation, Trial, confirm
from recollect.diagnosis.diagnose import diagnose
from recollect.diagnosis.diagnosis import Diagnosis
from recollect.diagnosis.reading import Missing, read_series
from recollect.diagnosis.recommendation import Recommendation, SizedFloor, recommend
from recollect.diagnosis.series import DataError, Series

__all__ = [
    "Confirmation",
    "DataError",
    "Diagnosis",
    "Missing",
    "Recommendation",
    "Series",
    "SizedFloor",
    "Trial",
    "confirm",
    "diagnose",
    "read_series",
    "recommend",
]
