"""Studies: runs from a study file, executors, the result store."""

from recollect.studies.boundary import Boundary, BoundaryConfig
from recollect.studies.boundary.table import ModelBoundary, boundaries
from recollect.studies.builtin import STUDIES, find_study
from recollect.studies.driver import Plan, Watcher, check, plan, run_study
from recollect.studies.execute import execute
from recollect.studies.executor import Activity, Executor, SerialExecutor
from recollect.studies.local import LocalExecutor
from recollect.studies.record import Record
from recollect.studies.run import RESULTS_VERSION, Run
from recollect.studies.store import DEFAULT_URL, Store
from recollect.studies.study import Study, load_study
from recollect.studies.trained import trained_model

__all__ = [
    "DEFAULT_URL",
    "RESULTS_VERSION",
    "STUDIES",
    "Activity",
    "Boundary",
    "BoundaryConfig",
    "Executor",
    "LocalExecutor",
    "ModelBoundary",
    "Plan",
    "Record",
    "Run",
    "SerialExecutor",
    "Store",
    "Study",
    "Watcher",
    "boundaries",
    "check",
    "execute",
    "find_study",
    "load_study",
    "plan",
    "run_study",
    "trained_model",
]
