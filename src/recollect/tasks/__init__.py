"""Tasks: a config in, seeded batches with targets and masks out; or associations for untrained layers."""

from recollect.tasks.base import SPLITS, Batch, Split, Task
from recollect.tasks.capacity import CapacityTask
from recollect.tasks.continuous import ContinuousTask
from recollect.tasks.continuous_recall import ContinuousRecall
from recollect.tasks.copying import Copying
from recollect.tasks.criteria import CRITERIA, Criterion
from recollect.tasks.flip_flop import FlipFlop
from recollect.tasks.functional import NONLINEARITIES, FunctionalTask
from recollect.tasks.in_context_regression import InContextRegression
from recollect.tasks.induction import Induction
from recollect.tasks.inputs import AutoRegressive, Gaussian, InputLaw, Recorded, Signs, Uniform
from recollect.tasks.key_laws import Clustered, Correlated, Orthonormal, Sphere
from recollect.tasks.mad import mad_score
from recollect.tasks.mixture import Mixture
from recollect.tasks.mqar import MQAR
from recollect.tasks.registry import TASKS, AnyTask
from recollect.tasks.series import SeriesTask
from recollect.tasks.smoothing import SmoothingTask
from recollect.tasks.state_tracking import StateTracking
from recollect.tasks.stream import stream
from recollect.tasks.text import Text
from recollect.tasks.tokens import TokenTask
from recollect.tasks.tracking import TrackingTask
from recollect.tasks.untrained import UntrainedTask

INPUT_LAWS = {
    "gaussian": Gaussian,
    "uniform": Uniform,
    "signs": Signs,
    "ar1": AutoRegressive,
    "recorded": Recorded,
}

__all__ = [
    "CRITERIA",
    "INPUT_LAWS",
    "MQAR",
    "NONLINEARITIES",
    "SPLITS",
    "TASKS",
    "AnyTask",
    "AutoRegressive",
    "Batch",
    "CapacityTask",
    "Clustered",
    "ContinuousRecall",
    "ContinuousTask",
    "Copying",
    "Correlated",
    "Criterion",
    "FlipFlop",
    "FunctionalTask",
    "Gaussian",
    "InContextRegression",
    "Induction",
    "InputLaw",
    "Mixture",
    "Orthonormal",
    "Recorded",
    "SeriesTask",
    "Signs",
    "SmoothingTask",
    "Sphere",
    "Split",
    "StateTracking",
    "Task",
    "Text",
    "TokenTask",
    "TrackingTask",
    "Uniform",
    "UntrainedTask",
    "mad_score",
    "stream",
]
