"""A study: the tasks, models, training and seeds whose product is a list of runs."""

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import yaml
from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from recollect.core import Config, ConfigError, lookup, suggestion
from recollect.models import ModelConfig
from recollect.studies.boundary.config import BoundaryConfig
from recollect.studies.boundary.search import most_runs
from recollect.studies.boundary.series import pairs_of, series_of
from recollect.studies.expansion import expand_task
from recollect.studies.run import Run, source_of
from recollect.tasks import AnyTask
from recollect.training import TrainingConfig

Entries = TypeVar("Entries", bound=Sized)


def _not_empty(entries: Entries) -> Entries:
    # Field(min_length=1) would also complain, beside the real reason, when the only entry is misspelt.
    if not entries:
        raise ValueError("expected at least one entry")
    return entries


class Study(Config):
    """Every model on every task, with every learning rate and seed.

    Attributes:
        name: shown in the store and the report.
        description: one or two sentences for the reader of the report.
        tasks: in a file a list where one value belongs makes a task of each (`recollect.studies.expansion`).
        backbone: fields of `recollect.models.ModelConfig` that all models share; a model's own hold.
        models: see `recollect.models.ModelConfig`.
        training: what all models share.
        tuned: changes to `training` for single tasks, by their label, and single models, by their title;
            where both say something, the model's holds.
        learning_rates: a grid; every model is trained at each of them with the same budget, and the rate
            with the best validation error is the one reported. Empty: the rates of `training` and `tuned`.
        seeds: number of seeds; a seed decides initialisation and data.
        boundary: seek the strength of memory at which each model fails; of the study's runs only those that
            the search asks for are then trained (`recollect.studies.boundary`).
        scales: changes to all of these by name, for `recollect run STUDY --scale NAME`. For `tasks` and
            `models` a mapping changes each of them and a list takes their place; `training` is merged, and
            `backbone` changes every model.

    Example:
        >>> study = Study.parse({
        ...     "name": "demo",
        ...     "tasks": [{"memory": {"family": "impulse", "alpha": [2, 4]}, "length": 16}],
        ...     "models": [{"mixer": "gru"}, {"mixer": "attention"}],
        ...     "seeds": 3,
        ... })
        >>> len(study.runs())
        12
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    description: str = ""
    tasks: Annotated[tuple[AnyTask, ...], AfterValidator(_not_empty)]
    backbone: dict[str, Any] = Field(default_factory=dict)
    models: Annotated[tuple[ModelConfig, ...], AfterValidator(_not_empty)]
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    tuned: dict[str, dict[str, Any]] = Field(default_factory=dict)
    learning_rates: tuple[PositiveFloat, ...] = ()
    seeds: PositiveInt = 1
    boundary: BoundaryConfig | None = None
    scales: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _expand_sweeps(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("tasks"), (list, tuple)):
            return data | {"tasks": [task for given in data["tasks"] for task in expand_task(given)]}
        return data

    @model_validator(mode="before")
    @classmethod
    def _share_the_backbone(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("models"), (list, tuple)):
            return data
        shared = data.get("backbone", {})
        can_share = isinstance(shared, dict)
        models = [
            shared | model if can_share and isinstance(model, dict) else model for model in data["models"]
        ]
        return data | {"models": models}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        titles = [model.title for model in self.models]
        repeated = sorted({title for title in titles if titles.count(title) > 1})
        if repeated:
            raise ValueError(f"several models are titled {', '.join(repeated)}; give each its own `label`")
        labels = [task.label for task in self.tasks]
        for name in self.tuned:
            if name not in (known := [*titles, *labels]):
                hint = suggestion(name, known) or f"; there are {', '.join(known)}"
                raise ValueError(f"`tuned` names {name!r}, which is no model or task of this study{hint}")
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            raise ValueError(f"several tasks are {', '.join(repeated)}; leave one of each")
        if self.is_untrained and (self.training != TrainingConfig() or self.learning_rates or self.tuned):
            raise ValueError(
                "these tasks are for untrained layers: leave out training, learning_rates, tuned"
            )
        if self.boundary is not None:
            self._check_the_boundary()
        for name in self.scales:
            self.scaled(name)
        for name, changes in self.tuned.items():
            TrainingConfig.parse(self.training.model_dump() | changes, f"tuned.{name}")
            if self.learning_rates and "learning_rate" in changes:
                raise ValueError(f"`learning_rates` and a tuned rate of {name!r} exclude each other")
        return self

    def _check_the_boundary(self) -> None:
        series_of(self.tasks)
        if self.learning_rates:
            raise ValueError(
                "`boundary` and a grid of `learning_rates` exclude each other: the search would choose among "
                "rates by the test error; give each model its own rate in `tuned`"
            )

    @property
    def is_untrained(self) -> bool:
        """Whether no task of the study trains anything."""
        return not any(task.is_trained for task in self.tasks)

    def training_of(self, task: AnyTask, model: ModelConfig) -> TrainingConfig:
        """The shared training config with the task's and the model's own changes."""
        changes = self.tuned.get(task.label, {}) | self.tuned.get(model.title, {})
        return TrainingConfig.parse(self.training.model_dump() | changes, f"tuned.{model.title}")

    def scaled(self, name: str) -> "Study":
        """The study `NAME-scale` with the changes of one of its scales.

        Raises:
            ConfigError: no such scale, or changes that cannot be made.
        """
        changes = lookup(self.scales, name, f"scale of {self.name}") | {"name": f"{self.name}-{name}"}
        own = self.model_dump(mode="json", exclude={"scales"})
        own["models"] = _merged(own["models"], changes.get("backbone", {}))
        # `tuned` speaks of models and tasks that a scale may not have, so it is replaced as a whole.
        merged = {
            field: change if field == "tuned" else _merged(own.get(field), change)
            for field, change in changes.items()
        }
        return Study.parse(own | merged, f"scales.{name}")

    def runs(self) -> list[Run]:
        """All runs, tasks outermost, each once."""
        sources = {model.title: source_of(model) for model in self.models}
        runs = [
            Run.parse(
                {
                    "task": task,
                    "model": model,
                    "training": training,
                    "seed": seed,
                    "source": sources[model.title],
                },
                f"{model.title} on {task.label}",
            )
            for task in self.tasks
            for model in self.models
            for training in self._trainings(task, model)
            for seed in range(self.seeds)
        ]
        return list({run.id: run for run in runs}.values())

    @property
    def most_runs(self) -> int:
        """How many runs are trained at most: all of them, or what the search for boundaries may ask for."""
        runs = self.runs()
        return len(runs) if self.boundary is None else most_runs(pairs_of(runs), self.boundary)

    def _trainings(self, task: AnyTask, model: ModelConfig) -> Sequence[TrainingConfig | None]:
        """How a model is trained on a task: at each rate; nothing for a task of untrained layers."""
        if not task.is_trained:
            return [None]
        base = self.training_of(task, model)
        rates = self.learning_rates or (base.learning_rate,)
        # A benchmark's task may bring the size of its training set; `epochs` then give the steps.
        examples = getattr(task, "training_examples", None) or base.examples
        changes = {"examples": examples}
        return [TrainingConfig.parse(base.model_dump() | changes | {"learning_rate": rate}) for rate in rates]


def _merged(own: Any, change: Any) -> Any:
    """A mapping changes a mapping, or each entry of a list; anything else takes its place."""
    if isinstance(change, dict) and isinstance(own, dict):
        return own | change
    if isinstance(change, dict) and isinstance(own, list):
        return [entry | change for entry in own]
    return change


def load_study(path: Path) -> Study:
    """Read a study from a YAML file.

    Raises:
        ConfigError: the file is missing, empty, not YAML, or says something that cannot be built.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no study file {str(path)!r}; `recollect init` writes one.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        came = "an empty file" if data is None else type(data).__name__
        raise ConfigError(f"{path}: expected a mapping with `name`, `tasks` and `models`, got {came}.")
    return Study.parse(data, str(path.name))
