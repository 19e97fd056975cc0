"""What is measured on an untrained layer, by the kind of the task that gives it associations."""

from collections.abc import Callable
from typing import Any

from recollect.probing.capacity import measure_capacity
from recollect.probing.smoothing import measure_smoothing
from recollect.probing.tracking import measure_tracking

MEASURES: dict[str, Callable[..., tuple[dict[str, Any], dict[str, dict[str, list[Any]]]]]] = {
    "capacity": measure_capacity,
    "tracking": measure_tracking,
    "smoothing": measure_smoothing,
}
"""`measure(layer, task, seed, on_progress)` gives metrics and series for a record."""
