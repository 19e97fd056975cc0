"""Tasks that give associations to the regressor of a layer as it is."""

from typing import Any, ClassVar

from recollect.core import Config
from recollect.tasks.labels import label_of


class UntrainedTask(Config):
    """What these tasks share; `recollect.probing.MEASURES` holds what is measured on each."""

    is_trained: ClassVar[bool] = False
    criterion: ClassVar[str]

    @property
    def label(self) -> str:
        """The task in tables and charts: its kind, and whatever differs from the default."""
        return label_of(self)

    @property
    def dim(self) -> int:
        """Width of a layer whose only head has keys of this task."""
        raise NotImplementedError

    @property
    def steps(self) -> int:
        """Parts that a measurement reports its progress in."""
        raise NotImplementedError

    @property
    def cost(self) -> float:
        """Associations read."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """What tables and charts sort the task by, as plain JSON values."""
        raise NotImplementedError
