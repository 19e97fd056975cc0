"""All tasks by kind, and the type of a field that holds any of them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from recollect.core import Config
from recollect.tasks.capacity import CapacityTask
from recollect.tasks.continuous_recall import ContinuousRecall
from recollect.tasks.copying import Copying
from recollect.tasks.flip_flop import FlipFlop
from recollect.tasks.functional import FunctionalTask
from recollect.tasks.in_context_regression import InContextRegression
from recollect.tasks.induction import Induction
from recollect.tasks.mad import (
    Compression,
    FuzzyRecall,
    InContextRecall,
    Memorisation,
    NoisyRecall,
    SelectiveCopying,
)
from recollect.tasks.mixture import Mixture
from recollect.tasks.mqar import MQAR
from recollect.tasks.series import SeriesTask
from recollect.tasks.smoothing import SmoothingTask
from recollect.tasks.state_tracking import StateTracking
from recollect.tasks.text import Text
from recollect.tasks.tracking import TrackingTask

TASKS: dict[str, type[Config]] = {
    "functional": FunctionalTask,
    "mqar": MQAR,
    "mixture": Mixture,
    "continuous_recall": ContinuousRecall,
    "mad_recall": InContextRecall,
    "mad_fuzzy_recall": FuzzyRecall,
    "mad_noisy_recall": NoisyRecall,
    "mad_selective_copying": SelectiveCopying,
    "mad_compression": Compression,
    "mad_memorisation": Memorisation,
    "in_context_regression": InContextRegression,
    "copying": Copying,
    "induction": Induction,
    "state_tracking": StateTracking,
    "flip_flop": FlipFlop,
    "text": Text,
    "series": SeriesTask,
    "capacity": CapacityTask,
    "tracking": TrackingTask,
    "smoothing": SmoothingTask,
}


def _functional_by_default(data: Any) -> Any:
    return {"kind": "functional"} | data if isinstance(data, dict) else data


AnyTask = Annotated[
    FunctionalTask
    | MQAR
    | Mixture
    | ContinuousRecall
    | InContextRecall
    | FuzzyRecall
    | NoisyRecall
    | SelectiveCopying
    | Compression
    | Memorisation
    | InContextRegression
    | Copying
    | Induction
    | StateTracking
    | FlipFlop
    | Text
    | SeriesTask
    | CapacityTask
    | TrackingTask
    | SmoothingTask,
    Field(discriminator="kind"),
    BeforeValidator(_functional_by_default),
]
"""Told apart by `kind`; a task without one is functional."""
