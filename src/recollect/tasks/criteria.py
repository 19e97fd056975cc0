"""What predictions are scored by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Criterion:
    """A score, the name of its metric in a record being its name in `CRITERIA`.

    Attributes:
        title: heading of tables and axes.
        lower_is_better: otherwise `1 - score` is the error that a checkpoint is chosen by.
    """

    title: str
    lower_is_better: bool

    def error(self, score: float) -> float:
        """The score as something to make small."""
        return score if self.lower_is_better else 1 - score


CRITERIA = {
    "nmse": Criterion("NMSE", lower_is_better=True),
    "accuracy": Criterion("accuracy", lower_is_better=False),
    "cross_entropy": Criterion("cross-entropy (nats a token)", lower_is_better=True),
    "capacity": Criterion("pairs recalled per key dimension", lower_is_better=False),
    "tracking_error": Criterion("squared error over that of the Kalman filter", lower_is_better=True),
    "smoothing_error": Criterion("mean squared error", lower_is_better=True),
}
