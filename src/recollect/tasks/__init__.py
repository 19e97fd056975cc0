"""Tasks: a config in, seeded batches with targets and masks out."""

from recollect.tasks.base import SPLITS, Batch, Split, Task
from recollect.tasks.functional import NONLINEARITIES, FunctionalTask
from recollect.tasks.inputs import AutoRegressive, Gaussian, InputLaw, Recorded, Signs, Uniform
from recollect.tasks.stream import stream

TASKS = {"functional": FunctionalTask}
INPUT_LAWS = {
    "gaussian": Gaussian,
    "uniform": Uniform,
    "signs": Signs,
    "ar1": AutoRegressive,
    "recorded": Recorded,
}

__all__ = [
    "INPUT_LAWS",
    "NONLINEARITIES",
    "SPLITS",
    "TASKS",
    "AutoRegressive",
    "Batch",
    "FunctionalTask",
    "Gaussian",
    "InputLaw",
    "Recorded",
    "Signs",
    "Split",
    "Task",
    "Uniform",
    "stream",
]
