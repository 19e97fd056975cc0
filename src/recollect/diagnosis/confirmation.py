"""Does training find what was predicted? The recommended size, and its neighbours, under one budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from recollect.core import ConfigError
from recollect.diagnosis.recommendation import Recommendation, SizedFloor
from recollect.diagnosis.series import Series
from recollect.diagnosis.trial import Budget, train_size
from recollect.diagnosis.trial_data import TrialData
from recollect.models import ModelConfig
from recollect.probing.estimation import MemoryEstimator

Role = Literal["recommended", "smaller", "larger"]
Progress = Callable[[str], None]

ADEQUATE = 1.5
"""A trained model is adequate when its error is at most this multiple of the error asked for."""


@dataclass(frozen=True)
class Trial:
    """One size, predicted and trained.

    Attributes:
        family, size, role: which model; of a family without a theorem the size is None.
        predicted: NMSE of the construction at this size, on the whole series; None where none is known.
        predicted_there: the same on the test part, whose noise is not that of the whole.
        measured: NMSE of the trained model on the test part, in shares of the whole series' variance.
        measured_se: its standard error; None for a test part of a few rows.
        adequate: whether `measured` is at most `ADEQUATE` times the target.
        start: which start gave the best model on the validation part.
        validation: NMSE there from each start; None where training broke down.
    """

    family: str
    size: int | None
    role: Role
    predicted: float | None
    predicted_there: float | None
    measured: float
    measured_se: float | None
    adequate: bool
    start: str
    validation: dict[str, float | None]


@dataclass(frozen=True)
class Confirmation:
    """Predicted and measured side by side.

    Attributes:
        trials: the recommended size, then its neighbours, then other families.
        adequate: whether the recommended size is.
        smaller_is_not: whether the next smaller size misses; None where there is no smaller one.
        budget: what each size could spend, in words.
        target: the NMSE asked for.
        noise: share of the target's variance that the estimate leaves unexplained, in the whole series.
        noise_there: what the estimated memory function itself leaves on the test part.
        noise_there_se: its standard error.
        num_rows: rows of the test part that were asked.
    """

    trials: tuple[Trial, ...]
    adequate: bool
    smaller_is_not: bool | None
    budget: str
    target: float
    noise: float
    noise_there: float
    noise_there_se: float | None
    num_rows: int


def confirm(
    series: Series,
    estimator: MemoryEstimator,
    recommendation: Recommendation,
    *,
    target_nmse: float,
    others: Sequence[Recommendation] = (),
    seed: int = 0,
    steps: int = 600,
    restarts: int = 2,
    on_progress: Progress = lambda stage: None,
) -> Confirmation:
    """Trains the recommended size, the next smaller and the next larger one, and tests them on late rows.

    The first 60 % of the rows train, the next 20 % choose the start and the step, the last 20 % test: no
    model sees them before. The construction that a model may start from is that of the memory function of
    the training part alone.

    Args:
        series: the user's data.
        estimator: fitted to them.
        recommendation: the family and size to confirm.
        target_nmse: the total NMSE asked for.
        others: other families, trained at the size recommended or hinted at; those without a model are
            passed over.
        seed: of the random starts and the order of the windows.
        steps: most steps of training from each start.
        restarts: random starts of each size.
        on_progress: called with what begins.

    Raises:
        ConfigError: a recommendation without a size, or too few rows for windows.
    """
    planned = _planned(recommendation, others)
    budget = Budget(steps=steps, restarts=restarts)
    with TemporaryDirectory() as folder:
        on_progress("estimating the memory of the training part")
        data = TrialData.of(series, estimator, target_nmse, Path(folder))
        trials = [_trial(one, data, budget, target_nmse, seed, on_progress) for one in planned]
    smaller = next((trial for trial in trials if trial.role == "smaller"), None)
    return Confirmation(
        trials=tuple(trials),
        adequate=trials[0].adequate,
        smaller_is_not=None if smaller is None else not smaller.adequate,
        budget=budget.describe(data),
        target=target_nmse,
        noise=data.noise_share,
        noise_there=data.noise.value,
        noise_there_se=data.noise.standard_error,
        num_rows=data.noise.count,
    )


@dataclass(frozen=True)
class _Planned:
    """One model that is to be trained."""

    family: str
    size: int | None
    role: Role
    predicted: float | None
    model: dict[str, Any]


def _planned(recommendation: Recommendation, others: Sequence[Recommendation]) -> list[_Planned]:
    """The recommended size, its neighbours, and other families."""
    if recommendation.size is None or recommendation.model is None:
        raise ConfigError(
            f"{recommendation.family}: no size is recommended, so there is nothing to confirm; name another "
            f"family."
        )
    first, *rest = (
        _Planned(one.family, one.size, "recommended", one.predicted, one.model)
        for one in (recommendation, *others)
        if one.model is not None
    )
    beside: tuple[tuple[Role, SizedFloor | None], ...] = (
        ("smaller", recommendation.neighbour(-1)),
        ("larger", recommendation.neighbour(1)),
    )
    neighbours = [
        _Planned(recommendation.family, sized.size, role, sized.predicted, sized.model)
        for role, sized in beside
        if sized is not None and sized.model is not None
    ]
    return [first, *neighbours, *rest]


def _trial(
    planned: _Planned, data: TrialData, budget: Budget, target: float, seed: int, on_progress: Progress
) -> Trial:
    name = planned.family if planned.size is None else f"{planned.family} of size {planned.size}"
    trained = train_size(
        ModelConfig.parse(planned.model),
        data,
        budget,
        seed,
        lambda start: on_progress(f"training {name} from {start}"),
    )
    return Trial(
        family=planned.family,
        size=planned.size,
        role=planned.role,
        predicted=planned.predicted,
        predicted_there=data.error_there(planned.predicted),
        measured=trained.test.value,
        measured_se=trained.test.standard_error,
        adequate=trained.test.value <= ADEQUATE * target,
        start=trained.start,
        validation=trained.validation,
    )
