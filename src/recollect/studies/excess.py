"""Error, floor and excess: what an architecture cannot do, apart from what training did not find."""

from typing import Any

from recollect.core import ConfigError
from recollect.core.plain import finite
from recollect.floors import construction_of, floor_of, warm_start
from recollect.models import SequenceModel
from recollect.tasks import FunctionalTask, Task

STANDARD_ERRORS = 4
"""An error this many standard errors below its floor is a defect, of the floor or of the training."""

ROUNDING = 1e-9
"""What an exact error may lack of its floor, relative to it."""


def floor_metrics(task: Task, model: SequenceModel) -> dict[str, Any]:
    """The floor of a functional task as a record holds it; empty for other tasks."""
    if not isinstance(task, FunctionalTask):
        return {}
    floor = floor_of(task, model)
    return {
        "floor": finite(floor.lower),
        "floor_attained": None if floor.attained is None else finite(floor.attained),
        "floor_binds": floor.binding,
        "floor_size": floor.size,
        "floor_how": floor.how,
    }


def excess(metrics: dict[str, Any]) -> dict[str, Any]:
    """What a measured error has above its floor, and whether it lies below; empty where nothing binds.

    The exact error counts where the model is linear and it is known, else the error of the test split.

    Example:
        >>> excess({"floor": 0.25, "floor_binds": True, "nmse": 0.5, "nmse_se": 0.01})
        {'excess': 0.25, 'below_floor': False}
    """
    exact, measured = metrics.get("nmse_exact"), metrics.get("nmse")
    error = measured if exact is None else exact
    if not metrics.get("floor_binds") or error is None:
        return {}
    floor = metrics["floor"]
    slack = ROUNDING * floor if exact is not None else STANDARD_ERRORS * (metrics.get("nmse_se") or 0.0)
    return {"excess": error - floor, "below_floor": error + slack < floor}


def start_from_construction(task: Task, model: SequenceModel, title: str) -> None:
    """Set a model to the best explicit one of its class that is known.

    Raises:
        ConfigError: there is none that this model can hold.
    """
    fit = construction_of(task, model) if isinstance(task, FunctionalTask) else None
    if fit is None:
        raise ConfigError(
            f"no explicit construction is known that {title} can be set to for {task.label}; "
            f"`start: construction` is for one-channel functional tasks and one linear block without norm "
            f"(ssm, lru, s4d, linear rnn, linear tcn). Use `start: random`."
        )
    warm_start(model, fit)
